//! The merge of OpenAPI documents: what must hold of any, and the documents of real servers.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Read as _;

use flate2::read::GzDecoder;
use proptest::prelude::*;
use prost::Message;

use super::outline::OPERATIONS;
use super::protobuf::{Components, Document, Named, PathOperations, Paths, Schemas};
use super::*;

/// A document in words: path → operations, and schemas. Every entry names its author.
#[derive(Clone, Debug)]
struct Model {
    author: usize,
    paths: Vec<(&'static str, Vec<&'static str>)>,
    schemas: Vec<&'static str>,
}

const PATHS: [&str; 4] = ["/apis/g/v1/", "/apis/g/v1/things", "/apis/g/v1/things/{name}", "/x\"y"];
const SCHEMAS: [&str; 4] = ["io.k8s.A", "io.k8s.B", "io.k8s.C", "io.k8s.<D>"];

impl Model {
    fn json(&self) -> String {
        let Self { author, .. } = self;
        let paths = self.paths.iter().map(|(path, operations)| {
            let operations = operations.iter().fold(String::new(), |mut text, name| {
                write!(text, "\"{name}\":{{\"by\":{author}}},").unwrap();
                text
            });
            format!("{}:{{{operations}\"parameters\":[{author}]}}", serde_json::json!(path))
        });
        let schemas = self.schemas.iter().map(|name| format!("\"{name}\":{{\"by\":{author}}}"));
        format!(
            "{{\"openapi\":\"3.0.0\",\"info\":{{\"version\":\"{author}\"}},\"paths\":{{{}}},\
             \"components\":{{\"schemas\":{{{}}},\"securitySchemes\":{{}}}}}}",
            paths.collect::<Vec<_>>().join(","),
            schemas.collect::<Vec<_>>().join(",")
        )
    }

    fn protobuf(&self) -> Vec<u8> {
        let by = || Some(vec![u8::try_from(self.author).unwrap()]);
        let path = |(path, operations): &(&str, Vec<&str>)| {
            let of = |name: &str| operations.contains(&name).then(by).flatten();
            let item = PathOperations {
                get: of("get"),
                put: of("put"),
                post: of("post"),
                delete: of("delete"),
                patch: of("patch"),
                ..Default::default()
            };
            Named { name: (*path).to_owned(), value: Some(item.encode_to_vec()) }
        };
        let schema = |name: &&str| Named { name: (*name).to_owned(), value: by() };
        let schemas = Schemas { additional_properties: self.schemas.iter().map(schema).collect() };
        let paths = Paths { path: self.paths.iter().map(path).collect(), ..Default::default() };
        Document {
            openapi: "3.0.0".to_owned(),
            info: by(),
            paths: Some(paths),
            components: Some(Components { schemas: Some(schemas), ..Default::default() }),
            ..Default::default()
        }
        .encode_to_vec()
    }
}

fn models() -> impl Strategy<Value = Vec<Model>> {
    let operations = || proptest::sample::subsequence(OPERATIONS[..4].to_vec(), 0..=4);
    let paths = proptest::collection::vec(operations(), PATHS.len()).prop_flat_map(|operations| {
        let paths: Vec<_> = PATHS.into_iter().zip(operations).collect();
        proptest::sample::subsequence(paths, 0..=PATHS.len()).prop_shuffle()
    });
    let schemas = proptest::sample::subsequence(SCHEMAS.to_vec(), 0..=SCHEMAS.len());
    proptest::collection::vec((paths, schemas), 1..4).prop_map(|documents| {
        let documents = documents.into_iter().enumerate();
        documents.map(|(author, (paths, schemas))| Model { author, paths, schemas }).collect()
    })
}

/// An entry of a document: a path and an operation, or a schema; and who wrote it.
type Entry = (String, String, u64);

/// Returns the entries of the JSON form, in their order.
fn entries_of_json(json: &str) -> Vec<Entry> {
    let document: serde_json::Value = serde_json::from_str(json).unwrap();
    let by = |value: &serde_json::Value| value["by"].as_u64().unwrap();
    let mut entries = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (name, operation) in item.as_object().unwrap() {
            if name != "parameters" {
                entries.push((path.clone(), name.clone(), by(operation)));
            }
        }
    }
    let schemas = document["components"]["schemas"].as_object().unwrap();
    entries.extend(schemas.iter().map(|(name, s)| ("schema".to_owned(), name.clone(), by(s))));
    entries
}

/// The same of the protobuf form.
fn entries_of_protobuf(bytes: &[u8]) -> Vec<Entry> {
    let document = Document::decode(bytes).unwrap();
    let mut entries = Vec::new();
    for Named { name: path, value } in document.paths.unwrap_or_default().path {
        let item = PathOperations::decode(&*value.unwrap_or_default()).unwrap();
        let operations =
            [("get", item.get), ("put", item.put), ("post", item.post), ("delete", item.delete)];
        for (name, operation) in operations {
            let by = operation.map(|by| u64::from(by[0]));
            entries.extend(by.map(|by| (path.clone(), name.to_owned(), by)));
        }
    }
    let schemas = document.components.unwrap_or_default().schemas.unwrap_or_default();
    for Named { name, value } in schemas.additional_properties {
        entries.push(("schema".to_owned(), name, u64::from(value.unwrap_or_default()[0])));
    }
    entries
}

/// Returns what the merged document must have: each entry as the first document
/// has it.
fn expected(models: &[Model]) -> BTreeSet<Entry> {
    let mut entries = BTreeMap::new();
    for Model { author, paths, schemas } in models {
        let author = u64::try_from(*author).unwrap();
        for (path, operations) in paths {
            for name in operations {
                entries.entry(((*path).to_owned(), (*name).to_owned())).or_insert(author);
            }
        }
        for name in schemas {
            entries.entry(("schema".to_owned(), (*name).to_owned())).or_insert(author);
        }
    }
    entries.into_iter().map(|((path, name), author)| (path, name, author)).collect()
}

/// Returns both forms of the merged document, and whether it was needed.
fn merged(json: &[impl AsRef<str>], protobuf: &[Vec<u8>]) -> (String, Vec<u8>, bool) {
    let outlines: Vec<_> = json.iter().map(|j| Outline::of_json(j.as_ref()).unwrap()).collect();
    let additions = Additions::new(&outlines);
    let merged = (additions.merge_json(json).unwrap(), additions.merge_protobuf(protobuf).unwrap());
    (merged.0, merged.1, !additions.is_empty())
}

proptest! {
    #[test]
    fn both_forms_have_every_entry_as_the_first_document_with_it_has_it(models in models()) {
        let json: Vec<_> = models.iter().map(Model::json).collect();
        let protobuf: Vec<_> = models.iter().map(Model::protobuf).collect();
        let (json, protobuf, _) = merged(&json, &protobuf);
        let (json, protobuf) = (entries_of_json(&json), entries_of_protobuf(&protobuf));
        prop_assert_eq!(json.iter().cloned().collect::<BTreeSet<_>>(), expected(&models));
        prop_assert_eq!(protobuf.iter().cloned().collect::<BTreeSet<_>>(), expected(&models));
        prop_assert_eq!(json.len(), expected(&models).len());
        prop_assert_eq!(protobuf.len(), expected(&models).len());
    }

    #[test]
    fn a_merge_is_needed_exactly_if_a_path_or_an_operation_is_new(models in models()) {
        let json: Vec<_> = models.iter().map(Model::json).collect();
        let protobuf: Vec<_> = models.iter().map(Model::protobuf).collect();
        let (merged_json, merged_protobuf, is_needed) = merged(&json, &protobuf);
        let paths = |json: &str| {
            let document: serde_json::Value = serde_json::from_str(json).unwrap();
            let paths = document["paths"].as_object().unwrap().clone();
            let names = paths.iter().map(|(path, item)| (path.clone(), item.as_object().unwrap().len()));
            names.collect::<BTreeSet<_>>()
        };
        prop_assert_eq!(is_needed, paths(&json[0]) != paths(&merged_json));
        let again = [merged_json.clone(), json[0].clone()];
        let (json, protobuf, is_needed) = merged(&again, &[merged_protobuf.clone(), protobuf[0].clone()]);
        prop_assert_eq!((json, protobuf), (merged_json, merged_protobuf));
        prop_assert!(!is_needed, "a merged document has everything");
    }

    #[test]
    fn any_bytes_are_read_or_refused(json: String, bytes: Vec<u8>) {
        let outline = Outline::of_json(&json).unwrap_or_default();
        let additions = Additions::new(&[Outline::default(), outline]);
        let _ = additions.merge_json(&[json.as_str(), json.as_str()]);
        let _ = additions.merge_protobuf(&[bytes.as_slice(), bytes.as_slice()]);
    }
}

#[test]
fn forms_that_do_not_say_the_same_are_not_merged() {
    let one = Model { author: 0, paths: vec![], schemas: vec![] };
    let other = Model { author: 1, paths: vec![(PATHS[0], vec!["get"])], schemas: vec![] };
    let outlines = [one.json(), other.json()].map(|json| Outline::of_json(&json).unwrap());
    let additions = Additions::new(&outlines);
    let error = additions.merge_protobuf(&[one.protobuf(), one.protobuf()]).unwrap_err();
    assert_eq!(error.to_string(), "OpenAPI document in protobuf: \"/apis/g/v1/\" is missing");
    assert!(additions.merge_json(&[one.json(), one.json()]).is_err());
    let error = Outline::of_json("{\"openapi\":\"3.0.0\"}").unwrap_err();
    assert_eq!(error.to_string(), "OpenAPI document in JSON: \"paths\" is missing");
}

/// Returns a document of a real server in both forms.
fn recorded(version: &str) -> (String, Vec<u8>) {
    let read = |form: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata");
        let file = format!("{folder}/{version}/apis_admissionregistration.k8s.io_v1.{form}.gz");
        let mut bytes = Vec::new();
        let file = std::fs::File::open(file).unwrap();
        GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
        bytes
    };
    (String::from_utf8(read("json")).unwrap(), read("pb"))
}

#[test]
fn the_documents_of_real_servers_are_united_and_the_firsts_own_bytes_stay() {
    let (old, new) = (recorded("v1.35.4"), recorded("v1.36.3"));
    let (json, protobuf, is_needed) = merged(&[&old.0, &new.0], &[old.1.clone(), new.1.clone()]);
    assert!(is_needed);
    let names = |json: &str| {
        let document: serde_json::Value = serde_json::from_str(json).unwrap();
        let names = |value: &serde_json::Value| -> BTreeSet<String> {
            value.as_object().unwrap().keys().cloned().collect()
        };
        (names(&document["paths"]), names(&document["components"]["schemas"]))
    };
    let (both, old_names, new_names) = (names(&json), names(&old.0), names(&new.0));
    assert_eq!(both.0, &old_names.0 | &new_names.0);
    assert_eq!(both.1, &old_names.1 | &new_names.1);
    assert!(both.0.iter().any(|path| path.ends_with("/mutatingadmissionpolicies")));
    // In protobuf, the same entries in the same order.
    let document = Document::decode(&*protobuf).unwrap();
    let in_order = |named: Vec<Named>| named.into_iter().map(|n| n.name).collect::<Vec<_>>();
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let paths = in_order(document.paths.unwrap().path);
    assert_eq!(paths.iter().cloned().collect::<BTreeSet<_>>(), both.0);
    assert_eq!(paths.len(), value["paths"].as_object().unwrap().len());
    let schemas = in_order(document.components.unwrap().schemas.unwrap().additional_properties);
    assert_eq!(schemas.iter().cloned().collect::<BTreeSet<_>>(), both.1);
    assert_eq!(schemas.len(), both.1.len());
    // 1.36 has all that 1.35 has, and its bytes are not touched.
    let (json, protobuf, is_needed) = merged(&[&new.0, &old.0], &[new.1.clone(), old.1]);
    assert!(!is_needed);
    assert_eq!((json, protobuf), new);
}

#[test]
fn an_index_has_no_more_documents_than_any_control_plane() {
    let index = |count| {
        let paths = (0..count).map(|n| format!("\"p{n}\":{{\"serverRelativeURL\":\"u\"}}"));
        format!("{{\"paths\":{{{}}}}}", paths.collect::<Vec<_>>().join(","))
    };
    assert!(serde_json::from_str::<OpenApiIndex>(&index(MAX_OPEN_API)).is_ok());
    let error = serde_json::from_str::<OpenApiIndex>(&index(MAX_OPEN_API + 1)).unwrap_err();
    assert!(error.to_string().starts_with("more than 40000 fields"), "{error}");
}
