//! Makes the modules that ship, of one build.
//!
//! Envoy enters each callback that a module exports, and the SDK exports all
//! callbacks of the ABI: at a stream's beginning and end, on trailers, on every
//! chunk of a request's body. This program gives the filter's own callbacks the
//! ABI's names, and drops the SDK's with the code that only they could reach.
//!
//! The filter in the listener and the filter at the servers are the same code.
//! The latter judges responses only, so its module has no callbacks for requests:
//! they cost nothing there.
//!
//! ```text
//! ship IN.wasm FILTER.wasm AT-SERVER.wasm
//! ```

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use walrus::Module;

/// What each module exports: the name in the build, and the ABI's.
type Exports = [(&'static str, &'static str)];

const FILTER: [(&str, &str); 11] = [
    ("memory", "memory"),
    ("malloc", "malloc"),
    ("_initialize", "_initialize"),
    ("proxy_abi_version_0_2_1", "proxy_abi_version_0_2_1"),
    ("filter_on_configure", "proxy_on_configure"),
    ("filter_on_tick", "proxy_on_tick"),
    ("filter_on_request_headers", "proxy_on_request_headers"),
    ("filter_on_request_trailers", "proxy_on_request_trailers"),
    ("filter_on_response_headers", "proxy_on_response_headers"),
    ("filter_on_response_body", "proxy_on_response_body"),
    ("filter_on_response_trailers", "proxy_on_response_trailers"),
];

const AT_SERVER: [(&str, &str); 8] = [
    ("memory", "memory"),
    ("malloc", "malloc"),
    ("_initialize", "_initialize"),
    ("proxy_abi_version_0_2_1", "proxy_abi_version_0_2_1"),
    ("at_server_on_configure", "proxy_on_configure"),
    ("filter_on_response_headers", "proxy_on_response_headers"),
    ("filter_on_response_body", "proxy_on_response_body"),
    ("filter_on_response_trailers", "proxy_on_response_trailers"),
];

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let mut next = || arguments.next();
    let (Some(input), Some(filter), Some(at_server), None) = (next(), next(), next(), next())
    else {
        bail!("usage: ship IN.wasm FILTER.wasm AT-SERVER.wasm");
    };
    ship(&input, &filter, &FILTER)?;
    ship(&input, &at_server, &AT_SERVER)
}

fn ship(input: &Path, output: &Path, exports: &Exports) -> Result<()> {
    let mut module = Module::from_file(input).with_context(|| input.display().to_string())?;
    choose_exports(&mut module, exports)?;
    walrus::passes::gc::run(&mut module);
    module.emit_wasm_file(output).with_context(|| output.display().to_string())
}

fn choose_exports(module: &mut Module, exports: &Exports) -> Result<()> {
    let mut missing: Vec<_> = exports.iter().map(|(built, _)| *built).collect();
    let mut needless = Vec::new();
    for export in module.exports.iter_mut() {
        match exports.iter().find(|(built, _)| *built == export.name) {
            Some((built, name)) => {
                missing.retain(|wanted| wanted != built);
                export.name = (*name).to_owned();
            }
            None => needless.push(export.id()),
        }
    }
    ensure!(missing.is_empty(), "the module does not export {missing:?}");
    for id in needless {
        module.exports.delete(id);
    }
    Ok(())
}
