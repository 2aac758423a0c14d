//! One request's life, by area. Each name reads as a sentence.

#![cfg(test)]

mod callback_table;
mod configuration;
mod control_planes;
mod cost;
mod documents;
mod doubt;
mod extended_documents;
mod failing_host;
mod header_maps;
mod identity;
mod metrics;
mod modes;
mod not_found;
mod orders;
mod routing;
mod setup;
mod skew_policy;
mod trace;
