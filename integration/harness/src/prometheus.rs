//! A real Prometheus that scrapes a stack as `monitoring/prometheus.yaml` says, with the alerts beside it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pki::ports::free_port;
use serde_json::Value;
use wire::client::Client;

use crate::artifacts::{Artifact, integration_folder};
use crate::process::{Process, Program};
use crate::stack::Stack;

/// It starts in less than a second, but many tests may share two cores.
const DEADLINE: Duration = Duration::from_secs(60);

/// A running Prometheus; dropping it ends it.
#[derive(Debug)]
pub struct Prometheus {
    // Before the client: it ends first.
    _process: Process,
    client: Client,
}

impl Prometheus {
    /// Starts one that scrapes the companion and Envoy of a stack once a second, and a mirror at a
    /// port if there is one. Fails if it does not become ready; the message shows the end of its log.
    pub async fn start(stack: &Stack, mirror: Option<u16>, folder: &Path) -> Result<Self> {
        let shipped = integration_folder().join("../monitoring");
        fs::create_dir_all(folder)?;
        fs::copy(shipped.join("alerts.yaml"), folder.join("alerts.yaml"))?;
        let mut config = fs::read_to_string(shipped.join("prometheus.yaml"))?;
        let companion = format!("127.0.0.1:{}", stack.companion.port());
        let envoy = format!("127.0.0.1:{}", stack.envoy.admin_port());
        let values = [
            ("127.0.0.1:9902", &*companion),
            ("127.0.0.1:9901", &*envoy),
            ("interval: 15s", "interval: 1s"),
        ];
        for (shipped, here) in values {
            ensure!(config.contains(shipped), "prometheus.yaml has no {shipped}");
            config = config.replace(shipped, here);
        }
        if let Some(port) = mirror {
            config.push_str(&format!(
                "\n  - job_name: mixed-version-mirror\n    static_configs:\n      \
                 - targets: [\"127.0.0.1:{port}\"]\n        labels: {{ host: lb-1 }}\n"
            ));
        }
        fs::write(folder.join("prometheus.yaml"), config)?;

        let port = free_port()?;
        let client = Client::plain(port)?;
        let binary = Artifact::Prometheus.path()?;
        let mut process = Program::new("prometheus", binary, folder.join("prometheus.log"))
            .current_dir(folder)
            .arg("--config.file=prometheus.yaml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .spawn()?;
        process.until_ok(&client, "/-/ready", DEADLINE).await?;
        Ok(Self { _process: process, client })
    }

    /// Returns the samples of an instant query. Fails if the query is not valid.
    pub async fn query(&self, query: &str) -> Result<Vec<Value>> {
        let form = [("query", query)];
        let encoded = reqwest::Url::parse_with_params("http://prometheus/api/v1/query", form)?;
        let path = encoded.query().map(|query| format!("/api/v1/query?{query}"));
        let answer = self.client.get(&path.context("no query")?).await?;
        let status = answer.status;
        let answer = answer.json()?;
        ensure!(status.is_success(), "{query}: {answer}");
        let samples = answer.pointer("/data/result").and_then(Value::as_array);
        Ok(samples.context("no result")?.clone())
    }

    /// Returns the alerts that are loaded, each with its `name`, `health`, `lastError` and `state`.
    pub async fn alerts(&self) -> Result<Vec<Value>> {
        let answer = self.client.get("/api/v1/rules?type=alert").await?.ok()?.json()?;
        let groups = answer.pointer("/data/groups").and_then(Value::as_array);
        let rules = groups.context("no groups")?.iter().filter_map(|group| group.get("rules"));
        Ok(rules.filter_map(Value::as_array).flatten().cloned().collect())
    }
}
