//! A list that is larger than all buffers between an API server and its client.

use anyhow::Result;
use serde_json::json;
use wire::client::Client;

/// Its path.
pub const PATH: &str = "/api/v1/namespaces/large/configmaps";

/// Its size, in bytes, at least.
pub const BYTES: usize = OBJECTS * OBJECT_BYTES;

const OBJECTS: usize = 36;
const OBJECT_BYTES: usize = 1_000_000;

/// Creates its objects. Fails if the API server refuses one.
pub async fn create(admin: &Client) -> Result<()> {
    let namespace = json!({ "metadata": { "name": "large" } });
    admin.post("/api/v1/namespaces", &namespace).await?.ok()?;
    for number in 0..OBJECTS {
        let name = format!("large-{number}");
        let object =
            json!({ "metadata": { "name": name }, "data": { "d": "d".repeat(OBJECT_BYTES) } });
        admin.post(PATH, &object).await?.ok()?;
    }
    Ok(())
}
