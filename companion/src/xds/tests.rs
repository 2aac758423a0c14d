//! The golden file.

use std::path::Path;

use super::*;
use crate::certificates::{Certificates, KeyPair};
use crate::endpoints::Endpoints;

fn source(directory: &str, name: &str) -> ConfigSource {
    ConfigSource::Path(format!("/e/{directory}/{name}.json").into())
}

fn to_json(cluster: &Cluster) -> serde_json::Value {
    cluster.to_json(&source("eds", &cluster.name), |name| source("sds", name))
}

/// Compares everything that Envoy is told with what an Envoy last accepted. After an intended
/// change, set UPDATE_GOLDEN=1 and let Envoy validate it.
#[test]
fn the_resources_are_those_of_the_golden_file() {
    let secret = |name: &str, content| Secret { name: name.to_owned(), content };
    let certificates = Certificates::of_text("CERTIFICATE\n");
    let pair = SecretContent::KeyPair(KeyPair::of_text(certificates.clone(), "KEY\n"));
    let authorities = SecretContent::Authorities(Some(certificates));
    let peer_ca = "peer-ca-0123456789abcdef";
    let levels = ["10.0.0.1:6443", "[fd00::2]:6443"].map(|text| vec![text.parse().unwrap()]);
    let cluster = Cluster {
        name: "kube-apiserver".to_owned(),
        server_name: "kubernetes".parse().unwrap(),
        peer_ca: peer_ca.to_owned(),
        present: None,
        after_denial: None,
        by_set: false,
        module: Module::of_only("/lib/filter.wasm"),
        ejects: true,
    };
    let twin = Cluster {
        name: "kube-apiserver__front-proxy".to_owned(),
        present: Some("front-proxy-0123456789abcdef".to_owned()),
        ..cluster.clone()
    };
    let set = Cluster {
        name: "kube-apiserver_cp-1".to_owned(),
        after_denial: Some("kube-apiserver__rotation".to_owned()),
        ..cluster.clone()
    };
    let sets = Cluster { name: "kube-apiserver__sets".to_owned(), by_set: true, ..cluster.clone() };
    let [first, second] = ["10.0.0.1:6443", "[fd00::2]:6443"].map(|text| text.parse().unwrap());
    let in_sets = [
        vec![(first, ["kube-apiserver_cp-1"].into())],
        Vec::new(),
        vec![(second, ["kube-apiserver_cp-1_cp-2", "kube-apiserver_cp-2"].into())],
    ];
    let filter = FilterConfig {
        map: "{\"map\":true}".to_owned(),
        module: Module::of_only("/lib/filter.wasm"),
    };
    let resources = [
        secret("listener", pair).to_json(),
        secret("client-ca", SecretContent::Authorities(None)).to_json(),
        secret(peer_ca, authorities).to_json(),
        endpoints(&cluster.name, &Endpoints::of_levels(levels)),
        to_json(&cluster),
        to_json(&twin),
        to_json(&set),
        endpoints_by_set(&sets.name, &in_sets),
        to_json(&sets),
        filter.to_json(),
    ];
    let now = serde_json::to_string_pretty(&response(7, &resources)).unwrap() + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/resources.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    assert_eq!(now, std::fs::read_to_string(path).unwrap());
}

#[test]
fn the_names_of_many_control_planes_say_whose_they_are() {
    let module = Module { file: "/f.wasm".into(), control_plane: Some("a".parse().unwrap()) };
    let filter = FilterConfig { map: String::new(), module: module.clone() }.to_json();
    assert_eq!(filter["name"], "mixed-version-proxy/a");
    let at = "/typed_config/extension_config/typed_config/config";
    let config = filter.pointer(at).unwrap();
    assert_eq!(config["root_id"], "mixed-version-proxy/a");
    assert_eq!(config["vm_config"]["vm_id"], "mixed-version-proxy");
    let at_server = upstream_filters(None, &module);
    let at = "/0/typed_config/extension_config/typed_config/config";
    let config = at_server.pointer(at).unwrap();
    assert_eq!(config["root_id"], "mixed-version-proxy-at-server/a");
    assert_eq!(config["vm_config"]["vm_id"], "mixed-version-proxy");
    let name = of_control_plane(module.control_plane.as_ref(), CLIENT_CA);
    assert_eq!(name, "a/client-ca");
}
