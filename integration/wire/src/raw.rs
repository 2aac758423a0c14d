//! Clients that send any bytes, over TLS with or without a client certificate:
//! whatever a hostile client can send.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use pki::{CertificateFiles, tls};
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::CONNECT_LIMIT;
use crate::frames::{self, Blocks, END_STREAM, Field, Frame, kind};

/// A client of the TLS server on 127.0.0.1, with one connection per call.
#[derive(Debug, Clone)]
pub struct Raw {
    port: u16,
    server_name: String,
    one: Arc<ClientConfig>,
    two: Arc<ClientConfig>,
}

/// How an HTTP/2 stream ended for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// An answer of this status.
    Status(u16),
    /// Only the stream was reset, with this error code.
    Reset(u32),
    /// The connection was closed.
    Closed,
    /// Nothing arrived before the deadline.
    Silence,
}

/// A request over HTTP/2.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The header block, pseudo-headers included.
    pub headers: Vec<Field>,
    /// The body, unless the header block ends the request.
    pub body: Option<Vec<u8>>,
    /// The trailers, if there are any.
    pub trailers: Option<Vec<Field>>,
}

impl Raw {
    /// Returns a client of the server on `port`, whose certificate `ca_pem`
    /// signed, that presents `files`. Fails if a certificate cannot be read.
    pub fn new(port: u16, ca_pem: &str, files: Option<&CertificateFiles>) -> Result<Self> {
        let config = |protocol| tls::client(ca_pem, files, &[protocol]);
        let (one, two) = (Arc::new(config("http/1.1")?), Arc::new(config("h2")?));
        Ok(Self { port, server_name: "localhost".to_owned(), one, two })
    }

    /// Returns a client that asks for the server of this name (SNI).
    #[must_use]
    pub fn asking_for(mut self, server_name: &str) -> Self {
        server_name.clone_into(&mut self.server_name);
        self
    }

    /// Returns a connection for HTTP/1.1. Fails if the server does not accept
    /// it.
    pub async fn one(&self) -> Result<One> {
        Ok(One { stream: self.connect(&self.one).await?, received: Vec::new(), ended: false })
    }

    /// Sends these bytes on a connection for HTTP/1.1, and returns all that
    /// came until the server closed it. Fails if the connection cannot be made
    /// or breaks without an answer, or nothing closes it within `limit`.
    pub async fn exchange(&self, bytes: &[u8], limit: Duration) -> Result<Vec<u8>> {
        let mut stream = self.connect(&self.one).await?;
        write(&mut stream, bytes).await?;
        let mut answer = Vec::new();
        let end = tokio::time::timeout(limit, stream.read_to_end(&mut answer)).await;
        match end.context("the server does not close the connection")? {
            // A server that resets after a request it disliked has answered.
            Err(error) if answer.is_empty() => Err(error.into()),
            _ => Ok(answer),
        }
    }

    /// Returns a connection for HTTP/2. Fails if the server does not accept it.
    pub async fn two(&self) -> Result<Two> {
        let mut stream = self.connect(&self.two).await?;
        let greeting = [frames::PREFACE.to_vec(), frames::greeting()].concat();
        write(&mut stream, &greeting).await?;
        Ok(Two { stream, blocks: Blocks::default(), next: 1 })
    }

    async fn connect(&self, config: &Arc<ClientConfig>) -> Result<TlsStream<TcpStream>> {
        let connect = tls::connect_as(self.port, config, &self.server_name);
        tokio::time::timeout(CONNECT_LIMIT, connect).await.context("no connection")?
    }
}

async fn write(stream: &mut TlsStream<TcpStream>, bytes: &[u8]) -> Result<()> {
    stream.write_all(bytes).await?;
    Ok(stream.flush().await?)
}

/// A connection of HTTP/1.1.
#[derive(Debug)]
pub struct One {
    stream: TlsStream<TcpStream>,
    received: Vec<u8>,
    ended: bool,
}

impl One {
    /// Sends these bytes. Fails if the connection is gone.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        write(&mut self.stream, bytes).await
    }

    /// Reads until there are `count` answers, the connection ends, or `limit`
    /// has passed. Returns the statuses of all answers so far.
    pub async fn statuses(&mut self, count: usize, limit: Duration) -> Vec<u16> {
        let read = async {
            while !self.ended && statuses(&self.received).len() < count {
                let read = self.stream.read_buf(&mut self.received).await;
                // Closed, or reset after an answer: the same to a client.
                self.ended = !matches!(read, Ok(1..));
            }
        };
        tokio::time::timeout(limit, read).await.ok();
        statuses(&self.received)
    }

    /// Returns whether the server has closed the connection.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Returns all bytes that came.
    pub fn received(&self) -> &[u8] {
        &self.received
    }
}

/// Returns the statuses of all answers in these bytes except 1xx; 101 counts. Bodies
/// must not contain a status line.
fn statuses(bytes: &[u8]) -> Vec<u16> {
    let start = b"HTTP/1.";
    let starts = bytes.windows(start.len()).enumerate().filter(|(_, window)| window == start);
    let heads = starts.filter_map(|(at, _)| {
        let head = bytes.get(at..)?;
        head.windows(4).any(|window| window == b"\r\n\r\n").then_some(head)
    });
    let statuses = heads.filter_map(|head| {
        let status: u16 = std::str::from_utf8(head.get(9..12)?).ok()?.parse().ok()?;
        (status >= 200 || status == 101).then_some(status)
    });
    statuses.collect()
}

/// A connection of HTTP/2.
#[derive(Debug)]
pub struct Two {
    stream: TlsStream<TcpStream>,
    blocks: Blocks,
    next: u32,
}

impl Two {
    /// Sends a request on a new stream, and returns the stream's number. Fails
    /// if the connection is gone.
    pub async fn send(&mut self, request: &Request) -> Result<u32> {
        let id = self.next;
        self.next += 2;
        let more = request.body.is_some() || request.trailers.is_some();
        let mut bytes = frames::headers(id, &request.headers, !more);
        if let Some(body) = &request.body {
            let flags = if request.trailers.is_some() { 0 } else { END_STREAM };
            bytes.extend(Frame::new(kind::DATA, flags, id, body.as_slice()).bytes());
        }
        if let Some(trailers) = &request.trailers {
            bytes.extend(frames::headers(id, trailers, true));
        }
        write(&mut self.stream, &bytes).await?;
        Ok(id)
    }

    /// Starts a request on a new stream, and returns the stream's number. The
    /// body and the trailers follow. Fails if the connection is gone.
    pub async fn begin(&mut self, fields: &[Field]) -> Result<u32> {
        let id = self.next;
        self.next += 2;
        write(&mut self.stream, &frames::headers(id, fields, false)).await?;
        Ok(id)
    }

    /// Ends the request of stream `id` with these trailers. Fails if the
    /// connection is gone.
    pub async fn end(&mut self, id: u32, trailers: &[Field]) -> Result<()> {
        write(&mut self.stream, &frames::headers(id, trailers, true)).await
    }

    /// Sends a piece of the request's body on stream `id`. Fails if the connection is gone.
    pub async fn send_data(&mut self, id: u32, bytes: &[u8]) -> Result<()> {
        write(&mut self.stream, &Frame::new(kind::DATA, 0, id, bytes).bytes()).await
    }

    /// Resets stream `id` with CANCEL. Fails if the connection is gone.
    pub async fn reset(&mut self, id: u32) -> Result<()> {
        const CANCEL: u32 = 8;
        let frame = Frame::new(kind::RST_STREAM, 0, id, CANCEL.to_be_bytes());
        write(&mut self.stream, &frame.bytes()).await
    }

    /// Reads until stream `id` has an answer or ends, but no longer than `limit`.
    pub async fn answer(&mut self, id: u32, limit: Duration) -> Answer {
        let read = async {
            // A connection that breaks and one that is closed: the same here.
            while let Ok(Some(frame)) = Frame::read(&mut self.stream).await {
                if let Some(answer) = self.on_frame(&frame, id).await? {
                    return Ok(answer);
                }
            }
            anyhow::Ok(Answer::Closed)
        };
        match tokio::time::timeout(limit, read).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Answer::Closed,
            Err(_) => Answer::Silence,
        }
    }

    async fn on_frame(&mut self, frame: &Frame, id: u32) -> Result<Option<Answer>> {
        match frame.kind {
            kind::SETTINGS if !frame.has(frames::ACK) => {
                let answer = Frame::new(kind::SETTINGS, frames::ACK, 0, []);
                write(&mut self.stream, &answer.bytes()).await?;
            }
            kind::PING if !frame.has(frames::ACK) => {
                let answer = Frame::new(kind::PING, frames::ACK, 0, frame.payload.as_slice());
                write(&mut self.stream, &answer.bytes()).await?;
            }
            kind::HEADERS | kind::CONTINUATION => {
                let Some(block) = self.blocks.take(frame)? else { return Ok(None) };
                let status = block.fields.iter().find(|(name, _)| name == b":status");
                let status = status.and_then(|(_, value)| std::str::from_utf8(value).ok());
                let status = status.and_then(|status| status.parse().ok());
                let Some(status) = status.filter(|&status: &u16| status >= 200) else {
                    return Ok(None);
                };
                return Ok((block.stream == id).then_some(Answer::Status(status)));
            }
            kind::RST_STREAM if frame.stream == id => {
                let code = frame.payload.first_chunk().context("a reset without a code")?;
                return Ok(Some(Answer::Reset(u32::from_be_bytes(*code))));
            }
            kind::GOAWAY => {
                let code = frame.payload.get(4..8).and_then(|code| code.first_chunk());
                if code.is_some_and(|code: &[u8; 4]| u32::from_be_bytes(*code) != 0) {
                    return Ok(Some(Answer::Closed));
                }
            }
            _ => {}
        }
        Ok(None)
    }

    /// Reads the next piece of the body of stream `id`; `None` at its end.
    pub async fn data(&mut self, id: u32, limit: Duration) -> Option<Vec<u8>> {
        let read = async {
            while let Ok(Some(frame)) = Frame::read(&mut self.stream).await {
                if frame.kind == kind::DATA && frame.stream == id {
                    let data = frame.data().ok()?.to_vec();
                    return (!data.is_empty() || !frame.has(END_STREAM)).then_some(data);
                }
                if let Ok(Some(Answer::Reset(_) | Answer::Closed)) = self.on_frame(&frame, id).await
                {
                    return None;
                }
            }
            None
        };
        tokio::time::timeout(limit, read).await.ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::statuses;

    #[test]
    fn every_complete_answer_yields_its_status() {
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 Forbidden\r\nA: b\r\n\r\nbody\
            HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\n";
        assert_eq!(statuses(bytes), [403, 101]);
    }
}
