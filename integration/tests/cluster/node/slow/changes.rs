//! What the slow tests do to nodes.

use anyhow::{Context, Result, ensure};
use harness::wait;

use super::super::nodes::{Nodes, With};
use super::DEADLINE;

impl Nodes {
    /// From now on, nodes are prepared with Envoy.
    pub fn installs_envoy(&mut self) {
        self.with = With::Envoy;
    }

    /// Waits until a pod's program does not run.
    pub async fn ended(&self, index: usize, pod: &str) -> Result<()> {
        let pods = &self.node(index)?.pods;
        wait::until(pod, DEADLINE, async || {
            ensure!(!pods.runs(pod), "it runs");
            Ok(())
        })
        .await
    }

    /// Ends the last node at once, as `kubeadm reset` does.
    pub fn remove_last(&mut self) -> Result<()> {
        self.all.pop().context("a node").map(drop)
    }
}
