//! The configurations in the chart's pods: those of `envoy-config`, and accepted by the programs
//! that read them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use harness::artifacts::{Artifact, integration_folder};
use harness::differences::differences;
use pki::Pki;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::pod::{Objects, Pod};
use super::{Rendered, all, containers, example, render};

fn shipped(file: &str) -> Result<Value> {
    let text = fs::read_to_string(integration_folder().join("../envoy-config").join(file))?;
    Ok(serde_saphyr::from_str(&text)?)
}

fn of(rendered: &Rendered, config_map: &str, key: &str) -> Result<Value> {
    let text = rendered.one("ConfigMap", config_map)?["data"][key].as_str().context("text")?;
    Ok(serde_saphyr::from_str(text)?)
}

/// Takes from a list what has this name.
fn take(list: &mut Value, name: &str) -> Result<Value> {
    let list = list.as_array_mut().context("a list")?;
    let place = list.iter().position(|entry| entry["name"] == name);
    Ok(list.remove(place.with_context(|| format!("no {name}"))?))
}

/// Takes what every pod's Envoy has beside the shipped configuration: its statistics.
fn take_metrics(envoy: &mut Value) -> Result<()> {
    let admin = take(&mut envoy["static_resources"]["clusters"], "admin")?;
    ensure!(admin.to_string().contains("127.0.0.1"), "{admin}");
    let metrics = take(&mut envoy["static_resources"]["listeners"], "metrics")?;
    let routes = metrics
        .pointer("/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/routes");
    let routes = routes.and_then(Value::as_array).context("routes")?;
    ensure!(routes.len() == 2 && routes[0]["match"]["path"] == "/stats/prometheus", "{routes:?}");
    ensure!(routes[1]["direct_response"]["status"] == 404, "{routes:?}");
    Ok(())
}

#[test]
fn envoy_of_a_pair_has_the_load_balancers_configuration() -> Result<()> {
    let settings = ["--set=envoy.maxConnections=7,envoy.maxHeapMiB=1000".to_owned()];
    let mut envoy = of(&render(&settings)?, "-envoy", "envoy.yaml")?;
    take_metrics(&mut envoy)?;
    // It had no cluster.
    let clusters =
        envoy["static_resources"].as_object_mut().context("no fields")?.remove("clusters");
    ensure!(clusters == Some(json!([])), "{clusters:?}");
    let found = differences(&shipped("load-balancer/envoy.yaml")?, &envoy, "");
    let monitors = "/overload_manager/resource_monitors";
    let expected = [
        format!("{monitors}/0/typed_config/max_active_downstream_connections: 20000 ≠ 7"),
        format!("{monitors}/1/typed_config/max_heap_size_bytes: 2147483648 ≠ 1048576000"),
        "/static_resources/listeners/0/address/socket_address/address: \"127.0.0.1\" ≠ \"::\""
            .to_owned(),
        "/static_resources/listeners/0/address/socket_address/ipv4_compat: null ≠ true".to_owned(),
    ];
    ensure!(found == expected, "{found:#?}");
    Ok(())
}

#[test]
fn envoy_of_a_fleet_has_the_shared_ingress_configuration() -> Result<()> {
    let rendered = render(&[example("fleet")])?;
    let mut envoy = of(&rendered, "envoy-large", "envoy.yaml")?;
    take_metrics(&mut envoy)?;
    let mut shipped = shipped("shared-ingress/envoy.yaml")?;
    let mut companions = [&mut shipped, &mut envoy]
        .map(|file| take(&mut file["static_resources"]["clusters"], "companion"))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let endpoints = companions.iter_mut().map(|cluster| cluster["load_assignment"].take());
    let endpoints = endpoints.map(|endpoints| endpoints.to_string()).collect::<Vec<_>>();
    ensure!(
        endpoints[1].contains("test-mixed-version-proxy-companions.planes.svc"),
        "{endpoints:?}"
    );
    ensure!(companions[0] == companions[1], "{companions:?}");
    let found = differences(&shipped, &envoy, "");
    let expected = ["/node/metadata", "/overload_manager", "/static_resources/listeners/0/address"];
    ensure!(found.len() == 4, "{found:#?}");
    for difference in &found {
        ensure!(expected.iter().any(|place| difference.starts_with(place)), "{found:#?}");
    }
    let mirror = of(&rendered, "envoy-large", "mirror.yaml")?;
    ensure!(mirror["controlPlanes"] == json!(["blue"]), "{mirror}");
    let own = json!({ "mixed-version-proxy": { "controlPlanes": ["blue"] } });
    ensure!(envoy["node"]["metadata"] == own, "{envoy}");
    Ok(())
}

#[test]
fn the_companion_of_a_pair_has_the_load_balancers_configuration() -> Result<()> {
    let companion = of(&render(&[])?, "-companion", "companion.yaml")?;
    let found = differences(&shipped("load-balancer/companion.yaml")?, &companion, "");
    let places: Vec<_> = found.iter().filter_map(|found| found.split(": ").next()).collect();
    let expected = [
        "/credentials/clientCertificate",
        "/credentials/tokenFile",
        "/metricsListen",
        "/peers/endpointSlices",
        "/peers/static",
    ];
    ensure!(places == expected, "{found:#?}");
    Ok(())
}

#[test]
fn the_companion_and_envoy_accept_what_their_pods_have() -> Result<()> {
    let mut checked = 0;
    for values in all() {
        let rendered = render(&values)?;
        for (name, pod) in rendered.pods() {
            let folder = TempDir::new()?;
            let objects = stand_ins(&rendered, &folder.path().join("pki"))?;
            let files = folder.path().join("pod");
            let pod = Pod::create(pod, &objects, files, Artifact::Filter.path()?)
                .with_context(|| name.to_owned())?;
            checked += check(&pod, name)?;
        }
    }
    ensure!(checked == 9, "{checked} configurations");
    Ok(())
}

/// Has each container's program check its configuration. Returns how many did.
fn check(pod: &Pod<'_>, name: &str) -> Result<usize> {
    let mut checked = 0;
    for container in ["companion", "mirror", "envoy"] {
        let Ok(arguments) = pod.arguments(container) else { continue };
        let config = arguments.iter().position(|argument| argument.starts_with("--config"));
        let config = config.and_then(|place| arguments.get(place + 1)).context("no --config")?;
        let mut command = if container == "envoy" {
            if let Some(folder) = pod.mount(container, "/var/lib/mixed-version-proxy/envoy")? {
                published(&folder)?;
            }
            let mut command = Command::new(Artifact::Envoy.path()?);
            command.args(["--mode", "validate", "--log-level", "warn", "-c"]);
            command
        } else {
            let mut command = Command::new(Artifact::Companion.path()?);
            command.arg("check-config");
            command.args((container == "mirror").then_some("--mirror"));
            command.arg("--config");
            command
        };
        let output = command.arg(config).output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, said) = (text(&output.stdout), text(&output.stderr));
        ensure!(output.status.success(), "{name}, {container}: {out}{said}");
        checked += 1;
    }
    Ok(checked)
}

/// Makes what the companion writes before Envoy starts.
fn published(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder.join("sds"))?;
    for file in ["cds.json", "ecds.json", "sds/listener.json", "sds/client-ca.json"] {
        fs::write(folder.join(file), "{\"resources\": []}")?;
    }
    Ok(())
}

/// Returns the ConfigMaps, and Secrets in place of those that users have.
fn stand_ins(rendered: &Rendered, folder: &Path) -> Result<Objects> {
    let mut objects = Objects::default();
    rendered.all("ConfigMap").try_for_each(|object| objects.add(object))?;
    let pki = Pki::create(folder.join("servers"))?;
    // Every namespace has it.
    objects.add(&json!({
        "kind": "ConfigMap",
        "metadata": { "name": "kube-root-ca.crt" },
        "data": { "ca.crt": pki.ca_pem() },
    }))?;
    let front_proxy = Pki::create_as(folder.join("front-proxy"), "front-proxy-ca")?;
    for pod in rendered.pods().values() {
        let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
        let sources = volumes.flat_map(|volume| {
            let projected = volume["projected"]["sources"].as_array().cloned().unwrap_or_default();
            projected.into_iter().chain([volume.clone()])
        });
        for secret in sources.map(|source| source["secret"].clone()).filter(Value::is_object) {
            let name = secret.get("name").or(secret.get("secretName")).and_then(Value::as_str);
            let name = name.context("a Secret without a name")?;
            let authority = if name.contains("front-proxy") { &front_proxy } else { &pki };
            for key in secret["items"].as_array().into_iter().flatten() {
                let key = key["key"].as_str().context("a key")?;
                objects.add_secret(name, key, fs::read(stand_in(authority, name, key)?)?);
            }
        }
    }
    Ok(objects)
}

fn stand_in(authority: &Pki, secret: &str, key: &str) -> Result<PathBuf> {
    let issued = || {
        let issued = authority.issued(secret);
        if issued.certificate.exists() { Ok(issued) } else { authority.server(secret) }
    };
    Ok(match key {
        "tls.crt" => issued()?.certificate,
        "tls.key" => issued()?.key,
        key if key.ends_with("ca.crt") => authority.ca_file(),
        // Any text is a token.
        _ => authority.ca_file(),
    })
}

#[test]
fn only_known_containers_run() -> Result<()> {
    for values in all() {
        for (name, pod) in render(&values)?.pods() {
            for container in containers(pod) {
                let known = ["companion", "mirror", "envoy"].map(Value::from);
                ensure!(known.contains(&container["name"]), "{name}: {container}");
            }
        }
    }
    Ok(())
}
