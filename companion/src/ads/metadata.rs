//! What an Envoy asks for in its bootstrap, and a mirror by its configuration, in `node.metadata`:
//!
//! ```yaml
//! node:
//!   metadata:
//!     mixed-version-proxy: {controlPlanes: [blue, green]}
//! ```
//!
//! Anybody's metadata can be in a node, so only this key is read.

use std::collections::BTreeSet;
use std::sync::Arc;

use discovery_map::Fault;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value};

use super::selection::Selection;
use crate::config::ClusterPrefix;

/// The key that is read.
pub const KEY: &str = "mixed-version-proxy";

/// The field with the names of control planes.
pub const CONTROL_PLANES: &str = "controlPlanes";

/// How many control planes an Envoy may name.
const MOST_NAMES: usize = 4_096;

/// Returns the control planes that a node asks for: all, unless it names some.
///
/// # Errors
/// What is wrong, by its place, and what would be right. Nothing of the value is in it.
pub fn asked(metadata: Option<&Struct>) -> Result<Selection, Fault> {
    let own = metadata.and_then(|metadata| metadata.fields.get(KEY));
    let fault =
        |field: &str, problem: String| Fault::new(format!("node.metadata.{KEY}{field}"), problem);
    let fields = match own.map(|own| &own.kind) {
        None => return Ok(Selection::All),
        Some(Some(Kind::StructValue(own))) => &own.fields,
        Some(_) => return Err(fault("", format!("must be a mapping with {CONTROL_PLANES}"))),
    };
    if fields.keys().any(|field| field != CONTROL_PLANES) {
        return Err(fault("", format!("has an unknown field; known fields: {CONTROL_PLANES}")));
    }
    let Some(list) = fields.get(CONTROL_PLANES) else { return Ok(Selection::All) };
    names(list).map_err(|(index, problem)| {
        let index = index.map(|index| format!("[{index}]")).unwrap_or_default();
        fault(&format!(".{CONTROL_PLANES}{index}"), problem)
    })
}

fn names(list: &Value) -> Result<Selection, (Option<usize>, String)> {
    let Some(Kind::ListValue(list)) = &list.kind else {
        return Err((None, "must be a list of names of control planes".to_owned()));
    };
    match list.values.len() {
        0 => return Err((None, "must have at least one entry; leave it out for all".to_owned())),
        1..=MOST_NAMES => {}
        _ => return Err((None, format!("must have at most {MOST_NAMES} entries"))),
    }
    let name = |(index, value): (usize, &Value)| match &value.kind {
        Some(Kind::StringValue(text)) => {
            text.parse::<ClusterPrefix>().map_err(|problem| (Some(index), problem))
        }
        _ => Err((Some(index), "must be a string: the name of a control plane".to_owned())),
    };
    let names = list.values.iter().enumerate().map(name).collect::<Result<BTreeSet<_>, _>>()?;
    Ok(Selection::Some(Arc::new(names)))
}

/// Returns the metadata of a node that asks for these control planes.
pub fn asking(names: &BTreeSet<ClusterPrefix>) -> Struct {
    let names = names.iter().map(|name| string(name.as_str())).collect();
    let own = Struct { fields: [(CONTROL_PLANES.to_owned(), list(names))].into() };
    let own = Value { kind: Some(Kind::StructValue(own)) };
    Struct { fields: [(KEY.to_owned(), own)].into() }
}

fn string(text: &str) -> Value {
    Value { kind: Some(Kind::StringValue(text.to_owned())) }
}

fn list(values: Vec<Value>) -> Value {
    Value { kind: Some(Kind::ListValue(ListValue { values })) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Value { kind: Some(Kind::StructValue(Struct { fields })) }
    }

    fn of(own: Value) -> Result<Selection, String> {
        let fields = [(KEY.to_owned(), own), ("envoy.lb".to_owned(), string("any"))].into();
        asked(Some(&Struct { fields })).map_err(|fault| fault.to_string())
    }

    fn of_names(values: Vec<Value>) -> Result<Selection, String> {
        of(mapping([(CONTROL_PLANES, list(values))]))
    }

    #[test]
    fn an_envoy_that_names_no_control_planes_asks_for_all() {
        assert_eq!(asked(None), Ok(Selection::All));
        let others = Struct { fields: [("controlPlanes".to_owned(), string("a"))].into() };
        assert_eq!(asked(Some(&others)), Ok(Selection::All));
        assert_eq!(of(mapping([])), Ok(Selection::All));
    }

    #[test]
    fn names_are_a_set() {
        let twice = of_names(vec![string("b"), string("a"), string("b")]).unwrap();
        assert_eq!(twice.names().map(ClusterPrefix::as_str).collect::<Vec<_>>(), ["a", "b"]);
        let most = (0..MOST_NAMES).map(|number| string(&number.to_string())).collect();
        assert_eq!(of_names(most).unwrap().names().count(), MOST_NAMES);
        let names = ["a", "b"].map(|name| name.parse().unwrap()).into();
        assert_eq!(asked(Some(&asking(&names))), Ok(twice));
    }

    #[test]
    fn a_fault_says_where_it_is_and_what_would_be_right_and_repeats_nothing() {
        let number = || Value { kind: Some(Kind::NumberValue(7.0)) };
        let long = "very-secret-".repeat(90_000);
        let deep = (0..90).fold(number(), |value, _| mapping([(CONTROL_PLANES, value)]));
        let many = vec![string("a"); MOST_NAMES + 1];
        let list_place = ".controlPlanes: ";
        for (own, place, problem) in [
            (string("a"), ": ", "must be a mapping with controlPlanes"),
            (Value { kind: None }, ": ", "must be a mapping with controlPlanes"),
            (
                mapping([("controlPlane", list(vec![string("a")]))]),
                ": ",
                "known fields: controlPlanes",
            ),
            (mapping([(CONTROL_PLANES, string("a"))]), list_place, "must be a list"),
            (mapping([(CONTROL_PLANES, number())]), list_place, "must be a list"),
            (deep, list_place, "must be a list"),
            (mapping([(CONTROL_PLANES, list(vec![]))]), list_place, "at least one entry"),
            (mapping([(CONTROL_PLANES, list(many))]), list_place, "at most 4096 entries"),
        ] {
            let fault = of(own).unwrap_err();
            let expected = format!("node.metadata.{KEY}{place}");
            assert!(fault.starts_with(&expected) && fault.contains(problem), "{fault}");
        }
        for bad in ["*", "", "A", "a_b", "a/b", "a.b", "-a", "secret\u{0}", &long] {
            let fault = of_names(vec![string("a"), string(bad)]).unwrap_err();
            assert!(
                fault.starts_with(
                    "node.metadata.mixed-version-proxy.controlPlanes[1]: must be 1 to 40"
                ),
                "{fault}"
            );
            assert!(!fault.contains("secret"), "{fault}");
        }
        for bad in [number(), Value { kind: None }, list(vec![string("a")])] {
            let fault = of_names(vec![bad]).unwrap_err();
            assert!(fault.contains("controlPlanes[0]: must be a string"), "{fault}");
        }
    }
}
