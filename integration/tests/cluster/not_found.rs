//! Real servers answer 404 in CBOR (feature gate `CBORServingAndStorage`, KEP-4222), and the filter tells
//! unknown types from objects that do not exist without a parser of CBOR.

use anyhow::{Context, Result, ensure};
use harness::control_plane::{ControlPlane, ServerOptions, User};
use harness::skew::{NEWER, OLDER};
use reqwest::Method;
use routing::not_found::{Body, is_type_level};
use wire::client::{Client, Http};

use super::requests::kinds::UNKNOWN;

const CBOR: &str = "application/cbor";

/// Objects that do not exist, of types that do.
const ABSENT: [&str; 3] = [
    "/api/v1/namespaces/default/pods/absent",
    "/api/v1/namespaces/absent",
    "/apis/apps/v1/namespaces/default/deployments/absent",
];

/// Asks for a path in CBOR. Returns whether the 404 is a type-level one, as the filter reads it.
async fn is_type_level_404(client: &Client, method: Method, path: &str) -> Result<bool> {
    let answer = client.send_with(method.clone(), path, &[("accept", CBOR)]).await?;
    ensure!(answer.status == 404, "{path}: {answer:?}");
    let media_type = answer.header("content-type").context("no media type")?;
    let body = match (&method, answer.header("content-length")) {
        (&Method::HEAD, length) => Body::Withheld(length.unwrap_or("0").parse()?),
        _ => Body::Whole(&answer.body),
    };
    println!("{method} {path}: {media_type}");
    Ok(is_type_level(media_type.as_bytes(), body))
}

#[tokio::test]
async fn a_404_in_cbor_is_read_as_those_in_other_encodings() -> Result<()> {
    for version in [OLDER, NEWER] {
        let server = ServerOptions::new("cp", version)
            .argument("--feature-gates=CBORServingAndStorage=true");
        let plane = ControlPlane::start_with(vec![server]).await?;
        let client = plane.client(&plane.server(0)?.url(), User::Admin, Http::Two)?;
        for path in UNKNOWN {
            for method in [Method::GET, Method::HEAD] {
                let found = is_type_level_404(&client, method.clone(), path).await?;
                ensure!(found, "{version}: {method} {path}");
            }
        }
        for path in ABSENT {
            ensure!(!is_type_level_404(&client, Method::GET, path).await?, "{version}: {path}");
        }
    }
    Ok(())
}
