//! Merged documents: which are refused, and how they are found.

use crate::{Destination, DiscoveryMap, DocumentForm, MapDocument, MergedDocument};

const GOLDEN: &str = include_str!("../../../golden/map.json");

fn golden() -> MapDocument {
    serde_json::from_str(GOLDEN).unwrap()
}

fn document(path: &str, form: DocumentForm) -> MergedDocument {
    MergedDocument {
        path: path.into(),
        form,
        etag: None,
        set: 0,
        peer_etag: None,
        size: 1,
        gzip: "H4sI".into(),
    }
}

fn faults_of(documents: Vec<MergedDocument>) -> Vec<String> {
    let map = DiscoveryMap::try_from(MapDocument { documents, ..golden() });
    map.map_or_else(|faults| faults.iter().map(ToString::to_string).collect(), |_| Vec::new())
}

#[test]
fn the_golden_file_has_one_of_each() {
    let mut map = DiscoveryMap::from_json(GOLDEN.as_bytes()).unwrap();
    let subset = Destination::Cluster("kube-apiserver_cp-2");
    let apis = map.document(b"/apis", DocumentForm::AggregatedV2).unwrap();
    assert_eq!((apis.index, apis.destination), (0, subset));
    assert_eq!(apis.document.peer_etag.as_deref(), Some("A74552DF"));
    assert!(apis.document.etag.as_ref().unwrap().starts_with("94504FDB"));
    assert_eq!(map.document(b"/apis", DocumentForm::Plain), None);
    assert_eq!(map.document(b"/api", DocumentForm::AggregatedV2), None);
    assert!(!map.has_no_documents());

    assert_eq!(map.open_api_v2(), Some(subset));
    assert_eq!(map.open_api_v3(b"apis/admissionregistration.k8s.io/v1"), Some(subset));
    assert_eq!(map.open_api_v3(b"apis/apps/v1"), None);
    assert_eq!(map.rotation, ["10.0.0.1:6443", "[fd00::2]:6443"]);
    assert!(!map.just_left);

    let packed = map.take_packed();
    assert_eq!((packed.len(), packed[0].size), (1, 96));
    assert!(map.document(b"/apis", DocumentForm::AggregatedV2).is_some());
}

#[test]
fn documents_are_found_whatever_their_order() {
    let paths = ["/openapi/v3", "/apis/apps/v1", "/apis", "/api/v1", "/apis/apps", "/api"];
    let mut documents: Vec<_> =
        paths.iter().map(|path| document(path, DocumentForm::Plain)).collect();
    documents.push(document("/apis", DocumentForm::AggregatedV2beta1));
    documents.push(document("/apis", DocumentForm::AggregatedV2));
    for (size, document) in (1..).zip(&mut documents) {
        document.size = size;
    }
    let wanted = documents.clone();
    let mut map = DiscoveryMap::try_from(MapDocument { documents, ..golden() }).unwrap();
    let packed = map.take_packed();
    for document in wanted {
        let found = map.document(document.path.as_bytes(), document.form).unwrap();
        assert_eq!(packed[found.index].size, document.size as usize, "{}", document.path);
        assert_eq!(found.document.form, document.form);
    }
}

#[test]
fn every_fault_is_reported_with_its_place() {
    let odd = MergedDocument {
        path: "/version".into(),
        form: DocumentForm::AggregatedV2,
        etag: Some("\"A\"".into()),
        set: 7,
        peer_etag: Some(String::new()),
        size: 0,
        gzip: "H4sI=".into(),
    };
    assert_eq!(
        faults_of(vec![odd]),
        [
            "documents[0].path: \"/version\" is not the path of a discovery document",
            "documents[0].form: must be plain: only /api and /apis are aggregated, and only what \
             is below /openapi/v3/ is protobuf",
            "documents[0].etag: \"\\\"A\\\"\" must be visible ASCII without quotes, not empty",
            "documents[0].set: set index 7 is out of range: the map has 3 sets",
            "documents[0].peerEtag: \"\" must be visible ASCII without quotes, not empty",
            "documents[0].size: must be between 1 and 67108864",
            "documents[0].gzip: must be base64, with padding, and not empty",
        ],
    );
}

#[test]
fn a_document_may_be_listed_once_in_each_form() {
    let plain = || document("/apis", DocumentForm::Plain);
    assert_eq!(
        faults_of(vec![plain(), document("/api", DocumentForm::Plain), plain()]),
        ["documents[2]: has the path and form of an earlier document"],
    );
    assert!(faults_of(vec![plain(), document("/apis", DocumentForm::AggregatedV2)]).is_empty());
}

#[test]
fn only_discovery_documents_are_merged() {
    let refused = [
        "",
        "/",
        "apis",
        "/apis/",
        "/apis//v1",
        "/apis/g/v1/pods",
        "/api/v1/pods",
        "/openapi/v2",
        "/openapi/v3/",
        "/openapi/v3/api",
        "/openapi/v3/version",
        "/openapi/v3/apis/apps",
        "/openapi/v3/apis/apps/v1/",
    ];
    for path in refused {
        let etag = Some("A".to_owned());
        let document = MergedDocument { etag, ..document(path, DocumentForm::Plain) };
        assert_eq!(faults_of(vec![document]).len(), 1, "{path}");
    }
}

#[test]
fn only_group_versions_have_open_api_documents_in_two_forms_and_with_an_etag() {
    let with_etag = |path: &str, form| {
        let etag = Some("A".to_owned());
        MergedDocument { etag, ..document(path, form) }
    };
    for path in ["/openapi/v3/api/v1", "/openapi/v3/apis/apps/v1"] {
        let forms = [DocumentForm::Plain, DocumentForm::Protobuf];
        assert!(faults_of(forms.map(|form| with_etag(path, form)).to_vec()).is_empty());
        let aggregated = with_etag(path, DocumentForm::AggregatedV2);
        assert_eq!(faults_of(vec![aggregated]).len(), 1);
        let nameless = document(path, DocumentForm::Plain);
        assert_eq!(
            faults_of(vec![nameless]),
            ["documents[0].etag: is required below /openapi/v3/"]
        );
    }
    assert_eq!(faults_of(vec![document("/openapi/v3", DocumentForm::Protobuf)]).len(), 1);
    assert_eq!(faults_of(vec![document("/apis", DocumentForm::Protobuf)]).len(), 1);
}

#[test]
fn invalid_base64_is_refused_before_unpacking() {
    for gzip in ["", "=", "====", "A", "AAA", "AA=A", "A===", "AA A", "AA-_", "AAAA\n"] {
        let mut odd = document("/apis", DocumentForm::Plain);
        odd.gzip = gzip.into();
        assert_eq!(faults_of(vec![odd]).len(), 1, "{gzip:?}");
    }
}

#[test]
fn open_api_and_the_rotation_are_checked_as_well() {
    let mut document = golden();
    document.open_api.v2 = Some(9);
    document.open_api.v3.insert("/api/v1".into(), 8);
    document.rotation = ["10.0.0.1:6443", "cp-1", "[FD00::2]:6443"].map(str::to_owned).into();
    let faults = DiscoveryMap::try_from(document).unwrap_err();
    assert_eq!(
        faults.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "rotation[1]: \"cp-1\" must be an IP address and port, such as 10.0.0.1:6443",
            "rotation[2]: \"[FD00::2]:6443\" must be an IP address and port, such as 10.0.0.1:6443",
            "openApi.v2: set index 9 is out of range: the map has 3 sets",
            "openApi.v3[\"/api/v1\"]: must be a path below /openapi/v3/",
            "openApi.v3[\"/api/v1\"]: set index 8 is out of range: the map has 3 sets",
        ],
    );
}
