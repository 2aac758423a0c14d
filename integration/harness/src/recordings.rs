//! Makes recordings: asks real servers for all discovery documents and for the
//! samples, and writes the answers.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fake_apiserver::recordings::{AGGREGATES, DOCUMENTS, Exchange, INDEX};
use ring::digest;
use serde_json::Value;
use wire::client::Answer;
use wire::client::Http;
use wire::verbatim::VerbatimClient;

use crate::control_plane::{ControlPlane, User};
use crate::manifests::{DEFINITIONS, definition};
use crate::wait;

mod samples;

/// Headers that differ from answer to answer, or belong to the connection.
const NOT_KEPT: [&str; 8] = [
    "date",
    "audit-id",
    "x-kubernetes-pf-flowschema-uid",
    "x-kubernetes-pf-prioritylevel-uid",
    "last-modified",
    "connection",
    "content-length",
    "transfer-encoding",
];

/// Records each server of `plane` into a folder of its version under `folder`,
/// and returns those folders.
///
/// The custom resource of the samples is created when all discovery documents
/// are recorded, so these show the servers' own types only. Fails if a server
/// does not answer as expected, or a file cannot be written.
pub async fn record(plane: &ControlPlane, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut recorders = Vec::new();
    for server in plane.servers() {
        let mut recorder =
            Recorder::new(VerbatimClient::new(server.port(), &plane.pki().ca_pem())?)?;
        recorder.discovery().await.with_context(|| server.name().to_owned())?;
        recorders.push(recorder);
    }
    create_widgets(plane).await?;
    let mut folders = Vec::new();
    for recorder in &mut recorders {
        recorder.samples().await?;
        folders.push(recorder.write(folder)?);
    }
    Ok(folders)
}

/// Creates the custom resource and waits until every server serves it.
async fn create_widgets(plane: &ControlPlane) -> Result<()> {
    let first = plane.client(&plane.server(0)?.url(), User::Admin, Http::Two)?;
    first.post(DEFINITIONS, &definition("widgets", "example.com")).await?.ok()?;
    for server in plane.servers() {
        let client = plane.client(&server.url(), User::Admin, Http::Two)?;
        wait::until("widgets to be served", Duration::from_secs(30), async || {
            client.get("/apis/example.com/v1").await?.ok()?;
            client.get("/apis/example.com/v1/widgets").await?.ok()
        })
        .await?;
    }
    Ok(())
}

struct Recorder {
    client: VerbatimClient,
    authorization: String,
    exchanges: Vec<Exchange>,
    bodies: BTreeMap<PathBuf, Vec<u8>>,
}

impl Recorder {
    fn new(client: VerbatimClient) -> Result<Self> {
        let authorization = User::Admin.authorization().context("the admin has a token")?;
        Ok(Self { client, authorization, exchanges: Vec::new(), bodies: BTreeMap::new() })
    }

    /// All discovery documents, in all forms.
    async fn discovery(&mut self) -> Result<()> {
        for path in ["/version", "/openapi/v3", "/api", "/api/v1", "/apis"] {
            self.document(path).await?;
        }
        for path in ["/api", "/apis"] {
            for accept in samples::discovery_accepts() {
                self.exchange("GET", path, Some(&accept), AGGREGATES).await?;
            }
        }
        let groups = self.document("/apis").await?;
        let groups = groups.get("groups").and_then(Value::as_array).context("no groups")?;
        for group in groups {
            let name = group.get("name").and_then(Value::as_str).context("no name")?;
            self.document(&format!("/apis/{name}")).await?;
            let versions = group.get("versions").and_then(Value::as_array);
            for version in versions.context("no versions")? {
                let version = version.get("groupVersion").and_then(Value::as_str);
                self.document(&format!("/apis/{}", version.context("no version")?)).await?;
            }
        }
        Ok(())
    }

    /// Returns a document that must be there, in its ordinary form.
    async fn document(&mut self, path: &str) -> Result<Value> {
        let answer = self.exchange("GET", path, None, DOCUMENTS).await?;
        ensure!(answer.status == 200, "{path} is {}", answer.status);
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// All samples.
    async fn samples(&mut self) -> Result<()> {
        for line in samples::PLAIN.lines() {
            let (method, path) = line.split_once(' ').context("a method and a path")?;
            self.exchange(method, path, None, "samples").await?;
        }
        for path in samples::NEGOTIATED {
            for accept in samples::ACCEPTS {
                self.exchange("GET", path, Some(accept), "samples").await?;
            }
        }
        Ok(())
    }

    /// Asks once, and keeps the answer with its body in folder `kind`.
    async fn exchange(
        &mut self,
        method: &str,
        path: &str,
        accept: Option<&str>,
        kind: &str,
    ) -> Result<Answer> {
        let mut headers = vec![("authorization", self.authorization.as_str())];
        headers.extend(accept.map(|accept| ("accept", accept)));
        let body: &'static [u8] = match method {
            "POST" | "PUT" => {
                headers.push(("content-type", "application/json"));
                b"{}"
            }
            _ => b"",
        };
        let answer = self.client.request(method, path, &headers, body).await?;
        let file = body_file(kind, path, &answer);
        if let Some(file) = &file {
            self.bodies.insert(file.clone(), answer.body.clone());
        }
        let exchange = Exchange {
            method: method.to_owned(),
            path: path.to_owned(),
            accept: accept.map(str::to_owned),
            status: answer.status.as_u16(),
            headers: kept_headers(&answer),
            body: file,
        };
        if !self.exchanges.contains(&exchange) {
            self.exchanges.push(exchange);
        }
        Ok(answer)
    }

    /// Writes everything into a new folder, then puts that in the place of the
    /// old one.
    fn write(&self, folder: &Path) -> Result<PathBuf> {
        let version = self.bodies.get(Path::new("documents/version.json"));
        let version: Value = serde_json::from_slice(version.context("no version")?)?;
        let version = version.get("gitVersion").and_then(Value::as_str).context("no gitVersion")?;
        fs::create_dir_all(folder)?;
        let new = tempfile::Builder::new().prefix(".new-").tempdir_in(folder)?;
        for (file, body) in &self.bodies {
            let path = new.path().join(file);
            fs::create_dir_all(path.parent().context("a file in a folder")?)?;
            fs::write(path, body)?;
        }
        let mut index = serde_json::to_string_pretty(&self.exchanges)?;
        index.push('\n');
        fs::write(new.path().join(INDEX), index)?;
        let place = folder.join(version);
        if place.exists() {
            fs::remove_dir_all(&place)?;
        }
        fs::rename(new.keep(), &place)?;
        Ok(place)
    }
}

/// Returns where a body is kept: documents by their path, everything else by content,
/// since the same few bodies come again and again.
fn body_file(kind: &str, path: &str, answer: &Answer) -> Option<PathBuf> {
    if answer.body.is_empty() {
        return None;
    }
    let stem = match kind {
        DOCUMENTS | AGGREGATES if answer.status == 200 => path.trim_start_matches('/').to_owned(),
        _ => {
            let hash = digest::digest(&digest::SHA256, &answer.body);
            hash.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
        }
    };
    let media_type = answer.header("content-type").unwrap_or_default();
    let extension = match media_type.split(';').next().unwrap_or_default() {
        "application/vnd.kubernetes.protobuf" => "pb",
        "application/yaml" => "yaml",
        "text/plain" if kind != DOCUMENTS => "txt",
        _ => "json",
    };
    // Not `with_extension`: group names have dots.
    Some(Path::new(kind).join(format!("{stem}.{extension}")))
}

fn kept_headers(answer: &Answer) -> BTreeMap<String, String> {
    let headers = answer.headers.iter().map(|(name, value)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    headers.filter(|(name, _)| !NOT_KEPT.contains(&name.as_str())).collect()
}
