//! Makes the module that ships.
//!
//! Envoy enters each callback that a module exports, and the SDK exports all
//! callbacks of the ABI: at a stream's beginning and end, on trailers, on every
//! chunk of a request's body. This program gives the filter's own callbacks the
//! ABI's names, and drops the SDK's with the code that only they could reach.
//!
//! ```text
//! ship IN.wasm OUT.wasm
//! ```

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use walrus::Module;

/// The exports that the host needs: the name in the build, and the ABI's.
const EXPORTS: [(&str, &str); 11] = [
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
    ("filter_on_http_call_response", "proxy_on_http_call_response"),
];

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(input), Some(output), None) = (arguments.next(), arguments.next(), arguments.next())
    else {
        bail!("usage: ship IN.wasm OUT.wasm");
    };
    let mut module = Module::from_file(&input).with_context(|| input.display().to_string())?;
    choose_exports(&mut module)?;
    walrus::passes::gc::run(&mut module);
    module.emit_wasm_file(&output).with_context(|| output.display().to_string())
}

fn choose_exports(module: &mut Module) -> Result<()> {
    let mut missing: Vec<_> = EXPORTS.iter().map(|(built, _)| *built).collect();
    let mut needless = Vec::new();
    for export in module.exports.iter_mut() {
        match EXPORTS.iter().find(|(built, _)| *built == export.name) {
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
