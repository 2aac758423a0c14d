//! The images, pulled from a registry: the companion's and Envoy's start as an unnamed user on a
//! read-only root and serve, and Envoy runs the module of the module's image.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test, as it should")]

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;
use fake_apiserver::replay::PEER_HEADER;
use harness::artifacts::{Artifact, integration_folder};
use harness::containers::{Container, Registry};
use harness::fleet::Fleet;
use harness::namespace;
use pki::Pki;
use serde_json::Value;
use wire::client::{Client, Http};

/// Envoy compiles the module while other tests run.
const DEADLINE: Duration = Duration::from_secs(60);

/// The user of both images.
const USER: u32 = 65_532;

/// A type of the newer server only.
const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies";

/// Where both images have the modules.
const MODULES: [(&str, &str); 2] = [
    ("mixed-version-filter", "/usr/lib/mixed-version-proxy/filter.wasm"),
    ("mixed-version-filter-at-server", "/usr/lib/mixed-version-proxy/filter-at-server.wasm"),
];

#[tokio::test]
async fn images_from_a_registry_run_as_an_unnamed_user_on_a_read_only_root() -> Result<()> {
    let test = "images_from_a_registry_run_as_an_unnamed_user_on_a_read_only_root";
    if !namespace::enter(module_path!(), test)? {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let registry = Registry::start(folder.path().join("registry")).await?;
    let published = registry.publish(&Artifact::Images.path()?)?;
    let pull = |repository: &str| registry.pull(name_of(&published, repository, "")?);

    let modules = MODULES
        .map(|(repository, place)| anyhow::Ok((pull(repository)?.root.join("plugin.wasm"), place)));
    let [filter, at_server] = modules.map(|module| module.unwrap());
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
    let (etc, var) = (folder.path().join("etc"), folder.path().join("var"));
    configure(&fleet, &etc, &var)?;

    let companion = pull("mixed-version-companion")?;
    let volumes =
        [(etc.as_path(), "/etc/mixed-version-proxy"), (&var, "/var/lib/mixed-version-proxy")];
    let mut companion = companion.run(&folder.path().join("companion.log"), &volumes)?;
    companion.process.until_ok(&Client::plain(9902)?, "/readyz", DEADLINE).await?;
    has_no_rights(&companion)?;

    let envoy = pull("mixed-version-envoy")?;
    let volumes = [
        (var.as_path(), "/var/lib/mixed-version-proxy"),
        (&filter.0, filter.1),
        (&at_server.0, at_server.1),
    ];
    let mut envoy = envoy.run(&folder.path().join("envoy.log"), &volumes)?;
    // The map has come, and the module has accepted it.
    envoy.process.until_ok(&Client::plain(9903)?, "/healthz", DEADLINE).await?;
    has_no_rights(&envoy)?;
    for (pulled, place) in [&filter, &at_server] {
        let runs = fs::read(envoy.proc()?.join("root").join(place.trim_start_matches('/')))?;
        assert!(runs == fs::read(pulled)?, "Envoy has another module in {place}");
    }

    let client = fleet.client("https://127.0.0.1:6443", Http::Two)?;
    for _ in 0..60 {
        let answer = client.get(POLICIES).await?.ok()?;
        assert_eq!(answer.header(PEER_HEADER), Some("cp-2"));
    }
    let admin = Client::plain(9901)?;
    let skewed = "mixed_version_proxy_requests_total{decision=\"skewed\"} ";
    let counted = envoy.process.until("the filter's counter", DEADLINE, async || {
        let metrics = admin.get("/stats/prometheus").await?.ok()?.text();
        let count = metrics
            .lines()
            .find_map(|line| line.strip_prefix(skewed))
            .context("none")?
            .parse::<u32>()?;
        ensure!(count >= 60, "{count} of 60");
        anyhow::Ok(())
    });
    counted.await
}

#[tokio::test]
async fn both_forms_of_a_modules_image_have_the_module_as_it_ships() -> Result<()> {
    let test = "both_forms_of_a_modules_image_have_the_module_as_it_ships";
    if !namespace::enter(module_path!(), test)? {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let registry = Registry::start(folder.path()).await?;
    let published = registry.publish(&Artifact::Images.path()?)?;
    let filter = Artifact::Filter.path()?;
    for ((repository, _), file) in MODULES.iter().zip([filter.clone(), at_server(&filter)]) {
        let ships = fs::read(file)?;
        let one_layer = registry.pull(name_of(&published, repository, "")?)?;
        let files: Vec<_> =
            fs::read_dir(&one_layer.root)?.map(|file| file.unwrap().file_name()).collect();
        assert_eq!(files, ["plugin.wasm"]);
        assert!(fs::read(one_layer.root.join("plugin.wasm"))? == ships, "{repository}");
        let artifact = name_of(&published, repository, "-artifact")?;
        let module =
            registry.layer(artifact, "application/vnd.module.wasm.content.layer.v1+wasm")?;
        assert!(module == ships, "{artifact}");
        let about = registry.layer(artifact, "application/vnd.module.wasm.config.v1+json")?;
        let about: Value = serde_json::from_slice(&about)?;
        assert_eq!(about["type"], "envoy_proxy");
    }
    Ok(())
}

#[test]
fn images_depend_on_what_files_contain_only() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let filter = Artifact::Filter.path()?;
    // A copy has other times and, here, another mode.
    let copy = folder.path().join("filter.wasm");
    fs::copy(&filter, &copy)?;
    fs::copy(at_server(&filter), at_server(&copy))?;
    fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let images = folder.path().join("images");
    let tool = integration_folder().join("../tools/images");
    ensure!(Command::new(tool).arg(&images).arg(&copy).status()?.success());
    for (repository, _) in MODULES {
        assert_eq!(
            tagged(&images.join(repository))?,
            tagged(&Artifact::Images.path()?.join(repository))?
        );
    }
    Ok(())
}

/// Returns the tags of an image layout with their digests.
fn tagged(layout: &Path) -> Result<Vec<(String, String)>> {
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json"))?)?;
    let entries =
        index["manifests"].as_array().context("no manifests")?.iter().filter_map(|entry| {
            // What is attached to an image has no tag.
            let tag = entry["annotations"]["org.opencontainers.image.ref.name"].as_str()?;
            Some((tag.to_owned(), entry["digest"].as_str()?.to_owned()))
        });
    let tagged: Vec<_> = entries.collect();
    ensure!(tagged.len() == 2, "{index}");
    Ok(tagged)
}

fn at_server(filter: &Path) -> std::path::PathBuf {
    filter.with_file_name("filter-at-server.wasm")
}

/// Returns the name of the image in this repository whose tag is the version with this ending.
fn name_of<'a>(published: &'a [String], repository: &str, ending: &str) -> Result<&'a str> {
    let part = format!("/{repository}:{}{ending}@", env!("CARGO_PKG_VERSION"));
    let name = published.iter().find(|name| name.contains(&part));
    name.map(String::as_str).with_context(|| format!("no {part} in {published:?}"))
}

/// Writes the configuration of the load balancer for these peers, and what it names.
fn configure(fleet: &Fleet, etc: &Path, var: &Path) -> Result<()> {
    let options = fleet.stack_options()?;
    let tls = etc.join("tls");
    fs::create_dir_all(&tls)?;
    fs::create_dir_all(var)?;
    let front_proxy = Pki::create(var.with_file_name("front-proxy"))?.client(
        "front-proxy-client",
        "front-proxy-client",
        &[],
    )?;
    options.server.copy_to(&tls, "server")?;
    front_proxy.copy_to(&tls, "front-proxy-client")?;
    for file in ["peer-ca.crt", "client-ca.crt"] {
        fs::copy(&options.ca_file, tls.join(file))?;
    }
    fs::write(etc.join("token"), &options.token)?;
    let shipped = integration_folder().join("../envoy-config/load-balancer/companion.yaml");
    let mut config = fs::read_to_string(shipped)?;
    for (name, address) in &options.peers {
        let line = config.lines().find(|line| line.contains(&format!("name: {name},")));
        let line = line.context("no such peer")?.to_owned();
        config =
            config.replace(&line, &format!("    - {{ name: {name}, address: \"{address}\" }}"));
    }
    let left_out = "    - { name: cp-3, address: \"192.0.2.13:6443\" }\n";
    ensure!(config.contains(left_out), "another third peer is shipped");
    fs::write(etc.join("companion.yaml"), config.replace(left_out, ""))?;
    give_to_user(etc)?;
    give_to_user(var)
}

/// Makes the images' user the owner, unless there is no such user here.
fn give_to_user(folder: &Path) -> Result<()> {
    if !has_users()? {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            give_to_user(&path)?;
        }
        chown(path, Some(USER), Some(USER))?;
    }
    Ok(chown(folder, Some(USER), Some(USER))?)
}

/// Returns whether this namespace has the images' user.
fn has_users() -> Result<bool> {
    let map = fs::read_to_string("/proc/self/uid_map")?;
    let count: u32 = map.split_whitespace().nth(2).context("no count")?.parse()?;
    Ok(count > USER)
}

/// Fails if the process in a container is root, has capabilities, or can write to its root.
fn has_no_rights(container: &Container) -> Result<()> {
    let proc = container.proc()?;
    let status = fs::read_to_string(proc.join("status"))?;
    ensure!(status.lines().any(|line| line.trim_end() == "CapEff:\t0000000000000000"), "{status}");
    let owner = fs::metadata(&proc)?.uid();
    ensure!(!has_users()? || owner == USER, "it runs as {owner}");
    let mounts = fs::read_to_string(proc.join("mountinfo"))?;
    let root = mounts.lines().rfind(|line| line.split(' ').nth(4) == Some("/"));
    ensure!(
        root.is_some_and(|line| line
            .split(' ')
            .nth(5)
            .is_some_and(|options| options.starts_with("ro"))),
        "{mounts}"
    );
    Ok(())
}
