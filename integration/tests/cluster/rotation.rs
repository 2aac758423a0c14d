//! All certificates are renewed, one kind after the other, while clients work
//! and others come: no request fails, none is sent twice, no watch ends, and an
//! authority that was removed is refused, of clients and of servers.
//!
//! ```text
//!   clients ──(1) listener──▶ Envoy ──(3) front proxy, its CA──▶ kube-apiserver × 2
//!      └──(2) client CA─────────┘  └──(4) serving certificates, their CA──┘
//! ```
//!
//! Each renewal goes as an operator's: the new authority is added beside the
//! old one, then the certificates are renewed, then the old authority goes.
//! Files are overwritten in place, the certificate some time before its key, as
//! renewal tools do that know nothing of Envoy.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use harness::control_plane::{ApiServer, ControlPlane, ServerOptions, User};
use harness::load::{Journal, Load, Operation};
use harness::manifests::CONFIG_MAPS;
use harness::promise;
use harness::report::Entry;
use harness::site::stack_options;
use harness::skew::{NEWER, OLDER, only_in};
use harness::stack::Stack;
use harness::wait;
use pki::tls;
use pki::{CertificateFiles, Pki};
use serde_json::Value;
use wire::client::{Client, ClientOptions, Http};

const PACE: Duration = Duration::from_millis(30);

const NEWCOMERS: &str = "newcomers";

/// A handshake costs more than a request.
const PACE_OF_NEWCOMERS: Duration = Duration::from_millis(100);

/// How long the load goes on before and after each change.
const QUIET: Duration = Duration::from_secs(2);

/// Within this time, it is promised, an authority that was removed is refused.
const REFUSED_WITHIN: Duration = Duration::from_secs(5);

/// Until a server, or Envoy, has read a file that was written.
const TAKEN_UP: Duration = Duration::from_secs(90);

/// Where a cluster names the secret with its certificate, and the one with the servers' authority.
const CERTIFICATE: &str = "/cluster/transport_socket/typed_config/common_tls_context\
    /tls_certificate_sds_secret_configs/0/name";
const AUTHORITY: &str = "/cluster/transport_socket/typed_config/common_tls_context\
    /combined_validation_context/validation_context_sds_secret_config/name";

#[tokio::test]
async fn no_request_fails_while_all_certificates_are_renewed() -> Result<()> {
    let mut entry = Entry::begin("cluster_rotation");
    let site = Rotating::start().await?;
    let old = site.load(&site.old_clients)?;
    works().await;

    site.renew_listener().await?;
    works().await;

    overwrite_with_both(&site.client_ca_file, &site.old_clients, &site.new_clients)?;
    let new_admin = site.client(&site.new_clients)?;
    wait::until("a certificate of the new authority", TAKEN_UP, async || {
        site.client(&site.new_clients)?.get(CONFIG_MAPS).await?.ok()
    })
    .await?;
    let new = site.load(&site.new_clients)?;
    works().await;
    let before = old.finish().await?;
    let refused = site.remove_old_client_ca().await?;
    works().await;

    site.renew_front_proxy(&new_admin).await?;
    works().await;
    let avoided = site.renew_servers().await?;
    works().await;
    let after = new.finish().await?;

    entry.set_ms("removedAuthorityRefusedAfter", refused);
    entry.set_ms("removedAuthorityOfServersRefusedAfter", avoided);
    judge(&mut entry, &[before, after])?;
    promise::ensure_kept("the removed authority was refused", REFUSED_WITHIN, refused)?;
    promise::ensure_kept("the stale server got its last request", REFUSED_WITHIN, avoided)?;
    entry.passed()
}

fn judge(entry: &mut Entry, journals: &[Journal]) -> Result<()> {
    let all = |wanted: fn(&Operation) -> bool| -> Vec<Operation> {
        journals.iter().flat_map(|journal| journal.operations(wanted)).collect()
    };
    let operations = all(|_| true).len();
    let newcomers = all(|operation| operation.label == NEWCOMERS).len();
    let failed = all(|operation| !operation.is_ok());
    // As the client sees it: Envoy's retries at another server are hidden.
    let repeated = all(|operation| operation.attempts > 1);
    let watches_ended: usize = journals.iter().map(Journal::watches_ended).sum();
    entry.set("operations", operations);
    entry.set("operationsOnConnectionsOfTheirOwn", newcomers);
    entry.set("failed", failed.len());
    entry.set("repeatedByTheClient", repeated.len());
    entry.set("watchesEnded", watches_ended);
    ensure!(failed.is_empty(), "{} of {operations} failed: {failed:#?}", failed.len());
    ensure!(repeated.is_empty(), "{} of {operations} were repeated: {repeated:#?}", repeated.len());
    ensure!(watches_ended == 0, "{watches_ended} watches ended");
    ensure!(newcomers > 0, "no new client connected");
    for unseen in journals.iter().map(Journal::unseen) {
        ensure!(unseen.is_empty(), "not seen by a watcher: {unseen:?}");
    }
    Ok(())
}

async fn works() {
    tokio::time::sleep(QUIET).await;
}

/// A control plane behind Envoy. Each certificate is in a file of its own, which a test renews.
struct Rotating {
    stack: Stack,
    plane: ControlPlane,
    /// What clients trust: it signs all of Envoy's certificates.
    listeners: Pki,
    listener: CertificateFiles,
    old_clients: Pki,
    new_clients: Pki,
    client_ca_file: PathBuf,
    peer_ca_file: PathBuf,
    new_peers: Pki,
    front_proxy: CertificateFiles,
    new_front_proxies: Pki,
}

impl Rotating {
    async fn start() -> Result<Self> {
        let server = |name, version| {
            ServerOptions::new(name, version)
                .argument("--shutdown-watch-termination-grace-period=1s")
        };
        let servers = vec![server("old", OLDER), server("new", NEWER)];
        let plane = ControlPlane::start_with(servers).await?;
        let folder = plane.folder().join("rotation");
        let pki = |name: &str| Pki::create_as(folder.join(name), name);
        let (listeners, old_clients) = (pki("listener-ca")?, pki("old-client-ca")?);
        let copy = |from: PathBuf, name: &str| -> Result<PathBuf> {
            let to = folder.join(name);
            fs::copy(&from, &to).with_context(|| from.display().to_string())?;
            Ok(to)
        };
        let listener = listeners.server("listener")?;
        let client_ca_file = copy(old_clients.ca_file(), "client-ca.crt")?;
        let peer_ca_file = copy(plane.pki().ca_file(), "peer-ca.crt")?;
        let front_proxy = plane.front_proxy().certificate();
        let front_proxy = CertificateFiles {
            certificate: copy(front_proxy.certificate.clone(), "front-proxy.crt")?,
            key: copy(front_proxy.key.clone(), "front-proxy.key")?,
        };
        let mut options = stack_options(&plane, "stack")?;
        options.server = listener.clone();
        options.ca_file.clone_from(&peer_ca_file);
        options.client_ca_file.clone_from(&client_ca_file);
        options.front_proxy = Some(front_proxy.clone());
        let stack = Stack::start_with_map(options).await?;
        Ok(Self {
            stack,
            listeners,
            listener,
            old_clients,
            new_clients: pki("new-client-ca")?,
            client_ca_file,
            peer_ca_file,
            new_peers: pki("new-peer-ca")?,
            front_proxy,
            new_front_proxies: pki("new-front-proxy-ca")?,
            plane,
        })
    }

    /// Returns an administrator with a new certificate of this authority and new connections.
    fn client(&self, clients: &Pki) -> Result<Client> {
        self.client_over(clients, Http::Two)
    }

    fn client_over(&self, clients: &Pki, http: Http) -> Result<Client> {
        Client::new(&ClientOptions { http, ..self.by_certificate(clients, "admin")? })
    }

    /// Returns an administrator with a new certificate of this authority, in these files.
    fn by_certificate(&self, clients: &Pki, file: &str) -> Result<ClientOptions> {
        let admin = User::KubernetesAdmin;
        let certificate = Some(clients.client(file, admin.name(), admin.groups())?);
        Ok(ClientOptions { certificate, ..self.anybody() })
    }

    fn by_token(&self) -> ClientOptions {
        ClientOptions { token: User::Admin.token().map(str::to_owned), ..self.anybody() }
    }

    fn anybody(&self) -> ClientOptions {
        let (url, ca_pem) = (self.stack.url(), self.listeners.ca_pem());
        ClientOptions { url, ca_pem, ..ClientOptions::default() }
    }

    fn load(&self, clients: &Pki) -> Result<Load> {
        let mut load = Load::default();
        load.objects(self.client(clients)?, "certificate-h2", PACE);
        load.objects(self.client_over(clients, Http::One)?, "certificate-h1", PACE);
        load.objects(Client::new(&self.by_token())?, "token", PACE);
        load.watcher(self.client(clients)?);
        load.watcher(Client::new(&self.by_token())?);
        load.probe(self.client(clients)?, "skewed", &only_in(NEWER, OLDER)?, PACE);
        // They read their certificate each time: it is in files of its own.
        let certificate = self.by_certificate(clients, "newcomer")?;
        for newcomer in [certificate, self.by_token()] {
            load.newcomers(newcomer, NEWCOMERS, CONFIG_MAPS, PACE_OF_NEWCOMERS)?;
        }
        Ok(load)
    }

    async fn renew_listener(&self) -> Result<()> {
        let renewed = self.listeners.server("renewed")?;
        overwrite(&self.listener, &renewed).await?;
        wait::until("Envoy to show its new certificate", TAKEN_UP, async || {
            let shown = tls::presented(self.stack.port(), &self.listeners.ca_pem()).await?;
            ensure!(shown == renewed.certificate()?, "it shows another one");
            Ok(())
        })
        .await
    }

    /// Returns the time until a certificate of the old authority is refused.
    async fn remove_old_client_ca(&self) -> Result<Duration> {
        self.client(&self.old_clients)?.get(CONFIG_MAPS).await?.ok()?;
        fs::copy(self.new_clients.ca_file(), &self.client_ca_file)?;
        let removed = Instant::now();
        wait::until("the old authority to be refused", TAKEN_UP, async || {
            // A connection of its own each time; it is refused in the handshake.
            match self.client(&self.old_clients)?.get(CONFIG_MAPS).await {
                Err(_) => Ok(()),
                Ok(answer) => anyhow::bail!("answered {}", answer.status),
            }
        })
        .await?;
        Ok(removed.elapsed())
    }

    async fn renew_front_proxy(&self, admin: &Client) -> Result<()> {
        let old = self.plane.front_proxy();
        let ca_file = old.ca_file();
        let new = self.new_front_proxies.client("renewed", "front-proxy-client", &[])?;
        overwrite_with_both(&ca_file, old.pki(), &self.new_front_proxies)?;
        self.until_servers_say(&new, 200).await?;
        let before = self.named_by_clusters(CERTIFICATE).await?;
        overwrite(&self.front_proxy, &new).await?;
        self.until_clusters_name_others(CERTIFICATE, &before).await?;
        works().await;
        admin.get(CONFIG_MAPS).await?.ok()?;
        // From here on a connection made with the old certificate would get 401.
        fs::copy(self.new_front_proxies.ca_file(), &ca_file)?;
        self.until_servers_say(old.certificate(), 401).await
    }

    async fn until_clusters_name_others(&self, at: &str, before: &BTreeSet<String>) -> Result<()> {
        wait::until("Envoy's clusters to name a new secret", TAKEN_UP, async || {
            let now = self.named_by_clusters(at).await?;
            ensure!(now.is_disjoint(before), "they name {now:?}");
            Ok(())
        })
        .await
    }

    /// Returns the secrets that Envoy's clusters name there, by its own account. The name of a secret
    /// changes with its content.
    async fn named_by_clusters(&self, at: &str) -> Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for resource in ["dynamic_active_clusters", "dynamic_warming_clusters"] {
            let dump = self.stack.envoy.admin(&format!("/config_dump?resource={resource}")).await?;
            let dump: Value = serde_json::from_str(&dump)?;
            let clusters = dump.get("configs").and_then(Value::as_array);
            let found = clusters.into_iter().flatten().filter_map(|one| one.pointer(at)?.as_str());
            names.extend(found.map(str::to_owned));
        }
        ensure!(!names.is_empty(), "no cluster has {at}");
        Ok(names)
    }

    /// Asks each server straight, as a front proxy with this certificate.
    async fn until_servers_say(&self, front_proxy: &CertificateFiles, status: u16) -> Result<()> {
        for server in self.plane.servers() {
            let what = format!("{} to answer {status} to a front proxy", server.name());
            wait::until(&what, TAKEN_UP, async || {
                let client = Client::new(&ClientOptions {
                    url: server.url(),
                    ca_pem: self.plane.pki().ca_pem(),
                    certificate: Some(front_proxy.clone()),
                    ..ClientOptions::default()
                })?;
                let request = client
                    .request(reqwest::Method::GET, CONFIG_MAPS)
                    .header("x-remote-user", "admin")
                    .header("x-remote-group", "system:masters");
                let answer = client.send(request).await?;
                ensure!(answer.status == status, "it is {}", answer.status);
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Renews one server's certificate, takes the old authority out, and then renews the other's:
    /// the time until that one, which still shows the old certificate, got no request any more.
    async fn renew_servers(&self) -> Result<Duration> {
        let before = self.named_by_clusters(AUTHORITY).await?;
        overwrite_with_both(&self.peer_ca_file, self.plane.pki(), &self.new_peers)?;
        self.until_clusters_name_others(AUTHORITY, &before).await?;
        works().await;
        // Only the second one serves what the load's probe asks for.
        let [stale, renewed] = self.plane.servers() else { bail!("there are two servers") };
        self.renew_server(renewed).await?;
        self.until_it_is_asked(stale).await?;
        fs::copy(self.new_peers.ca_file(), &self.peer_ca_file)?;
        let avoided = self.last_request(stale).await?;
        self.renew_server(stale).await?;
        self.until_it_is_asked(stale).await?;
        Ok(avoided)
    }

    async fn renew_server(&self, server: &ApiServer) -> Result<()> {
        let renewed = self.new_peers.server(server.name())?;
        overwrite(&self.plane.pki().issued(server.name()), &renewed).await?;
        let what = format!("{} to show its new certificate", server.name());
        wait::until(&what, TAKEN_UP, async || {
            let shown = tls::presented(server.port(), &self.new_peers.ca_pem()).await?;
            ensure!(shown == renewed.certificate()?, "it shows another one");
            Ok(())
        })
        .await
    }

    async fn until_it_is_asked(&self, server: &ApiServer) -> Result<()> {
        let before = self.requests(server).await?;
        wait::until(&format!("requests at {}", server.name()), TAKEN_UP, async || {
            // The companion's own look at a ConfigMap is not meant.
            let more = self.requests(server).await? - before;
            ensure!(more >= 10, "there are {more}");
            Ok(())
        })
        .await
    }

    /// When a server got its last request, as seen for longer than a busy machine may take.
    async fn last_request(&self, server: &ApiServer) -> Result<Duration> {
        let (from, mut last) = (Instant::now(), Duration::ZERO);
        let mut seen = self.requests(server).await?;
        let mut looks = tokio::time::interval(PACE_OF_NEWCOMERS);
        while from.elapsed() < 3 * REFUSED_WITHIN {
            looks.tick().await;
            let now = self.requests(server).await?;
            if now > seen {
                (seen, last) = (now, from.elapsed());
            }
        }
        Ok(last)
    }

    /// Returns how many requests of the load a server has answered, by its own count:
    /// all but watches, which go on where they are.
    async fn requests(&self, server: &ApiServer) -> Result<u64> {
        // Straight, and whichever certificate it shows.
        let ca_pem = [self.plane.pki().ca_pem(), self.new_peers.ca_pem()].concat();
        let straight = ClientOptions { url: server.url(), ca_pem, ..self.by_token() };
        let metrics = Client::new(&straight)?.get("/metrics").await?.ok()?.text();
        let counts = metrics.lines().filter(|line| {
            line.starts_with("apiserver_request_total{")
                && line.contains("resource=\"configmaps\"")
                && !line.contains("verb=\"WATCH\"")
        });
        counts
            .map(|line| anyhow::Ok(line.rsplit(' ').next().context("no count")?.parse::<u64>()?))
            .sum()
    }
}

/// In place, and not at once: for a while the pair does not match.
async fn overwrite(files: &CertificateFiles, with: &CertificateFiles) -> Result<()> {
    fs::copy(&with.certificate, &files.certificate)?;
    works().await;
    fs::copy(&with.key, &files.key)?;
    Ok(())
}

fn overwrite_with_both(file: &Path, old: &Pki, new: &Pki) -> Result<()> {
    Ok(fs::write(file, [old.ca_pem(), new.ca_pem()].concat())?)
}
