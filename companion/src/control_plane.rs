//! What the companion reads from any one of the serving peers, since all of
//! them say the same about it.

mod origins;
mod request_headers;

pub use origins::OriginsReader;
pub use request_headers::Reader as RequestHeadersReader;
