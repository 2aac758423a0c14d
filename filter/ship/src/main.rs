//! Makes the module that ships.
//!
//! The SDK exports every callback of the ABI, and Envoy enters each callback
//! that a module exports: at the end of every stream, on trailers, on every
//! chunk of a request's body. What the filter has no use for is dropped here,
//! together with the code that only it could reach.
//!
//! ```text
//! ship IN.wasm OUT.wasm
//! ```

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use walrus::Module;

/// What the host needs of the module.
const EXPORTS: [&str; 11] = [
    "memory",
    "_initialize",
    "proxy_abi_version_0_2_1",
    "malloc",
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_request_headers",
    "proxy_on_response_headers",
    "proxy_on_response_body",
    "proxy_on_delete",
];

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(input), Some(output), None) = (arguments.next(), arguments.next(), arguments.next())
    else {
        bail!("usage: ship IN.wasm OUT.wasm");
    };
    let mut module = Module::from_file(&input).with_context(|| input.display().to_string())?;
    keep_exports(&mut module)?;
    walrus::passes::gc::run(&mut module);
    module.emit_wasm_file(&output).with_context(|| output.display().to_string())
}

fn keep_exports(module: &mut Module) -> Result<()> {
    let (kept, dropped): (Vec<_>, Vec<_>) = module
        .exports
        .iter()
        .map(|export| (export.id(), export.name.clone()))
        .partition(|(_, name)| EXPORTS.contains(&name.as_str()));
    let missing: Vec<_> =
        EXPORTS.iter().filter(|wanted| !kept.iter().any(|(_, name)| name == *wanted)).collect();
    ensure!(missing.is_empty(), "the module does not export {missing:?}");
    for (id, _) in dropped {
        module.exports.delete(id);
    }
    Ok(())
}
