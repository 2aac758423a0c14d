//! The harness of the tests above unit level: everything real that they start,
//! and sets of fake API servers.
//!
//! ```text
//!   tests/wasm_*     the module, without Envoy
//!   tests/replay_*   fake API servers only
//!   tests/envoy      func-e + Envoy + companion + fake API servers
//!   tests/cluster    func-e + Envoy + companion + real control planes
//!   tests/slow_*     the same, for long
//! ```
//!
//! Invariants:
//!
//! - Nothing outlives the test that started it: every child dies with its
//!   handle, and with the test process if that is killed (see [`process`]).
//! - Nothing sleeps for a fixed time to synchronize; [`wait`] polls a condition
//!   up to a deadline and reports what it waited for if the deadline passes.
//! - Tests run in parallel: each uses free ports and a directory of its own.
//! - Environment variables that the Makefile sets name the programs under test
//!   (see [`artifacts`]), so no test runs against a stale build.
//!
//! This library is test code, so its errors are [`anyhow::Error`] with the
//! context that a person who reads a failed run needs. `docs/testing.md` says
//! what each module gives.

pub mod ads;
pub mod artifacts;
pub mod audit_logs;
pub mod browser;
pub mod builtin_types;
pub mod clusters;
pub mod companion;
pub mod containers;
pub mod control_plane;
pub mod differences;
pub mod document;
pub mod envoy;
pub mod fleet;
pub mod gateway;
pub mod hostile;
pub mod kubeconfig;
pub mod large_list;
pub mod load;
pub mod load_balancer;
pub mod manifests;
pub mod measure;
pub mod namespace;
pub mod old_discovery;
pub mod process;
pub mod prometheus;
pub mod promise;
pub mod pseudo_terminal;
pub mod pushed;
pub mod recordings;
pub mod relay;
pub mod report;
pub mod shared_ingress;
pub mod shell;
pub mod simulated;
pub mod site;
pub mod skew;
pub mod stack;
pub mod support;
pub mod tap;
pub mod terminal;
pub mod transcript;
pub mod wait;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use crate::artifacts::integration_folder;

    #[test]
    fn testing_md_lists_every_module() {
        let text = fs::read_to_string(integration_folder().join("../docs/testing.md")).unwrap();
        let (_, table) = text.split_once("\nThe modules of `harness`").unwrap();
        let rows = table.lines().skip_while(|line| !line.starts_with('|'));
        let rows = rows.take_while(|line| line.starts_with('|'));
        let listed: BTreeSet<_> =
            rows.filter_map(|row| row.strip_prefix("| `")?.split('`').next()).collect();
        let files = fs::read_dir(integration_folder().join("harness/src")).unwrap();
        let files: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        let modules = files.iter().filter_map(|file| file.to_str()?.strip_suffix(".rs"));
        let modules: BTreeSet<_> = modules.filter(|module| *module != "lib").collect();
        assert_eq!(listed, modules);
    }
}
