//! Certificates and private keys in PEM files, read whole and checked.
//!
//! ```text
//!  file ─▶ content ─┬─▶ Certificates ─┬─▶ KeyPair
//!                   └─▶ PrivateKey  ──┘
//! ```
//!
//! The PEM that other parts get is encoded anew from what was parsed: a file may
//! hold more than it should, such as a key next to its certificate, and PEM
//! readers differ in what they tolerate. Which files there are is up to the
//! configuration; `secrets` follows the ones that are published for Envoy.

mod chain;
mod file;
mod pair;
#[cfg(test)]
mod tests;

pub use chain::Certificates;
pub use file::FileError;
pub use pair::{KeyPair, KeyPairFiles, PrivateKey};
