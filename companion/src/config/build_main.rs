//! From the document of the main file to a [`MainConfig`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::ads::{Ads, ads};
use super::build::{COMMON, HOUR, SECOND, common};
use super::main::{ControlPlaneDirectory, ControlPlanes, MainConfig};
use super::model::{Config, EnvoyOutput};
use super::reader::{Faulty, Section};
use super::tls::{key_pair, listener_tls};
use super::value::{ClusterPrefix, absolute, address, duration};

/// Where a field of a control plane is, if there are many.
const IN_ITS_FILE: &str = "belongs in the file of each control plane, in controlPlanes.directory";

/// Fields of the file of one of many control planes, and what the main file has in their place.
const OF_MANY: [(&str, &str); 3] = [
    (
        "serverNames",
        "belongs in a file in controlPlanes.directory: a single control plane serves every server \
         name",
    ),
    ("clientCaFile", "belongs in listenerTls, or in a file in controlPlanes.directory"),
    ("frontProxySecret", "belongs in ads, or in a file in controlPlanes.directory"),
];

pub(super) fn main(mut top: Section<'_>) -> Result<MainConfig, Faulty> {
    let listen = top.or_default("listen", "127.0.0.1:9902", loopback);
    let metrics_listen = top.optional("metricsListen", address);
    let state_directory = top.required("stateDirectory", absolute);
    let ads = top.optional_section("ads", ads);
    let many = top.optional_section("controlPlanes", directory);
    let template = top.optional_section("listener", template);
    let control_planes = match many {
        Ok(None) => {
            if !matches!(template, Ok(None)) {
                top.fault(
                    "listener",
                    "requires controlPlanes: with a single control plane, you configure the \
                     listener in Envoy",
                );
            }
            let secret = ads.as_ref().ok().and_then(|ads| ads.as_ref()?.front_proxy_secret.clone());
            one(&mut top, state_directory.as_ref().ok(), secret)
                .map(|config| ControlPlanes::One(Arc::new(config)))
        }
        many => {
            let is_served = !matches!(ads, Ok(None));
            let secret = matches!(&ads, Ok(Some(ads)) if ads.front_proxy_secret.is_some());
            let states = state_directory.as_ref().ok().cloned().unwrap_or_default();
            let many = self::many(&mut top, (many, template), states, (is_served, secret));
            many.map(ControlPlanes::Many)
        }
    };
    top.refuse(
        "strictNotFound",
        "was removed and has no successor: after a type-level 404, Envoy asks the other servers by \
         itself; remove it, and the cluster mixed-version-companion from Envoy's configuration",
    );
    top.finish();
    Ok(MainConfig {
        listen: listen?,
        metrics_listen: metrics_listen?,
        state_directory: state_directory?,
        ads: ads?.map(|Ads { server, .. }| server),
        control_planes: control_planes?,
    })
}

/// The only control plane, whose fields are in the main file.
fn one(
    top: &mut Section<'_>,
    state_directory: Option<&PathBuf>,
    front_proxy_secret: Option<PathBuf>,
) -> Result<Config, Faulty> {
    let common = common(top);
    let envoy = top.section("envoy").and_then(envoy);
    let front_proxy = top.optional_section("frontProxy", key_pair);
    let has_front_proxy = !matches!(front_proxy, Ok(None));
    let listener_tls =
        top.optional_section("listenerTls", |section| listener_tls(section, has_front_proxy));
    for (field, problem) in OF_MANY {
        top.refuse(field, problem);
    }
    let (common, listener_tls) = (common?, listener_tls?);
    let (listener_tls, client_ca_file) = listener_tls.unzip();
    Ok(Config {
        server_names: None,
        // If there is none, there is a fault of it.
        state_directory: state_directory.cloned().unwrap_or_default(),
        peers: common.peers,
        local_peer: common.local_peer,
        peer_tls: common.peer_tls,
        credentials: common.credentials,
        envoy: envoy?,
        polling: common.polling,
        forget_after: common.forget_after,
        trust_first_peers: common.trust_first_peers,
        mode: common.mode,
        decision_header_groups: common.decision_header_groups,
        answering_version: common.answering_version,
        skew_policy: common.skew_policy,
        listener_tls,
        client_ca_file: client_ca_file.flatten(),
        front_proxy: front_proxy?,
        front_proxy_secret,
        request_headers: common.request_headers,
        events: common.events,
    })
}

/// The directory of many control planes, whose fields are in their files.
fn many(
    top: &mut Section<'_>,
    (path, template): (Result<Option<PathBuf>, Faulty>, Result<Option<PathBuf>, Faulty>),
    states: PathBuf,
    (has_ads, has_secret): (bool, bool),
) -> Result<ControlPlaneDirectory, Faulty> {
    let envoy = top.section("envoy").and_then(envoy_of_many);
    if !has_ads {
        top.fault("controlPlanes", "requires ads: Envoys get many control planes over ADS only");
    }
    if has_secret {
        top.fault("ads.frontProxySecret", IN_ITS_FILE);
    }
    for field in COMMON {
        top.refuse(field, IN_ITS_FILE);
    }
    top.refuse(
        "listenerTls",
        "must not be set with controlPlanes: Envoys read their own certificates",
    );
    top.refuse(
        "frontProxy",
        "must not be set with controlPlanes: each file has a frontProxySecret",
    );
    let template = template.and_then(|template| {
        template.ok_or_else(|| top.fault("listener.template", "is required with controlPlanes"))
    });
    let (filter_module, cluster_removal_delay) = envoy?;
    Ok(ControlPlaneDirectory {
        path: path?.unwrap_or_default(),
        states,
        listener_template: template?,
        filter_module,
        cluster_removal_delay,
    })
}

fn directory(mut section: Section<'_>) -> Result<PathBuf, Faulty> {
    let directory = section.required("directory", absolute);
    section.finish();
    directory
}

fn template(mut section: Section<'_>) -> Result<PathBuf, Faulty> {
    let template = section.required("template", absolute);
    section.finish();
    template
}

fn envoy(mut section: Section<'_>) -> Result<EnvoyOutput, Faulty> {
    let directory = section.optional("directory", absolute);
    let shared = shared_envoy(&mut section);
    let fixed_clusters = section.flag("fixedClusters");
    let cluster_prefix =
        section.or_default("clusterPrefix", "kube-apiserver", str::parse::<ClusterPrefix>);
    section.finish();
    let (filter_module, cluster_removal_delay) = shared?;
    Ok(EnvoyOutput {
        directory: directory?,
        filter_module,
        cluster_prefix: cluster_prefix?,
        cluster_removal_delay,
        fixed_clusters: fixed_clusters?,
    })
}

fn envoy_of_many(mut section: Section<'_>) -> Result<(PathBuf, Duration), Faulty> {
    let shared = shared_envoy(&mut section);
    section.refuse("directory", "must not be set with controlPlanes: Envoys are served over ADS");
    section.refuse(
        "fixedClusters",
        "must not be set with controlPlanes: Envoys get their clusters over ADS",
    );
    section.refuse("clusterPrefix", "is the name of each file in controlPlanes.directory");
    section.finish();
    shared
}

/// The module, and the delay for the removal of clusters.
fn shared_envoy(section: &mut Section<'_>) -> Result<(PathBuf, Duration), Faulty> {
    let filter_module = section.required("filterModule", absolute);
    let delay = section.or_default("clusterRemovalDelay", "30s", duration(SECOND, HOUR));
    Ok((filter_module?, delay?))
}

pub(super) fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| "must be an IP address and port, such as 127.0.0.1:9902")?;
    // The endpoint lists all types of the cluster and authenticates nobody.
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("must be a loopback address, such as 127.0.0.1:9902".to_owned())
    }
}
