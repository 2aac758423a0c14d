//! Clusters that are fixed.

use super::*;

const ALL: [&str; 3] = ["kube-apiserver", "kube-apiserver__rotation", "kube-apiserver__sets"];

fn world() -> World {
    let mut world = World::new();
    Arc::make_mut(&mut world.config).envoy.fixed_clusters = true;
    world
}

fn start(world: &World) -> Publisher<FileSink> {
    let state = Store::open(&world.config.state_directory).unwrap().load().unwrap();
    let envoy = &world.config.envoy;
    let files = FileSink::open(envoy.directory.as_deref().unwrap()).unwrap();
    let published = state.published.endpoints;
    world.start_with(files.with_fixed_clusters(envoy.cluster_prefix.clone(), published).unwrap())
}

/// The sets of the only endpoint.
fn sets(world: &World) -> Value {
    let response = world.json("eds/kube-apiserver__sets.json");
    let levels = response["resources"][0]["endpoints"].as_array().unwrap();
    let mut endpoints = levels.iter().flat_map(|level| level["lb_endpoints"].as_array().unwrap());
    let endpoint = endpoints.next().unwrap_or(&Value::Null);
    endpoint["metadata"]["filter_metadata"]["envoy.lb"]["set"].clone()
}

#[test]
fn everything_that_envoy_opens_is_there_before_the_first_map() {
    let world = world();
    let mut publisher = start(&world);
    publisher.write_listener().unwrap();
    publisher.write_first().unwrap();
    assert_eq!(world.cluster_names(), ALL, "twins need a certificate");
    for name in ALL.iter().flat_map(|name| [(*name).to_owned(), format!("{name}__front-proxy")]) {
        let response = world.json(&format!("eds/{name}.json"));
        assert_eq!(response["resources"][0]["cluster_name"], name);
    }
    assert_eq!(world.json("sds/peer-ca.json")["resources"][0]["name"], "peer-ca");
}

#[test]
fn a_set_comes_and_goes_in_a_file_that_stays() {
    let world = world();
    let mut publisher = start(&world);
    let with = snapshot(Some("kube-apiserver_b"), true);
    publisher.push(&with).unwrap();
    assert_eq!(sets(&world), serde_json::json!(["kube-apiserver_b"]));
    let clusters = fs::read(world.path("cds.json")).unwrap();
    publisher.push(&snapshot(None, true)).unwrap();
    publisher.expire(Duration::from_secs(29)).unwrap();
    assert_eq!(sets(&world), serde_json::json!(["kube-apiserver_b"]));
    publisher.expire(Duration::from_secs(1)).unwrap();
    assert_eq!(sets(&world), Value::Null);
    assert_eq!(fs::read(world.path("cds.json")).unwrap(), clusters);
    assert_eq!(world.endpoint_files().len(), 6);
}

#[test]
fn a_restarted_companion_keeps_a_set_for_the_whole_time() {
    let world = world();
    start(&world).push(&snapshot(Some("kube-apiserver_b"), true)).unwrap();
    let before = fs::read(world.path("eds/kube-apiserver__sets.json")).unwrap();
    let mut publisher = start(&world);
    assert_eq!(fs::read(world.path("eds/kube-apiserver__sets.json")).unwrap(), before);
    publisher.push(&snapshot(None, true)).unwrap();
    assert_eq!(sets(&world), serde_json::json!(["kube-apiserver_b"]));
    publisher.expire(Duration::from_secs(30)).unwrap();
    assert_eq!(sets(&world), Value::Null);
}

#[test]
fn a_damaged_file_is_written_anew() {
    let world = world();
    let mut publisher = start(&world);
    let pushed = snapshot(Some("kube-apiserver_b"), true);
    publisher.push(&pushed).unwrap();
    let path = world.path("eds/kube-apiserver__sets.json");
    fs::write(&path, "{").unwrap();
    assert_eq!(publisher.damaged(), [path.display().to_string()]);
    publisher.push_again(&pushed).unwrap().expect("published");
    assert_eq!(sets(&world), serde_json::json!(["kube-apiserver_b"]));
}
