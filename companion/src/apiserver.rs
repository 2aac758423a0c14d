//! How the companion asks an API server: the HTTP client, the credentials that
//! it presents, and the documents that it reads.
//!
//! ```text
//!  files ─▶ Credentials ─▶ ApiServerClient ─GET, …─▶ kube-apiserver
//!                               ▲
//!                            Clients: one for each peer, while nothing changed
//! ```

mod body;
mod budget;
mod client;
mod clients;
mod credentials;
mod discovery;

pub use budget::Budget;
pub use client::{Answer, ApiServerClient, FetchError, Limits};
pub use clients::Clients;
pub use credentials::CredentialsError;
pub use discovery::Validators;
