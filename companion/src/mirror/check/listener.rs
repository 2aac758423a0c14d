//! What Envoy refuses in a listener as a whole.

use std::collections::BTreeSet;

use serde_json::Value;

/// Checks the filter chains of a listener.
///
/// # Errors
/// There are none, or two of them cannot be told apart: by their names here, or by Envoy.
pub fn check(listener: &Value) -> Result<(), String> {
    let chains = listener.get("filterChains").and_then(Value::as_array);
    let chains = chains.map(Vec::as_slice).unwrap_or_default();
    if chains.is_empty() && listener.get("defaultFilterChain").is_none() {
        return Err("it has no filter chain".to_owned());
    }
    let (mut names, mut matches) = (BTreeSet::new(), BTreeSet::new());
    for chain in chains {
        let name = chain.get("name").and_then(Value::as_str).unwrap_or_default();
        if !names.insert(name) {
            return Err(format!("it has two filter chains with the name {name:?}"));
        }
        for one in connections(chain) {
            let text = one.to_string();
            if matches.contains(&text) {
                return Err(format!("filter chain {name:?} and another one match {text}"));
            }
            matches.insert(text);
        }
    }
    Ok(())
}

/// Returns what a filter chain matches, for each server name. Envoy refuses two chains that match the
/// same.
fn connections(chain: &Value) -> Vec<Value> {
    let mut of_chain =
        chain.get("filterChainMatch").cloned().unwrap_or_else(|| Value::Object(Default::default()));
    let names = of_chain.as_object_mut().and_then(|fields| fields.remove("serverNames"));
    match names {
        Some(Value::Array(names)) if !names.is_empty() => {
            let of_name = |name: &Value| {
                let mut one = of_chain.clone();
                if let Some(fields) = one.as_object_mut() {
                    fields.insert("serverNames".to_owned(), name.clone());
                }
                one
            };
            names.iter().map(of_name).collect()
        }
        _ => vec![of_chain],
    }
}
