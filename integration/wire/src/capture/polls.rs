//! The companion's requests, which a fake API server answers.

use anyhow::Result;
use reqwest::Method;

use super::connection::Connection;
use super::request::CapturedRequest;
use crate::frames::Field;

/// An answer.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<Field>,
    pub(super) body: Vec<u8>,
}

/// What the companion sends that decides about the answer.
const ASKED: [&str; 2] = ["accept", "if-none-match"];
/// What the companion looks at in an answer.
const SAID: [&str; 4] = ["content-type", "etag", "retry-after", "x-peer"];

/// Has the fake API server answer.
pub(super) async fn answer(connection: &Connection, request: &CapturedRequest) -> Result<Reply> {
    let polls = &connection.shared.polls;
    let method = Method::from_bytes(&request.method)?;
    let mut forwarded = polls.request(method, std::str::from_utf8(&request.path)?);
    for name in ASKED {
        if let Some(value) = request.value(name) {
            forwarded = forwarded.header(name, value);
        }
    }
    let answer = polls.send(forwarded).await?;
    let headers = SAID.iter().filter_map(|name| {
        let value = answer.headers.get(*name)?;
        Some((name.as_bytes().to_vec(), value.as_bytes().to_vec()))
    });
    Ok(Reply { status: answer.status.as_u16(), headers: headers.collect(), body: answer.body })
}
