//! HTTP/2 out of raw frames.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use super::connection::{ANSWER, Connection};
use super::http1::{TICK, counted, reply};
use super::polls::{self, Reply};
use super::request::{CapturedRequest, Protocol};
use crate::frames::{self, ACK, Block, Blocks, END_STREAM, Field, Frame, MAX_PAYLOAD, kind};

/// Serves until the connection ends.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    connection: Connection,
) -> Result<()> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut preface = vec![0; frames::PREFACE.len()];
    reader.read_exact(&mut preface).await?;
    if preface != frames::PREFACE {
        bail!("no preface of HTTP/2");
    }
    let (sender, mut bytes) = mpsc::channel::<Vec<u8>>(16);
    sender.send(frames::greeting()).await?;
    let windows = Arc::new(Windows::default());
    let output = Output { sender, windows };
    let mut session = Session {
        connection,
        output,
        blocks: Blocks::default(),
        streams: HashMap::new(),
        answers: JoinSet::new(),
    };
    let reading = async {
        while let Some(frame) = Frame::read(&mut reader).await? {
            session.on_frame(&frame).await?;
        }
        anyhow::Ok(())
    };
    let writing = async {
        while let Some(bytes) = bytes.recv().await {
            writer.write_all(&bytes).await?;
            writer.flush().await?;
        }
        anyhow::Ok(())
    };
    // The answers go with the session when either is done.
    tokio::select! { done = reading => done, done = writing => done }
}

/// A connection and its streams.
struct Session {
    connection: Connection,
    output: Output,
    blocks: Blocks,
    /// The requests that have not ended, by stream.
    streams: HashMap<u32, Open>,
    answers: JoinSet<()>,
}

/// A captured request, or one of the companion, which is not captured.
enum Open {
    Recorded(usize, Vec<u8>),
    /// The count of the body that is not kept.
    Late(usize, usize),
    Poll(Box<CapturedRequest>),
}

impl Session {
    async fn on_frame(&mut self, frame: &Frame) -> Result<()> {
        match frame.kind {
            kind::SETTINGS if !frame.has(ACK) => {
                self.output.windows.settings(frame);
                self.output.send(Frame::new(kind::SETTINGS, ACK, 0, []).bytes()).await?;
            }
            kind::PING if !frame.has(ACK) => {
                let answer = Frame::new(kind::PING, ACK, 0, frame.payload.as_slice());
                self.output.send(answer.bytes()).await?;
            }
            kind::WINDOW_UPDATE => self.output.windows.grow(frame.stream, frame.increment()?),
            kind::HEADERS | kind::CONTINUATION => {
                if let Some(block) = self.blocks.take(frame)? {
                    let stream = block.stream;
                    self.on_block(block);
                    if let Some(Open::Late(..)) = self.streams.get(&stream) {
                        self.connection.reads_on().await?;
                    }
                }
            }
            kind::DATA => {
                let data = frame.data()?;
                match self.streams.get_mut(&frame.stream) {
                    Some(Open::Recorded(index, _)) => {
                        self.connection.add(*index, |record| record.body.extend_from_slice(data))
                    }
                    Some(Open::Late(_, count)) => *count += data.len(),
                    Some(Open::Poll(_)) | None => {}
                }
                if frame.has(END_STREAM) {
                    self.end(frame.stream);
                }
            }
            kind::RST_STREAM => {
                self.streams.remove(&frame.stream);
                self.output.windows.reset(frame.stream);
            }
            _ => {}
        }
        Ok(())
    }

    fn on_block(&mut self, block: Block) {
        let Block { stream, fields, end_stream } = block;
        if let Some(open) = self.streams.get(&stream) {
            if let Open::Recorded(index, _) = open {
                self.connection.add(*index, |record| record.trailers = fields);
            }
        } else {
            let request = request(fields);
            let open = if self.connection.is_poll(&request) {
                Open::Poll(Box::new(request))
            } else {
                let answer = request.value(ANSWER).map(<[u8]>::to_vec).unwrap_or_default();
                let index = self.connection.record(request);
                match answer.as_slice() {
                    b"late" => Open::Late(index, 0),
                    _ => Open::Recorded(index, answer),
                }
            };
            self.streams.insert(stream, open);
        }
        if end_stream {
            self.end(stream);
        }
    }

    /// The request came to its end: it is answered.
    fn end(&mut self, stream: u32) {
        let output = self.output.clone();
        let connection = self.connection.clone();
        match self.streams.remove(&stream) {
            Some(Open::Poll(request)) => {
                self.answers.spawn(async move {
                    if let Ok(reply) = polls::answer(&connection, &request).await {
                        output.reply(stream, &reply).await.ok();
                    }
                });
            }
            Some(Open::Late(index, count)) => {
                connection.add(index, |record| record.complete = true);
                self.answers.spawn(async move {
                    output.reply(stream, &counted(count)).await.ok();
                });
            }
            Some(Open::Recorded(index, answer)) => {
                connection.add(index, |record| record.complete = true);
                self.answers.spawn(async move {
                    let answered = match answer.as_slice() {
                        b"stream" => output.endless(stream).await,
                        _ => output.reply(stream, &reply(&answer)).await,
                    };
                    answered.ok();
                });
            }
            None => {}
        }
    }
}

fn request(fields: Vec<Field>) -> CapturedRequest {
    let first = |wanted: &[u8]| {
        let field = fields.iter().find(|(name, _)| name == wanted);
        field.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let (method, path) = (first(b":method"), first(b":path"));
    CapturedRequest::new(Protocol::Two, &method, &path, fields)
}

/// Where answers are written to.
#[derive(Clone)]
struct Output {
    sender: mpsc::Sender<Vec<u8>>,
    windows: Arc<Windows>,
}

impl Output {
    async fn send(&self, bytes: Vec<u8>) -> Result<()> {
        self.sender.send(bytes).await.context("the connection is gone")
    }

    async fn reply(&self, stream: u32, reply: &Reply) -> Result<()> {
        let status = (b":status".to_vec(), reply.status.to_string().into_bytes());
        let mut fields = vec![status];
        fields.extend(reply.headers.iter().cloned());
        let empty = reply.body.is_empty();
        self.send(frames::headers(stream, &fields, empty)).await?;
        if empty { Ok(()) } else { self.data(stream, &reply.body, true).await }
    }

    async fn endless(&self, stream: u32) -> Result<()> {
        let fields = [(b":status".to_vec(), b"200".to_vec())];
        self.send(frames::headers(stream, &fields, false)).await?;
        loop {
            self.data(stream, b"tick\n", false).await?;
            tokio::time::sleep(TICK).await;
        }
    }

    async fn data(&self, stream: u32, mut body: &[u8], end: bool) -> Result<()> {
        while !body.is_empty() {
            let length = self.windows.take(stream, body.len().min(MAX_PAYLOAD)).await?;
            let (piece, rest) = body.split_at_checked(length).context("more than asked for")?;
            let flags = if end && rest.is_empty() { END_STREAM } else { 0 };
            self.send(Frame::new(kind::DATA, flags, stream, piece).bytes()).await?;
            body = rest;
        }
        Ok(())
    }
}

/// How much the other side lets us send (RFC 9113, 5.2).
struct Windows {
    state: Mutex<State>,
    grown: Notify,
}

struct State {
    connection: i64,
    initial: i64,
    /// What streams have beyond the initial window; `None` when reset.
    streams: HashMap<u32, Option<i64>>,
}

impl Default for Windows {
    fn default() -> Self {
        let first = frames::FIRST_WINDOW;
        let state = State { connection: first, initial: first, streams: HashMap::new() };
        Self { state: Mutex::new(state), grown: Notify::new() }
    }
}

impl Windows {
    fn settings(&self, frame: &Frame) {
        if let Some(initial) = frame.initial_window() {
            self.change(|state| state.initial = initial);
        }
    }

    fn grow(&self, stream: u32, by: i64) {
        self.change(|state| match stream {
            0 => state.connection += by,
            _ => {
                if let Some(window) = state.streams.entry(stream).or_insert(Some(0)) {
                    *window += by;
                }
            }
        });
    }

    fn reset(&self, stream: u32) {
        self.change(|state| {
            state.streams.insert(stream, None);
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.grown.notify_waiters();
    }

    /// Waits until at least a byte may be sent, and takes up to `wanted`.
    async fn take(&self, stream: u32, wanted: usize) -> Result<usize> {
        loop {
            let grown = self.grown.notified();
            tokio::pin!(grown);
            // From here on no growth is missed.
            grown.as_mut().enable();
            if let Some(taken) = self.try_take(stream, wanted)? {
                return Ok(taken);
            }
            grown.await;
        }
    }

    fn try_take(&self, stream: u32, wanted: usize) -> Result<Option<usize>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { connection, initial, streams } = &mut *state;
        let Some(beyond) = streams.entry(stream).or_insert(Some(0)) else {
            bail!("the stream was reset");
        };
        let allowed = (*connection).min(*initial + *beyond);
        let taken = i64::try_from(wanted)?.min(allowed);
        if taken <= 0 {
            return Ok(None);
        }
        *connection -= taken;
        *beyond -= taken;
        Ok(Some(usize::try_from(taken)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_windows_limit_what_is_sent() {
        let windows = Windows::default();
        let mut setting = 4_u16.to_be_bytes().to_vec();
        setting.extend(10_u32.to_be_bytes());
        windows.settings(&Frame::new(kind::SETTINGS, 0, 0, setting));
        assert_eq!(windows.take(1, 7).await.unwrap(), 7);
        assert_eq!(windows.take(1, 7).await.unwrap(), 3);
        assert_eq!(windows.try_take(1, 7).unwrap(), None);
        windows.grow(1, 100_000);
        assert_eq!(windows.take(1, 100_000).await.unwrap(), 65_525);
        assert_eq!(windows.try_take(3, 1).unwrap(), None);
        windows.grow(0, 5);
        assert_eq!(windows.take(3, 7).await.unwrap(), 5);
        windows.reset(3);
        assert!(windows.take(3, 7).await.is_err());
    }
}
