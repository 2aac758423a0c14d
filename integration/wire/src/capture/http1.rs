//! HTTP/1.1 out of raw bytes. It reads what any server might read: bare line
//! feeds end lines, folded lines are joined, `Transfer-Encoding` outweighs
//! `Content-Length`. All bytes after a request are the next one, unless it says
//! `Connection: close`; Go's server, which kube-apiserver uses, does the same.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::connection::{ANSWER, Connection};
use super::polls::{self, Reply};
use super::request::{CapturedRequest, Protocol};
use crate::frames::Field;

/// The time between two pieces of an endless body.
pub(super) const TICK: Duration = Duration::from_millis(50);

/// A connection's bytes; some may have been read ahead.
struct Wire<S> {
    stream: S,
    ahead: Vec<u8>,
}

/// Serves until the connection ends.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    connection: Connection,
) -> Result<()> {
    let mut wire = Wire { stream, ahead: Vec::new() };
    while let Some(head) = wire.head().await? {
        let request = parse(&head)?;
        if connection.is_poll(&request) {
            let reply = polls::answer(&connection, &request).await?;
            wire.reply(&reply).await?;
            continue;
        }
        let close = request.lists("connection", "close");
        let answer = request.value(ANSWER).map(<[u8]>::to_vec).unwrap_or_default();
        let chunked = request.lists("transfer-encoding", "chunked");
        let length = length(&request)?;
        let upgrade = request.value("upgrade").map(<[u8]>::to_vec);
        let index = connection.record(request);
        if let (b"echo", Some(protocol)) = (answer.as_slice(), upgrade) {
            return wire.echo(&protocol).await;
        }
        if answer == b"101" {
            return wire.tunnel(&connection, index).await;
        }
        if answer == b"late" {
            connection.reads_on().await?;
            wire.skip(length).await?;
        } else if chunked {
            wire.chunks(&connection, index).await?;
        } else {
            let body = wire.take(length).await?;
            connection.add(index, |record| record.body = body);
        }
        connection.add(index, |record| record.complete = true);
        if answer == b"stream" {
            return wire.endless().await;
        }
        match answer.as_slice() {
            b"slow" => wire.refuse_slowly().await?,
            b"late" => wire.reply(&counted(length)).await?,
            _ => wire.reply(&reply(&answer)).await?,
        }
        if close {
            return Ok(wire.stream.shutdown().await?);
        }
    }
    Ok(())
}

/// Returns the answer that a request prescribes.
pub(super) fn reply(answer: &[u8]) -> Reply {
    let status = std::str::from_utf8(answer).ok().and_then(|answer| answer.parse().ok());
    Reply { status: status.unwrap_or(200), ..Reply::default() }
}

/// Returns the answer to a body of this length that was not kept.
pub(super) fn counted(length: usize) -> Reply {
    Reply { status: 200, body: length.to_string().into_bytes(), ..Reply::default() }
}

fn parse(head: &[u8]) -> Result<CapturedRequest> {
    let mut lines =
        head.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let line = lines.next().unwrap_or_default();
    let method_end = line.iter().position(|&byte| byte == b' ').context("no request line")?;
    let (method, rest) = line.split_at_checked(method_end).context("no request line")?;
    let path_end = rest.iter().rposition(|&byte| byte == b' ').context("no request target")?;
    let path = rest.get(1..path_end).context("no version")?;
    Ok(CapturedRequest::new(Protocol::One, method, path, fields(lines)))
}

fn fields<'l>(lines: impl Iterator<Item = &'l [u8]>) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        if let (Some(b' ' | b'\t'), Some((_, value))) = (line.first(), fields.last_mut()) {
            value.push(b' ');
            value.extend_from_slice(line.trim_ascii());
            continue;
        }
        let mut halves = line.splitn(2, |&byte| byte == b':');
        let name = halves.next().unwrap_or_default().to_vec();
        // One blank is of the syntax; more of them are seen.
        let value = halves.next().unwrap_or_default();
        fields.push((name, value.strip_prefix(b" ").unwrap_or(value).to_vec()));
    }
    fields
}

fn length(request: &CapturedRequest) -> Result<usize> {
    let Some(length) = request.value("content-length") else { return Ok(0) };
    Ok(std::str::from_utf8(length.trim_ascii())?.parse()?)
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Returns the bytes of the next request up to its empty line; `None` at the end.
    async fn head(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            let blank = self.ahead.iter().take_while(|byte| b"\r\n".contains(byte)).count();
            self.ahead.drain(..blank);
            if let Some(end) = end_of_head(&self.ahead) {
                return Ok(Some(self.ahead.drain(..end).collect()));
            }
            if !self.more().await? {
                ensure!(self.ahead.is_empty(), "a request was cut short");
                return Ok(None);
            }
        }
    }

    async fn more(&mut self) -> Result<bool> {
        self.ahead.reserve(16_384);
        Ok(self.stream.read_buf(&mut self.ahead).await? > 0)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    async fn take(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.ahead.len() < length {
            ensure!(self.more().await?, "a body was cut short");
        }
        Ok(self.ahead.drain(..length).collect())
    }

    /// Reads `length` bytes and discards them.
    async fn skip(&mut self, mut length: usize) -> Result<()> {
        loop {
            let read = length.min(self.ahead.len());
            self.ahead.drain(..read);
            length -= read;
            if length == 0 {
                return Ok(());
            }
            ensure!(self.more().await?, "a body was cut short");
        }
    }

    async fn line(&mut self) -> Result<Vec<u8>> {
        loop {
            if let Some(end) = self.ahead.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.ahead.drain(..=end).collect();
                return Ok(line.trim_ascii_end().to_vec());
            }
            ensure!(self.more().await?, "a line was cut short");
        }
    }

    async fn chunks(&mut self, connection: &Connection, index: usize) -> Result<()> {
        loop {
            let line = self.line().await?;
            let size = line.split(|&byte| byte == b';').next().unwrap_or_default();
            let size = usize::from_str_radix(std::str::from_utf8(size)?.trim(), 16)?;
            if size == 0 {
                break;
            }
            let chunk = self.take(size).await?;
            connection.add(index, |record| record.body.extend(chunk));
            self.line().await?;
        }
        let mut lines = vec![self.line().await?];
        while lines.last().is_some_and(|line| !line.is_empty()) {
            lines.push(self.line().await?);
        }
        let trailers = fields(lines.iter().map(Vec::as_slice));
        connection.add(index, |record| record.trailers = trailers);
        Ok(())
    }

    /// Answers 101, and keeps what arrives until the end.
    async fn tunnel(&mut self, connection: &Connection, index: usize) -> Result<()> {
        let answer = b"HTTP/1.1 101 Switching Protocols\r\n\
            Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        self.write(answer).await?;
        loop {
            let bytes = std::mem::take(&mut self.ahead);
            connection.add(index, |record| record.body.extend(bytes));
            if !self.more().await? {
                connection.add(index, |record| record.complete = true);
                return Ok(());
            }
        }
    }

    /// Answers 101 to this protocol, and gives back what comes until the end.
    async fn echo(&mut self, protocol: &[u8]) -> Result<()> {
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ";
        self.write(&[answer, protocol, b"\r\n\r\n"].concat()).await?;
        loop {
            let bytes = std::mem::take(&mut self.ahead);
            self.write(&bytes).await?;
            if !self.more().await? {
                return Ok(());
            }
        }
    }

    async fn reply(&mut self, reply: &Reply) -> Result<()> {
        let mut bytes = format!("HTTP/1.1 {} Recorded\r\n", reply.status).into_bytes();
        for (name, value) in &reply.headers {
            bytes.extend([name.as_slice(), b": ", value, b"\r\n"].concat());
        }
        let length = reply.body.len();
        if reply.status != 304 {
            bytes.extend(format!("Content-Length: {length}\r\n").bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&reply.body);
        self.write(&bytes).await
    }

    /// Answers 403, and gives the other side time to send more before.
    async fn refuse_slowly(&mut self) -> Result<()> {
        tokio::time::timeout(4 * TICK, self.more()).await.ok();
        let head = b"HTTP/1.1 403 Recorded\r\nTransfer-Encoding: chunked\r\n\r\n";
        self.write(head).await?;
        tokio::time::timeout(4 * TICK, self.more()).await.ok();
        self.write(b"0\r\n\r\n").await
    }

    /// Answers with a body that goes on until the client leaves.
    async fn endless(&mut self) -> Result<()> {
        let head = b"HTTP/1.1 200 Recorded\r\nTransfer-Encoding: chunked\r\n\r\n";
        self.write(head).await?;
        loop {
            self.write(b"5\r\ntick\n\r\n").await?;
            tokio::time::sleep(TICK).await;
        }
    }
}

/// Returns where the first empty line ends.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let crlf = bytes.windows(3).position(|window| window == b"\n\r\n").map(|at| at + 3);
    let lf = bytes.windows(2).position(|window| window == b"\n\n").map(|at| at + 2);
    crlf.into_iter().chain(lf).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_at_the_first_empty_line() {
        assert_eq!(end_of_head(b"GET / HTTP/1.1\r\nA: b\r\n\r\nmore\n\n"), Some(24));
        assert_eq!(end_of_head(b"GET / HTTP/1.1\nA: b\n\nmore"), Some(21));
        assert_eq!(end_of_head(b"GET / HTTP/1.1\r\nA: b\r\n"), None);
    }

    #[test]
    fn a_head_is_read_byte_for_byte() {
        let record = parse(b"GET /a b%2F HTTP/1.1\r\nA:  b\t\r\n\tc\r\nX_Y:\xff\nno-colon\r\n\r\n");
        let record = record.unwrap();
        assert_eq!(
            (record.method.as_slice(), record.path.as_slice()),
            (&b"GET"[..], &b"/a b%2F"[..])
        );
        let field = |name: &[u8], value: &[u8]| (name.to_vec(), value.to_vec());
        let fields = [field(b"A", b" b\t c"), field(b"X_Y", b"\xff"), field(b"no-colon", b"")];
        assert_eq!(record.headers, fields);
    }

    #[test]
    fn an_invalid_request_line_is_an_error() {
        for head in [&b"GET\r\n\r\n"[..], b"GET /\r\n\r\n", b"\x00\r\n\r\n"] {
            assert!(parse(head).is_err(), "{head:?}");
        }
    }
}
