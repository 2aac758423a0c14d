//! The companion's endpoint: at a URL, or on loopback of the companion's pod by port-forward.
//!
//! ```text
//!  URL ── TCP ───────────────────────────┐
//!  pod ── kube-apiserver ── port-forward ┴── HTTP/1.1 ── /v1/map, /v1/peers, …
//! ```

mod pods;

use anyhow::{Context, Result, bail, ensure};
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::args::Connection;
use crate::changes::Changes;
use crate::endpoint::{Answer, Endpoint, Who};
use crate::facts::{Envoys, Facts, Peer, Published};
use crate::kubeconfig;

/// A companion, and the control plane of it that is meant.
pub struct Companion {
    endpoint: Endpoint,
    /// What the paths of the control plane begin with.
    prefix: String,
    /// The number of companions beside it that are ready, if its pod was found by its labels.
    pub others: usize,
}

/// An entry of `/v1/control-planes`.
#[derive(Deserialize)]
struct Listed {
    name: String,
}

impl Companion {
    /// Connects, and chooses the control plane.
    ///
    /// # Errors
    /// It cannot be found or reached, or has several control planes and none is named.
    pub async fn connect(args: &Connection) -> Result<Self> {
        let (mut endpoint, others) = match &args.companion {
            Some(url) => (Endpoint::at(url, Who::Companion, args.request_timeout).await?, 0),
            None => {
                let client = kubeconfig::client(&args.of_companion()).await?;
                let pod = pods::find(&client, args).await?;
                (pods::forward(client, &pod, args).await?, pod.others)
            }
        };
        let prefix = match &args.control_plane {
            Some(name) => format!("/v1/control-planes/{name}"),
            None => choose(&mut endpoint).await?,
        };
        Ok(Self { endpoint, prefix, others })
    }

    /// Reads what the companion knows of the control plane.
    ///
    /// # Errors
    /// It does not answer, or has no map yet.
    pub async fn facts(&mut self) -> Result<Facts> {
        let published: Published = self.of_control_plane("map").await?;
        let peers: Vec<Peer> = self.of_control_plane("peers").await?;
        Facts::new(published, peers).context("the companion's map is not valid")
    }

    /// Reads which Envoys the companion serves over ADS.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn envoys(&mut self) -> Result<Envoys> {
        let path = "/v1/envoys";
        self.endpoint.get(path).await?.json(path)
    }

    /// Reads the last changes of the control plane. None of a companion that does not tell them yet.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn changes(&mut self) -> Result<Changes> {
        let path = self.path("events");
        let answer = self.endpoint.get(&path).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(Changes::default());
        }
        Ok(Changes(answer.json(&path)?))
    }

    /// Returns the path of a document of the control plane.
    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    /// Reads a text. Returns whether the answer is a success, too.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn text(&mut self, path: &str) -> Result<(bool, String)> {
        let Answer { status, body } = self.endpoint.get(path).await?;
        Ok((status.is_success(), String::from_utf8_lossy(&body).into_owned()))
    }

    async fn of_control_plane<T: DeserializeOwned>(&mut self, name: &str) -> Result<T> {
        let path = self.path(name);
        self.endpoint.get(&path).await?.json(&path)
    }
}

/// Returns the prefix of the only control plane.
async fn choose(endpoint: &mut Endpoint) -> Result<String> {
    let Answer { status, .. } = endpoint.get("/v1/peers").await?;
    if status == StatusCode::OK {
        return Ok("/v1".to_owned());
    }
    let path = "/v1/control-planes";
    let all: Vec<Listed> = endpoint.get(path).await?.json(path)?;
    let names: Vec<_> = all.iter().map(|one| one.name.as_str()).collect();
    match names.as_slice() {
        [] => bail!("the companion has no control plane yet"),
        [only] => Ok(format!("{path}/{only}")),
        several => bail!(
            "the companion has several control planes: choose one with --control-plane ({})",
            several.join(", ")
        ),
    }
}

impl Answer {
    /// Reads the document.
    fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let text = String::from_utf8_lossy(&self.body);
        let (status, text) = (self.status, text.trim());
        ensure!(status == StatusCode::OK, "{path} of the companion answered {status}: {text}");
        let document = serde_json::from_slice(&self.body);
        document.with_context(|| format!("{path} of the companion cannot be read"))
    }
}
