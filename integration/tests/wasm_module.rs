//! The module that ships: its exports are the callbacks that Envoy enters.

use std::collections::BTreeSet;

use anyhow::Result;
use harness::artifacts::Artifact;
use wasmparser::{Parser, Payload};

#[test]
fn only_the_callbacks_that_the_filter_needs_are_exported() -> Result<()> {
    let module = std::fs::read(Artifact::Filter.path()?)?;
    let mut callbacks = BTreeSet::new();
    for payload in Parser::new(0).parse_all(&module) {
        if let Payload::ExportSection(exports) = payload? {
            for export in exports {
                callbacks.insert(export?.name.to_owned());
            }
        }
    }
    callbacks.retain(|name| name.starts_with("proxy_on_"));
    let needed = [
        "proxy_on_configure",
        "proxy_on_request_headers",
        "proxy_on_request_trailers",
        "proxy_on_response_body",
        "proxy_on_response_headers",
        "proxy_on_response_trailers",
        "proxy_on_tick",
    ];
    assert_eq!(callbacks.into_iter().collect::<Vec<_>>(), needed);
    Ok(())
}
