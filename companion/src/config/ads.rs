//! The section `ads`, and what it has to do with the others.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::main::{AdsServer, AllowedClient, MainConfig};
use super::reader::{FaultLog, Faulty, Section};
use super::tls::pair;
use super::value::{ClusterPrefix, absolute, address};

/// What the section has.
pub(super) struct Ads {
    pub server: AdsServer,
    /// The file with the front-proxy client certificate, as Envoy sees it.
    pub front_proxy_secret: Option<PathBuf>,
}

const ALLOWED: &str = "allowedClientNames";

pub(super) fn ads(mut section: Section<'_>) -> Result<Ads, Faulty> {
    let listen = section.required("listen", address);
    let pair = pair(&mut section);
    let client_ca_file = section.required("clientCaFile", absolute);
    let clients = allowed_clients(&mut section);
    let front_proxy_secret = section.optional("frontProxySecret", absolute);
    let max_clients = section.number("maxClients", 2_000, 1..=100_000);
    section.finish();
    let server = AdsServer {
        listen: listen?,
        pair: pair?,
        client_ca_file: client_ca_file?,
        allowed_clients: clients?,
        max_clients: usize::try_from(max_clients?).unwrap_or(usize::MAX),
    };
    Ok(Ads { server, front_proxy_secret: front_proxy_secret? })
}

/// Reads who is served: each a name, or a name and its control planes.
fn allowed_clients(section: &mut Section<'_>) -> Result<Vec<AllowedClient>, Faulty> {
    let all = |text: &str| Ok(AllowedClient { name: name(text)?, control_planes: None });
    let some = |mut section: Section<'_>| {
        let name = section.required("name", name);
        let names = section.required_strings("controlPlanes", str::parse::<ClusterPrefix>);
        section.finish();
        let names = names?.into_iter().collect::<BTreeSet<_>>();
        Ok(AllowedClient { name: name?, control_planes: Some(names) })
    };
    let clients = section.required_entries(ALLOWED, all, some)?;
    for (index, client) in clients.iter().enumerate() {
        let before = clients.iter().take(index).find(|before| before.name == client.name);
        if before.is_some_and(|before| before.control_planes != client.control_planes) {
            let problem = "has the same name as an earlier entry with different control planes; \
                           list all control planes in one entry";
            section.fault(&format!("{ALLOWED}[{index}]"), problem);
        }
    }
    Ok(clients)
}

/// Logs what contradicts itself: a map speaks of a front proxy to all Envoys or to none, and a single
/// control plane is for all Envoys.
pub(super) fn check(main: &MainConfig, log: &FaultLog) {
    let Some(config) = main.only() else { return };
    let clients = main.ads.iter().flat_map(|ads| ads.allowed_clients.iter().enumerate());
    for (index, _) in clients.filter(|(_, client)| client.control_planes.is_some()) {
        let place = format!("ads.{ALLOWED}[{index}].controlPlanes");
        let problem = "requires controlPlanes in this file: a single control plane is for every \
                       allowed client";
        log.add(place, problem);
    }
    if config.envoy.fixed_clusters && main.ads.is_some() {
        let problem = "must not be set with ads: Envoys get their clusters over ADS";
        log.add("envoy.fixedClusters", problem);
    }
    if config.envoy.fixed_clusters && config.local_peer.is_some() {
        let problem = "must not be set with localPeer, which needs an additional cluster";
        log.add("envoy.fixedClusters", problem);
    }
    let own = config.front_proxy_secret.as_ref();
    match (&config.envoy.directory, &main.ads) {
        (None, None) => {
            log.add("envoy.directory", "is required, unless Envoys are served over ads");
        }
        (Some(_), Some(_)) if own.is_some() != config.front_proxy.is_some() => {
            let (place, other) = if own.is_some() {
                ("ads.frontProxySecret", "frontProxy")
            } else {
                ("frontProxy", "ads.frontProxySecret")
            };
            let why = "because Envoys are served both by files and over ADS";
            log.add(place, format!("requires {other}, {why}"));
        }
        (None, Some(_)) => {
            let unused = "must not be set without envoy.directory: Envoys that are served over \
                          ADS read their own certificates from their own files";
            for (place, is_there) in [
                ("frontProxy", config.front_proxy.is_some()),
                ("listenerTls", config.listener_tls.is_some()),
            ] {
                if is_there {
                    log.add(place, unused);
                }
            }
        }
        _ => {}
    }
}

fn name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains('*') {
        return Err("must be a whole DNS name or URI, as certificates have it".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = "
stateDirectory: /s
peers: {static: [{name: a, address: '10.0.0.1:6443'}]}
peerTls: {caFile: /ca}
credentials: {tokenFile: /t}
";
    const ADS: &str = "listen: '0.0.0.0:9904', certificateFile: /c, keyFile: /k, \
                       clientCaFile: /clients, allowedClientNames: [envoy]";

    fn faults(yaml: &str) -> Vec<String> {
        let faults = MainConfig::from_yaml(&format!("{REST}{yaml}")).err();
        faults.iter().flat_map(|faults| faults.iter().map(ToString::to_string)).collect()
    }

    #[test]
    fn envoys_get_everything_by_files_or_over_ads_or_both() {
        let both = format!("envoy: {{directory: /e, filterModule: /f}}\nads: {{{ADS}}}");
        assert!(faults(&both).is_empty());
        let ads = format!("envoy: {{filterModule: /f}}\nads: {{{ADS}}}");
        assert!(faults(&ads).is_empty());
        let neither = faults("envoy: {filterModule: /f}");
        assert_eq!(neither, ["envoy.directory: is required, unless Envoys are served over ads"]);
    }

    #[test]
    fn clusters_are_fixed_for_envoys_that_read_files() {
        let files = "envoy: {directory: /e, filterModule: /f, fixedClusters: true}";
        assert!(faults(files).is_empty());
        let found = faults(&format!("{files}\nads: {{{ADS}}}"));
        assert!(found[0].starts_with("envoy.fixedClusters: must not be set with ads"), "{found:?}");
        let found = faults(&format!("{files}\nlocalPeer: '10.0.0.1:6443'"));
        assert!(found[0].starts_with("envoy.fixedClusters: must not be set with localPeer"));
    }

    #[test]
    fn a_front_proxy_is_there_for_all_envoys_or_for_none() {
        let pair = "{certificateFile: /fc, keyFile: /fk}";
        let files = "envoy: {directory: /e, filterModule: /f}";
        let own = "frontProxySecret: /x.yaml";
        let found = faults(&format!("{files}\nads: {{{ADS}, {own}}}"));
        assert!(found[0].starts_with("ads.frontProxySecret: requires frontProxy"), "{found:?}");
        let found = faults(&format!("{files}\nads: {{{ADS}}}\nfrontProxy: {pair}"));
        assert!(found[0].starts_with("frontProxy: requires ads.frontProxySecret"), "{found:?}");
        let all = format!("{files}\nads: {{{ADS}, {own}}}\nfrontProxy: {pair}");
        assert!(faults(&all).is_empty());
        let unused = faults(&format!(
            "envoy: {{filterModule: /f}}\nads: {{{ADS}, {own}}}\nfrontProxy: {pair}\n\
             listenerTls: {pair}"
        ));
        assert_eq!(unused.len(), 2, "{unused:?}");
        assert!(unused[0].starts_with("frontProxy: must not be set without envoy.directory"));
    }

    #[test]
    fn every_fault_of_the_section_names_its_field() {
        let found = faults(
            "envoy: {filterModule: /f}\nads: {listen: here, keyFile: k, clientCaFile: /c, \
             allowedClientNames: ['*.example.com'], maxClients: 0, frontProxySecret: 1, more: 2}",
        );
        let places: Vec<_> = found.iter().filter_map(|fault| fault.split(": ").next()).collect();
        let expected = [
            "ads.listen",
            "ads.certificateFile",
            "ads.keyFile",
            "ads.allowedClientNames[0]",
            "ads.frontProxySecret",
            "ads.maxClients",
            "ads.more",
        ];
        assert_eq!(places, expected);
        let none =
            format!("envoy: {{filterModule: /f}}\nads: {{{}}}", ADS.replace("[envoy]", "[]"));
        assert_eq!(faults(&none), ["ads.allowedClientNames: must have at least one entry"]);
    }

    #[test]
    fn an_entry_may_name_the_control_planes_of_a_client() {
        const MANY: &str = "stateDirectory: /s\ncontrolPlanes: {directory: /d}\nlistener: \
                            {template: /l}\nenvoy: {filterModule: /f}";
        let read = |clients: &str| {
            let ads = ADS.replace("[envoy]", clients);
            MainConfig::from_yaml(&format!("{MANY}\nads: {{{ads}}}"))
        };
        let faults = |clients: &str| -> Vec<_> {
            read(clients).unwrap_err().iter().map(ToString::to_string).collect()
        };
        let main = read("[all, {name: some, controlPlanes: [b, a, b]}, all]").unwrap();
        let clients = main.ads.unwrap().allowed_clients;
        let names = |client: &AllowedClient| {
            let names = client.control_planes.iter().flatten();
            (client.name.clone(), names.map(ToString::to_string).collect::<Vec<_>>())
        };
        let read_names: Vec<_> = clients.iter().map(names).collect();
        assert_eq!(
            read_names[..2],
            [("all".into(), vec![]), ("some".into(), vec!["a".into(), "b".into()])]
        );
        assert!(clients[0].control_planes.is_none() && clients[1].control_planes.is_some());

        let found = faults(
            "[7, {name: '*', controlPlanes: []}, {name: a, more: 1}, {controlPlanes: [A, '*']}, {}]",
        );
        let places: Vec<_> = found.iter().filter_map(|fault| fault.split(": ").next()).collect();
        let expected = [
            "[0]",
            "[1].name",
            "[1].controlPlanes",
            "[2].controlPlanes",
            "[2].more",
            "[3].name",
            "[3].controlPlanes[0]",
            "[3].controlPlanes[1]",
            "[4].name",
            "[4].controlPlanes",
        ]
        .map(|place| format!("ads.allowedClientNames{place}"));
        assert_eq!(places, expected);
        let twice = faults("[a, {name: a, controlPlanes: [x]}]");
        assert!(twice[0].starts_with("ads.allowedClientNames[1]: has the same name"), "{twice:?}");
    }

    #[test]
    fn a_single_control_plane_is_for_every_allowed_client() {
        let ads = ADS.replace("[envoy]", "[envoy, {name: a, controlPlanes: [kube-apiserver]}]");
        let found = faults(&format!("envoy: {{filterModule: /f}}\nads: {{{ads}}}"));
        let place = "ads.allowedClientNames[1].controlPlanes: requires controlPlanes";
        assert!(found.len() == 1 && found[0].starts_with(place), "{found:?}");
    }

    #[test]
    fn what_the_server_listens_on_cannot_change() {
        let config = |ads: &str| {
            MainConfig::from_yaml(&format!("{REST}envoy: {{filterModule: /f}}\nads: {{{ads}}}"))
                .unwrap()
        };
        let before = config(ADS);
        let names = config(&ADS.replace("[envoy]", "[a, b]"));
        assert!(before.fixed_fields_changed(&names).is_none());
        let faults = before.fixed_fields_changed(&config(&ADS.replace("9904", "9905"))).unwrap();
        assert!(faults.to_string().contains("ads.listen"), "{faults}");
    }
}
