//! Maps that a test makes itself, pushed as the companion pushes its own.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use discovery_map::{DocumentForm, MapDocument, MergedDocument, Packer};
use fake_apiserver::Version;
use fake_apiserver::replay::Canned;
use serde_json::{Value, json};
use wire::client::{Client, Http};

use crate::fleet::Fleet;
use crate::stack::{Stack, StackOptions};
use crate::wait;

const DEADLINE: Duration = Duration::from_secs(30);

/// Where the map is in what is published.
const MAP: &str =
    "/resources/0/typed_config/extension_config/typed_config/config/configuration/value";

/// A fleet, and a stack in front of it whose maps a test makes.
#[derive(Debug)]
pub struct PushedStack {
    // Envoy goes before the peers.
    /// Envoy; the companion was killed.
    pub stack: Stack,
    /// The peers.
    pub fleet: Fleet,
    /// The map that was pushed last.
    pub map: MapDocument,
    file: PathBuf,
    response: Value,
}

impl PushedStack {
    /// Starts all of it, with these changes to the stack's options, and kills the
    /// companion when its map is complete, to go on from there. Fails if
    /// something does not become ready.
    pub async fn start(change: impl FnOnce(&mut StackOptions)) -> Result<Self> {
        Self::of(Fleet::start(&[Version::V1_35, Version::V1_36]).await?, change).await
    }

    /// The same in front of these peers. Fails as well if something does not
    /// become ready.
    pub async fn of(fleet: Fleet, change: impl FnOnce(&mut StackOptions)) -> Result<Self> {
        let mut options = fleet.stack_options()?;
        change(&mut options);
        let mut stack = Stack::start_with_map(options).await?;
        stack.companion.kill_9();
        let file = stack.options().published().join("ecds.json");
        let response: Value = serde_json::from_slice(&fs::read(&file)?)?;
        let map = response.pointer(MAP).and_then(Value::as_str).context("no map in ecds.json")?;
        let map = serde_json::from_str(map)?;
        Ok(Self { stack, fleet, map, file, response })
    }

    /// Pushes the map after this change, and waits until Envoy uses it. Fails
    /// if Envoy does not take it.
    pub async fn push(&mut self, change: impl FnOnce(&mut MapDocument)) -> Result<()> {
        change(&mut self.map);
        self.write()?;
        wait::until("the map to be used", DEADLINE, async || {
            let live = self.stack.generation().await?;
            ensure!(live == self.map.generation, "Envoy is at generation {live}");
            anyhow::Ok(())
        })
        .await
    }

    /// Writes the map under a new generation, and does not wait for Envoy.
    /// Fails if it cannot be written.
    pub fn write(&mut self) -> Result<()> {
        self.map.generation += 1;
        let map = self.response.pointer_mut(MAP).context("no map in ecds.json")?;
        *map = json!(self.map.to_json()?);
        let version = self.response.get_mut("version_info").context("no version")?;
        *version = json!(self.map.generation.to_string());
        let new = self.file.with_extension("pushed");
        fs::write(&new, self.response.to_string())?;
        Ok(fs::rename(new, &self.file)?)
    }

    /// Returns the index of the set that has this cluster. Fails if there is
    /// none.
    pub fn set_of(&self, cluster: &str) -> Result<u16> {
        let position = self.map.sets.iter().position(|set| set.cluster.as_deref() == Some(cluster));
        Ok(u16::try_from(position.with_context(|| format!("no set has {cluster}"))?)?)
    }

    /// Returns a client of Envoy. Fails if the client cannot be made.
    pub fn client(&self, http: Http) -> Result<Client> {
        self.fleet.client(&self.stack.url(), http)
    }

    /// Prescribes the answer of all peers to requests for `path`.
    pub fn all_answer_with(&self, path: &str, canned: &Canned) {
        for peer in &self.fleet.peers {
            peer.answer_with(path, canned.clone());
        }
    }

    /// Fails unless the filter's VMs are those that Envoy began with. Fails if
    /// one was started anew, or panicked.
    pub async fn is_sound(&mut self) -> Result<()> {
        for name in ["vm_reload", "vm_reload_failure", "vm_reload_success"] {
            let stat = format!("wasm.mixed-version-proxy.{name}");
            ensure!(self.stack.envoy.stat(&stat).await?.unwrap_or_default() == 0, "{name}");
        }
        let log = fs::read_to_string(self.stack.envoy.process().log())?;
        ensure!(!log.contains("panicked at"), "the filter panicked:\n{log}");
        Ok(())
    }
}

/// Returns a merged document of this content; `set` is asked about it. Fails if
/// it is too large.
pub fn merged(path: &str, form: DocumentForm, set: u16, content: &[u8]) -> Result<MergedDocument> {
    let mut packer = Packer::default();
    packer.add(content);
    Ok(MergedDocument {
        path: path.to_owned(),
        form,
        etag: None,
        set,
        peer_etag: None,
        size: u32::try_from(content.len())?,
        gzip: packer.finish(),
    })
}
