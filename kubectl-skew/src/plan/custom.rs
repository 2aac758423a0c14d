//! The cluster's own types: custom resources. A new version of Kubernetes neither adds nor removes one, but it
//! can have a type of the same name built in, and their own versions can be deprecated.

use serde::Serialize;
use serde_json::Value;

use crate::builtin::{ApiType, Availability, Release};

/// What is to be said of the CustomResourceDefinitions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomResources {
    /// The number of definitions. They stay as they are.
    pub definitions: usize,
    /// Served types that the new version has built in.
    pub conflicts: Vec<ApiType>,
    /// Served types that their definition calls deprecated.
    pub deprecated: Vec<ApiType>,
}

impl CustomResources {
    /// Reads the definitions (`apiextensions.k8s.io/v1`).
    pub fn of(definitions: &[Value], to: Release<'_>) -> Self {
        let mut found = Self { definitions: definitions.len(), ..Self::default() };
        for definition in definitions {
            let text = |pointer| definition.pointer(pointer).and_then(Value::as_str);
            let (group, plural) = (text("/spec/group"), text("/spec/names/plural"));
            let versions = definition.pointer("/spec/versions").and_then(Value::as_array);
            for version in versions.into_iter().flatten().filter(|one| one["served"] == true) {
                let name = version["name"].as_str();
                let (Some(group), Some(plural), Some(name)) = (group, plural, name) else {
                    continue;
                };
                let api = ApiType::new(group, name, plural);
                if to.of(&api) != Availability::Absent {
                    found.conflicts.push(api.clone());
                }
                if version["deprecated"] == true {
                    found.deprecated.push(api);
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::CustomResources;
    use crate::builtin::tests::table;

    #[test]
    fn a_definition_of_a_type_that_the_new_version_has_built_in_is_a_conflict() {
        let definition = |group: &str, plural: &str, versions: serde_json::Value| json!({ "spec": { "group": group, "names": { "plural": plural }, "versions": versions } });
        let served = |name: &str| json!({ "name": name, "served": true });
        let definitions = [
            definition("a.io", "bundles", json!([served("v1"), served("v2")])),
            definition("a.io", "hats", json!([{ "name": "v1alpha1", "served": false }])),
            definition(
                "example.com",
                "widgets",
                json!([{ "name": "v1beta1", "served": true, "deprecated": true }, served("v1")]),
            ),
        ];
        let table = table();
        let to = table.release("1.37".parse().unwrap()).unwrap();
        let found = CustomResources::of(&definitions, to);
        let names =
            |types: &[super::ApiType]| types.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(found.definitions, 3);
        assert_eq!(names(&found.conflicts), ["a.io/v1 bundles"]);
        assert_eq!(names(&found.deprecated), ["example.com/v1beta1 widgets"]);
    }
}
