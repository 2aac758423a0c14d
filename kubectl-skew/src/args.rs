//! The flags. Those of the connection are kubectl's own, by the same names.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

/// How long a companion or an API server may take to answer, unless the user says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// The port of the companion's endpoint, unless its configuration says otherwise.
const COMPANION_PORT: u16 = 9902;

/// Where the facts come from.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// The companion's endpoint, such as http://127.0.0.1:9902. Without it, the companion's pod is
    /// looked for, and its port is forwarded.
    #[arg(long, value_name = "URL", global = true)]
    pub companion: Option<http::Uri>,
    /// The companion's pod. Without it, a ready one is chosen by its labels.
    #[arg(long, value_name = "POD", global = true, conflicts_with = "companion")]
    pub companion_pod: Option<String>,
    /// The kubeconfig file of the cluster that runs the companion's pod. Without it, that is the control
    /// plane itself; a hosted control plane's companion runs in the hosting cluster.
    #[arg(long, value_name = "FILE", global = true, conflicts_with_all = ["companion", "servers", "all_servers"])]
    pub companion_kubeconfig: Option<PathBuf>,
    /// The port of the endpoint in the companion's pod: `listen` in its configuration.
    #[arg(long, value_name = "PORT", global = true, default_value_t = COMPANION_PORT)]
    pub companion_port: u16,
    /// The control plane, if the companion has several.
    #[arg(long, value_name = "NAME", global = true)]
    pub control_plane: Option<String>,
    /// An API server to read without a companion, such as https://10.0.0.1:6443; can be repeated.
    #[arg(short, long = "server", value_name = "URL", global = true, conflicts_with = "companion")]
    pub servers: Vec<http::Uri>,
    /// Read all API servers of the control plane without a companion: those in the EndpointSlices
    /// of the Service default/kubernetes.
    #[arg(long, global = true, conflicts_with_all = ["companion", "servers"])]
    pub all_servers: bool,
    /// The name that each server's certificate must have. Without it, that is the host of its URL;
    /// with --all-servers, it is `kubernetes`.
    #[arg(long, value_name = "NAME", global = true)]
    pub tls_server_name: Option<String>,
    /// The kubeconfig file. Without it, $KUBECONFIG counts, then ~/.kube/config.
    #[arg(long, value_name = "FILE", global = true)]
    pub kubeconfig: Option<PathBuf>,
    /// The context in the kubeconfig.
    #[arg(long, value_name = "NAME", global = true)]
    pub context: Option<String>,
    /// The cluster in the kubeconfig.
    #[arg(long, value_name = "NAME", global = true)]
    pub cluster: Option<String>,
    /// The user in the kubeconfig.
    #[arg(long, value_name = "NAME", global = true)]
    pub user: Option<String>,
    /// The user to impersonate.
    #[arg(long = "as", value_name = "USER", global = true)]
    pub impersonate: Option<String>,
    /// A group to impersonate; can be repeated.
    #[arg(long = "as-group", value_name = "GROUP", global = true)]
    pub impersonate_groups: Vec<String>,
    /// The namespace of the companion's pod; for `explain`, that of the request.
    #[arg(short, long, value_name = "NAME", global = true)]
    pub namespace: Option<String>,
    /// How long each answer may take, such as 5s; 0 for no limit.
    #[arg(long, value_name = "DURATION", global = true, value_parser = timeout, default_value = "10s")]
    pub request_timeout: Timeout,
}

impl Connection {
    /// Returns whether the API servers are read without a companion.
    pub fn is_direct(&self) -> bool {
        self.all_servers || !self.servers.is_empty()
    }

    /// Returns the flags for the cluster that runs the companion's pod.
    pub fn of_companion(&self) -> Self {
        let Some(file) = &self.companion_kubeconfig else { return self.clone() };
        Self {
            kubeconfig: Some(file.clone()),
            context: None,
            cluster: None,
            user: None,
            impersonate: None,
            impersonate_groups: Vec::new(),
            ..self.clone()
        }
    }

    /// Returns whether the kubeconfig can only be that of a hosting cluster: its companion was found by its
    /// pod, and has several control planes.
    pub fn is_of_hosting_cluster(&self) -> bool {
        let finds_pod = !self.is_direct() && self.companion.is_none();
        finds_pod && self.control_plane.is_some() && self.companion_kubeconfig.is_none()
    }
}

/// How long an answer may take; `None` for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout(pub Option<Duration>);

impl Default for Timeout {
    fn default() -> Self {
        Self(Some(PATIENCE))
    }
}

/// How a result is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table.
    #[default]
    Table,
    /// A table with more columns.
    Wide,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// When output has color.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless $NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Reads a duration as kubectl does: a number without a unit counts seconds.
fn timeout(text: &str) -> Result<Timeout, String> {
    let seconds = text.parse().ok().map(Duration::from_secs);
    let parsed = seconds.map_or_else(|| humantime::parse_duration(text), Ok);
    let time = parsed.map_err(|error| format!("{error}; it must be a duration such as 5s"))?;
    Ok(Timeout((!time.is_zero()).then_some(time)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{PATIENCE, Timeout, timeout};

    #[test]
    fn a_timeout_is_read_as_kubectl_reads_it() {
        let seconds = |count| Ok(Timeout(Some(Duration::from_secs(count))));
        assert_eq!(timeout("5"), seconds(5));
        assert_eq!(timeout("2m"), seconds(120));
        assert_eq!(timeout("0"), Ok(Timeout(None)));
        assert!(timeout("soon").is_err());
        assert_eq!(timeout("10s"), Ok(Timeout(Some(PATIENCE))));
    }
}
