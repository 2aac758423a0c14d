//! Which form of an OpenAPI v3 document a client gets, by its `Accept` header: as
//! k8s.io/kube-openapi/pkg/handler3 (`HandleGroupVersion`) does it. It parses the header as
//! kube-apiserver's own negotiation does, but knows no parameters and has other types.

use discovery_map::DocumentForm;

use crate::accept::media_types;

/// The subtypes below `application/`, in the order in which they are tried. The last one is the
/// older spelling.
const SUBTYPES: [(&[u8], DocumentForm); 3] = [
    (b"json", DocumentForm::Plain),
    (b"com.github.proto-openapi.spec.v3.v1.0+protobuf", DocumentForm::Protobuf),
    (b"com.github.proto-openapi.spec.v3@v1.0+protobuf", DocumentForm::Protobuf),
];

/// Returns the form that the client wants. `None` if it takes neither: then a server answers,
/// with 406.
pub(crate) fn form(accept: &[u8]) -> Option<DocumentForm> {
    if accept.is_empty() {
        return Some(DocumentForm::Plain);
    }
    media_types(accept).find_map(|(main, sub)| {
        let is_main = main == b"application" || main == b"*";
        let found = SUBTYPES.iter().find(|(subtype, _)| sub == *subtype || sub == b"*");
        found.filter(|_| is_main).map(|(_, form)| *form)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_acceptable_type_decides() {
        use DocumentForm::{Plain, Protobuf};
        const NEW: &str = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf";
        const OLD: &str = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf";
        let table = [
            ("", Some(Plain)),
            ("*/*", Some(Plain)),
            ("application/*", Some(Plain)),
            ("application/json", Some(Plain)),
            ("application/json;as=Table;v=v1;g=meta.k8s.io", Some(Plain)),
            (NEW, Some(Protobuf)),
            (OLD, Some(Protobuf)),
            (&format!("{NEW}, application/json"), Some(Protobuf)),
            (&format!("application/json, {NEW}"), Some(Plain)),
            (&format!("application/json;q=0.5, {NEW}"), Some(Protobuf)),
            (&format!("text/html, {OLD};q=0.9, */*;q=0.8"), Some(Protobuf)),
            ("text/html, */*;q=0.1", Some(Plain)),
            ("application/yaml", None),
            ("text/json", None),
            ("application/vnd.kubernetes.protobuf", None),
            (",,;", None),
        ];
        for (accept, expected) in table {
            assert_eq!(form(accept.as_bytes()), expected, "{accept}");
        }
    }
}
