//! Reads the files once a second, and compares their content rather than their
//! times, for the reason that `reload.rs` gives.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::metrics::{SecretLabel, SecretMetrics};
use super::{AdsSecrets, Secrets, Settings};
use crate::certificates::{Certificates, FileError, KeyPair, KeyPairFiles};
use crate::clock::since_1970;
use crate::config::{Config, check_front_proxy};

const CHECK: Duration = Duration::from_secs(1);

/// Follows the configuration and the files that it names.
pub struct Watcher {
    configs: watch::Receiver<Arc<Config>>,
    settings: watch::Sender<Arc<Settings>>,
    metrics: SecretMetrics,
    /// What is wrong at present; logged once.
    problems: HashMap<SecretLabel, FileError>,
    /// What was new in the last read, and is not used yet.
    news: HashMap<SecretLabel, Certificates>,
}

/// The outcome of reading a secret.
enum Read<T> {
    /// The configuration does not name it.
    NotConfigured,
    Usable(T),
    /// The last good one stays.
    Unusable(FileError),
}

impl<T> Read<T> {
    /// Reads what is configured.
    fn of<C>(configured: Option<C>, read: impl FnOnce(C) -> Result<T, FileError>) -> Self {
        match configured.map(read) {
            None => Self::NotConfigured,
            Some(Ok(secret)) => Self::Usable(secret),
            Some(Err(error)) => Self::Unusable(error),
        }
    }
}

impl Watcher {
    /// Returns a watcher that sends settings to `settings`, which has those of the start.
    pub fn new(
        configs: watch::Receiver<Arc<Config>>,
        settings: watch::Sender<Arc<Settings>>,
        metrics: SecretMetrics,
    ) -> Self {
        Self { configs, settings, metrics, problems: HashMap::new(), news: HashMap::new() }
    }

    /// Runs until the sender of configurations is dropped, or no receiver is left.
    pub async fn run(mut self) {
        loop {
            let config = self.configs.borrow_and_update().clone();
            let last = self.settings.borrow().clone();
            let secrets = tokio::task::block_in_place(|| self.look(&config, &last.secrets));
            self.show(&secrets);
            let next = Settings { config, secrets };
            if next != *last {
                self.settings.send_replace(Arc::new(next));
            }
            tokio::select! {
                changed = self.configs.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(CHECK) => {}
                () = self.settings.closed() => return,
            }
        }
    }

    fn look(&mut self, config: &Config, last: &Secrets) -> Secrets {
        use SecretLabel::{ClientCa, FrontProxy, Listener, PeerCa};
        let listener = config.listener_tls.as_ref();
        let client_ca = listener.and_then(|listener| listener.client_ca_file.as_ref());
        let client_ca = Read::of(client_ca, |file| authorities(file, last.client_ca.as_ref()));
        let listener = Read::of(listener, |tls| pair(&tls.pair, last.listener.as_ref()));
        let front_proxy = config.front_proxy.as_ref();
        let front_proxy = Read::of(front_proxy, |files| pair(files, last.front_proxy.as_ref()));
        // Neither of the two is used, whichever is new.
        let clash = match (&client_ca, &front_proxy, &config.front_proxy) {
            (Read::Usable(clients), Read::Usable(pair), Some(files)) => {
                check_front_proxy(clients, pair, files).err()
            }
            _ => None,
        };
        let (client_ca, front_proxy) = match clash {
            Some(error) => (Read::Unusable(error.clone()), Read::Unusable(error)),
            None => (client_ca, front_proxy),
        };
        let peer_ca = Some(&config.peer_tls.ca_file);
        let peer_ca = Read::of(peer_ca, |file| authorities(file, Some(&last.peer_ca)));
        Secrets {
            ads: self.ads(config, last.ads.as_ref()),
            listener: self.good(Listener, listener, last.listener.as_ref()),
            client_ca: self.good(ClientCa, client_ca, last.client_ca.as_ref()),
            front_proxy: self.good(FrontProxy, front_proxy, last.front_proxy.as_ref()),
            peer_ca: self
                .good(PeerCa, peer_ca, Some(&last.peer_ca))
                .unwrap_or_else(|| last.peer_ca.clone()),
        }
    }

    /// Returns what the ADS server needs. A configuration that begins to have a server takes effect
    /// with a restart.
    fn ads(&mut self, config: &Config, last: Option<&AdsSecrets>) -> Option<AdsSecrets> {
        let (server, last) = (config.ads.as_ref()?, last?);
        let read = Read::of(Some(&server.pair), |files| pair(files, Some(&last.pair)));
        let own = self.good(SecretLabel::Ads, read, Some(&last.pair));
        let read =
            Read::of(Some(&server.client_ca_file), |file| authorities(file, Some(&last.client_ca)));
        let client_ca = self.good(SecretLabel::AdsClientCa, read, Some(&last.client_ca));
        Some(AdsSecrets { pair: own?, client_ca: client_ca? })
    }

    /// Returns what was read if it can be used, else the last good one; none if
    /// nothing is configured.
    fn good<T>(&mut self, label: SecretLabel, read: Read<T>, last: Option<&T>) -> Option<T>
    where
        T: Clone + PartialEq + std::fmt::Debug + AsRef<Certificates>,
    {
        let waiting = self.news.remove(&label);
        let next = match read {
            Read::Usable(next) => next,
            Read::Unusable(error) => {
                self.note(label, error);
                return last.cloned();
            }
            Read::NotConfigured => {
                self.problems.remove(&label);
                return None;
            }
        };
        let mended = self.problems.remove(&label).is_some();
        let is_new = last != Some(&next);
        // A file that is being written can look complete when it is not: a bundle without its last
        // authority. So what replaces another must be the same in two reads.
        if is_new && last.is_some() && waiting.as_ref() != Some(next.as_ref()) {
            self.news.insert(label, next.as_ref().clone());
            return last.cloned();
        }
        if mended || is_new {
            tracing::info!(secret = label.as_str(), content = ?next, "secret read");
        }
        Some(next)
    }

    fn note(&mut self, label: SecretLabel, error: FileError) {
        self.metrics.failed(label);
        if self.problems.get(&label) != Some(&error) {
            tracing::error!(secret = label.as_str(), %error, "secret cannot be used: the last good one stays");
            self.problems.insert(label, error);
        }
    }

    fn show(&self, secrets: &Secrets) {
        let expiry = |pair: &KeyPair| pair.certificates().expiry();
        self.metrics.expires(SecretLabel::Listener, secrets.listener.as_ref().map(expiry));
        self.metrics.expires(SecretLabel::FrontProxy, secrets.front_proxy.as_ref().map(expiry));
        let ads = secrets.ads.as_ref().map(|ads| expiry(&ads.pair));
        self.metrics.expires(SecretLabel::Ads, ads);
    }
}

/// Reads a pair. A pair that replaces another must be valid now. The one in use
/// may expire: there is no better one.
fn pair(files: &KeyPairFiles, last: Option<&KeyPair>) -> Result<KeyPair, FileError> {
    let pair = KeyPair::read(files)?;
    if last.is_some_and(|last| *last != pair) {
        pair.check_time(files, now())?;
    }
    Ok(pair)
}

/// Reads authorities. Of those that replace others, one must be valid now:
/// bundles keep expired ones.
fn authorities(file: &Path, last: Option<&Certificates>) -> Result<Certificates, FileError> {
    let certificates = Certificates::read(file)?;
    if last.is_some_and(|last| *last != certificates) {
        certificates.check_authorities(file, now())?;
    }
    Ok(certificates)
}

fn now() -> i64 {
    i64::try_from(since_1970().as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::metrics::Registry;

    struct World {
        directory: tempfile::TempDir,
        config: Arc<Config>,
        watcher: Watcher,
        registry: Registry,
    }

    impl World {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let root = directory.path().display().to_string();
            let yaml = format!(
                "stateDirectory: /s\npeers: {{static: [{{name: a, address: '10.0.0.1:6443'}}]}}\n\
                 peerTls: {{caFile: {root}/ca}}\ncredentials: {{tokenFile: /t}}\n\
                 envoy: {{directory: /e, filterModule: /f}}\n\
                 listenerTls: {{certificateFile: {root}/crt, keyFile: {root}/key, clientCaFile: {root}/ca}}\n\
                 frontProxy: {{certificateFile: {root}/crt, keyFile: {root}/key}}\n"
            );
            let config = Arc::new(Config::from_yaml(&yaml).unwrap());
            let (crt, key) = pair();
            for (name, content) in [("ca", &crt), ("crt", &crt), ("key", &key)] {
                fs::write(directory.path().join(name), content).unwrap();
            }
            let settings = Arc::new(Settings::read(Arc::clone(&config)).unwrap());
            let (_, configs) = watch::channel(Arc::clone(&config));
            let (sender, _) = watch::channel(settings);
            let mut registry = Registry::with_prefix("mixed_version_companion");
            let watcher = Watcher::new(configs, sender, SecretMetrics::new(&mut registry));
            Self { directory, config, watcher, registry }
        }

        fn write(&self, name: &str, content: &str) {
            fs::write(self.directory.path().join(name), content).unwrap();
        }

        fn look(&mut self, last: &Secrets) -> Secrets {
            self.watcher.look(&self.config, last)
        }

        /// Reads twice, which is what it takes to use something new.
        fn settle(&mut self, last: &Secrets) -> Secrets {
            let once = self.look(last);
            self.look(&once)
        }

        fn metrics(&self) -> String {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
            text
        }

        fn errors(&self, label: &str) -> u64 {
            let text = self.metrics();
            let name =
                format!("mixed_version_companion_secret_errors_total{{secret=\"{label}\"}} ");
            let line = text.lines().find_map(|line| line.strip_prefix(&name));
            line.map_or(0, |count| count.parse().unwrap())
        }
    }

    fn pair() -> (String, String) {
        pair_of((2000, 4000))
    }

    /// Returns a pair that is valid from the start of one year to that of another.
    fn pair_of((from, until): (i32, i32)) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["x".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn a_half_done_rotation_keeps_the_last_good_pair() {
        let mut world = World::new();
        let first = Settings::read(Arc::clone(&world.config)).unwrap().secrets;
        let (crt, key) = pair();
        world.write("crt", &crt);
        assert_eq!(world.look(&first), first);
        assert_eq!(world.look(&first), first);
        assert_eq!((world.errors("listener"), world.errors("front_proxy")), (2, 2));
        assert_eq!((world.errors("client_ca"), world.errors("peer_ca")), (0, 0));
        world.write("key", &key);
        let next = world.settle(&first);
        assert_ne!((&next.front_proxy, &next.peer_ca), (&first.front_proxy, &first.peer_ca));
        assert_ne!(next.listener, first.listener);
        assert_eq!(world.errors("listener"), 2);
        assert!(world.watcher.problems.is_empty());
    }

    #[test]
    fn a_missing_or_broken_authority_keeps_the_last_good_one() {
        let mut world = World::new();
        let first = Settings::read(Arc::clone(&world.config)).unwrap().secrets;
        fs::remove_file(world.directory.path().join("ca")).unwrap();
        assert_eq!(world.look(&first), first);
        world.write("ca", "");
        assert_eq!(world.look(&first), first);
        assert_eq!((world.errors("client_ca"), world.errors("peer_ca")), (2, 2));
        let (ca, _) = pair();
        world.write("ca", &ca);
        let next = world.settle(&first);
        assert_ne!(next.peer_ca, first.peer_ca);
        assert_eq!(next.client_ca.as_ref(), Some(&next.peer_ca));
    }

    #[test]
    fn half_of_a_bundle_is_not_used() {
        let mut world = World::new();
        let first = Settings::read(Arc::clone(&world.config)).unwrap().secrets;
        let (one, other) = (pair().0, pair().0);
        world.write("ca", &one);
        assert_eq!(world.look(&first), first);
        world.write("ca", &[one, other].concat());
        assert_eq!(world.look(&first), first);
        let next = world.look(&first);
        assert_eq!(
            next.peer_ca.pem(),
            fs::read_to_string(world.directory.path().join("ca")).unwrap()
        );
        // What was seen once, long ago, is as new as anything.
        world.write("ca", first.peer_ca.pem());
        assert_eq!(world.look(&next), next);
        world.write("ca", next.peer_ca.pem());
        assert_eq!(world.look(&next), next);
        world.write("ca", first.peer_ca.pem());
        assert_eq!(world.look(&next), next);
        assert_eq!(world.look(&next).peer_ca, first.peer_ca);
    }

    #[test]
    fn a_certificate_that_is_not_valid_now_replaces_nothing() {
        let mut world = World::new();
        let first = Settings::read(Arc::clone(&world.config)).unwrap().secrets;
        for (period, problem) in [((2000, 2001), "has expired"), ((3000, 4000), "is not valid yet")]
        {
            let (crt, key) = pair_of(period);
            for (name, content) in [("crt", &crt), ("key", &key), ("ca", &crt)] {
                world.write(name, content);
            }
            assert_eq!(world.settle(&first), first);
            let found = world.watcher.problems.get(&SecretLabel::Listener).unwrap();
            assert!(found.to_string().ends_with(problem), "{found}");
        }
        assert_eq!((world.errors("front_proxy"), world.errors("client_ca")), (4, 4));
        // A bundle may keep what has expired.
        let (old, new) = (pair_of((2000, 2001)).0, pair().0);
        world.write("ca", &[old, new].concat());
        assert_ne!(world.settle(&first).peer_ca, first.peer_ca);
    }

    #[test]
    fn a_certificate_that_expires_in_use_stays_without_an_error() {
        let mut world = World::new();
        let (crt, key) = pair_of((2000, 2001));
        for (name, content) in [("crt", &crt), ("key", &key), ("ca", &crt)] {
            world.write(name, content);
        }
        let expired = Settings::read(Arc::clone(&world.config)).unwrap().secrets;
        assert_eq!(world.look(&expired), expired);
        assert_eq!((world.errors("listener"), world.errors("peer_ca")), (0, 0));
    }

    #[test]
    fn what_is_no_longer_configured_is_gone() {
        let mut world = World::new();
        let first = Settings::read(Arc::clone(&world.config)).unwrap().secrets;
        let mut config = (*world.config).clone();
        config.listener_tls = None;
        config.front_proxy = None;
        let next = world.watcher.look(&config, &first);
        assert_eq!((&next.listener, &next.client_ca, &next.front_proxy), (&None, &None, &None));
        assert_eq!(next.peer_ca, first.peer_ca);
    }

    #[test]
    fn the_expiry_of_each_certificate_is_a_metric() {
        let world = World::new();
        let secrets = Settings::read(Arc::clone(&world.config)).unwrap().secrets;
        world.watcher.show(&secrets);
        let text = world.metrics();
        let expiry = secrets.listener.unwrap().certificates().expiry();
        for label in ["listener", "front_proxy"] {
            let line = format!(
                "mixed_version_companion_certificate_expiry_timestamp_seconds{{certificate=\"{label}\"}} {expiry}"
            );
            assert!(text.lines().any(|found| found == line), "{text}");
        }
    }
}
