//! What the companion reads of the control plane as a whole, from any one of the serving peers.
//!
//! ```text
//!  config ─▶ Reader<ApiServices> ────▶ Origins ────────▶ index
//!  peers  ─▶ Reader<RequestHeaders…> ▶ names of headers ─▶ index
//! ```

mod api_services;
mod config_map;
mod reader;

pub use api_services::ApiServices;
pub use config_map::RequestHeadersConfigMap;
pub use reader::{Followed, Reader, Shared};
