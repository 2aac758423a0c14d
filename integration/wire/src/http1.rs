//! HTTP/1.1 by hand: the bytes of the request are the caller's, the bytes and
//! the headers of the answer are given as they came.
//!
//! Ordinary clients normalise paths, refuse header values that are not UTF-8
//! and decode bodies. The recordings, and the tests that send hostile bytes,
//! need none of that.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use pki::tls;

/// No test asks for anything that takes longer.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// An answer, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers in order, names as sent.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, freed of chunked framing.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of this name (any case), when it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }
}

/// A server to ask, one connection a request.
#[derive(Debug, Clone)]
pub struct RawClient {
    port: u16,
    tls: Option<Arc<ClientConfig>>,
}

impl RawClient {
    /// The TLS server on 127.0.0.1:`port`, whose certificate `ca_pem` signed.
    ///
    /// # Errors
    ///
    /// When the CA certificate cannot be read.
    pub fn tls(port: u16, ca_pem: &str) -> Result<Self> {
        let config = tls::client(ca_pem, None, &["http/1.1"])?;
        Ok(Self { port, tls: Some(Arc::new(config)) })
    }

    /// The server without TLS on 127.0.0.1:`port`.
    pub fn plain(port: u16) -> Self {
        Self { port, tls: None }
    }

    /// Sends a request of `method` for `target` with these headers (`Host` and
    /// `Connection: close` are added, and `Content-Length` with a body).
    ///
    /// # Errors
    ///
    /// When the connection fails or the answer is no HTTP.
    pub async fn request(
        &self,
        method: &str,
        target: impl AsRef<[u8]>,
        headers: &[(&str, &[u8])],
        body: &[u8],
    ) -> Result<Answer> {
        let mut request = Vec::with_capacity(512);
        request.extend([method.as_bytes(), b" ", target.as_ref(), b" HTTP/1.1\r\n"].concat());
        request.extend(format!("Host: 127.0.0.1:{}\r\nConnection: close\r\n", self.port).bytes());
        for (name, value) in headers {
            request.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        if !body.is_empty() {
            request.extend(format!("Content-Length: {}\r\n", body.len()).bytes());
        }
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body);
        let answer = self.exchange(&request).await?;
        parse(&answer, method == "HEAD").with_context(|| {
            format!("the answer to {method} {}", String::from_utf8_lossy(target.as_ref()))
        })
    }

    /// Sends `request` as it is and reads until the server closes.
    ///
    /// # Errors
    ///
    /// When the connection fails, or nothing closes it within half a minute.
    pub async fn exchange(&self, request: &[u8]) -> Result<Vec<u8>> {
        let exchange = async {
            let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            stream.set_nodelay(true)?;
            match &self.tls {
                None => send_and_read(stream, request).await,
                Some(config) => {
                    let name = ServerName::try_from("localhost")?;
                    let connector = TlsConnector::from(Arc::clone(config));
                    send_and_read(connector.connect(name, stream).await?, request).await
                }
            }
        };
        tokio::time::timeout(TIME_LIMIT, exchange).await.context("no end of the answer")?
    }
}

async fn send_and_read(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &[u8],
) -> Result<Vec<u8>> {
    stream.write_all(request).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer).await {
        // A server that closes without TLS's own goodbye, or resets after a
        // request it disliked, has still answered.
        Err(error) if answer.is_empty() => Err(error.into()),
        _ => Ok(answer),
    }
}

/// Takes an answer apart.
fn parse(bytes: &[u8], head_only: bool) -> Result<Answer> {
    let end = find(bytes, b"\r\n\r\n").context("no end of the headers")?;
    let (head, rest) = bytes.split_at_checked(end).context("no headers")?;
    let rest = rest.get(4..).unwrap_or_default();
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.trim_ascii_end());
    let status_line = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let status = status_line.split(' ').nth(1).context("no status")?.parse()?;
    let headers: Vec<(String, Vec<u8>)> = lines.filter_map(header_line).collect();
    let mut answer = Answer { status, headers, body: Vec::new() };
    if head_only || status == 304 {
        return Ok(answer);
    }
    answer.body = if answer.header("transfer-encoding").is_some() {
        unchunk(rest)?
    } else if let Some(length) = answer.header("content-length") {
        let length: usize = length.parse()?;
        rest.get(..length).context("the body is shorter than announced")?.to_vec()
    } else {
        rest.to_vec()
    };
    Ok(answer)
}

fn header_line(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at_checked(colon)?;
    let value = value.get(1..)?.trim_ascii();
    Some((String::from_utf8_lossy(name).into_owned(), value.to_vec()))
}

fn unchunk(mut bytes: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = find(bytes, b"\r\n").context("a chunk without its size")?;
        let (line, rest) = bytes.split_at_checked(end).context("a chunk without its size")?;
        let size = usize::from_str_radix(std::str::from_utf8(line)?.trim(), 16)?;
        let rest = rest.get(2..).context("the last chunk is missing")?;
        if size == 0 {
            return Ok(body);
        }
        ensure!(rest.len() >= size + 2, "a chunk is cut short");
        let (chunk, rest) = rest.split_at(size);
        body.extend_from_slice(chunk);
        bytes = rest.get(2..).unwrap_or_default();
    }
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_body_of_announced_length() {
        let answer =
            parse(b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nX: \xff\r\n\r\nabcd", false);
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (404, b"abc".as_slice()));
        assert_eq!(answer.headers.last().unwrap().1, b"\xff");
    }

    #[test]
    fn chunks_are_joined() {
        let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n";
        assert_eq!(parse(bytes, false).unwrap().body, b"abc0123456789");
    }

    #[test]
    fn what_is_cut_short_is_an_error() {
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", false).is_err());
        assert!(
            parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", false).is_err()
        );
        assert!(parse(b"HTTP/1.1 200 OK\r\n", false).is_err());
    }

    #[test]
    fn a_head_answer_has_no_body() {
        let bytes = b"HTTP/1.1 404 Not Found\r\nContent-Length: 174\r\n\r\n";
        assert!(parse(bytes, true).unwrap().body.is_empty());
    }
}
