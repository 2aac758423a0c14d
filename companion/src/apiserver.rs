//! How the companion asks an API server: the HTTP client, the credentials that
//! it presents, and the documents that it reads.
//!
//! ```text
//!  files ─▶ Credentials ─▶ Client ──GET──▶ kube-apiserver
//! ```

mod client;
mod credentials;
mod discovery;

pub(crate) use client::Client;
pub use client::FetchError;
pub(crate) use credentials::Identity;
pub use credentials::IdentityError;
pub(crate) use discovery::Validators;
