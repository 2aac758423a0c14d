//! HTTP/2 frames and header blocks by hand (RFC 9113, RFC 7541). The caller
//! chooses each byte that is sent and sees each byte that arrives. HTTP/2
//! libraries refuse to send, and hide when they receive, exactly what hostile
//! requests consist of.

use anyhow::{Context, Result, bail, ensure};
use loona_hpack::Decoder;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The first bytes of a client.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The largest payload that every receiver accepts.
pub const MAX_PAYLOAD: usize = 16_384;

/// The frame types used here.
pub mod kind {
    /// A piece of a body.
    pub const DATA: u8 = 0;
    /// The start of a header block.
    pub const HEADERS: u8 = 1;
    /// The end of a stream by an error.
    pub const RST_STREAM: u8 = 3;
    /// Settings of the connection.
    pub const SETTINGS: u8 = 4;
    /// A check whether the other side is alive.
    pub const PING: u8 = 6;
    /// The end of the connection.
    pub const GOAWAY: u8 = 7;
    /// Permission to send more.
    pub const WINDOW_UPDATE: u8 = 8;
    /// More of a header block.
    pub const CONTINUATION: u8 = 9;
}

/// On DATA and HEADERS: the last of the stream.
pub const END_STREAM: u8 = 1;
/// On SETTINGS and PING: an answer.
pub const ACK: u8 = 1;
/// On HEADERS and CONTINUATION: the last of the block.
pub const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 32;

/// SETTINGS_INITIAL_WINDOW_SIZE.
const INITIAL_WINDOW_SIZE: u16 = 4;
/// The largest window there can be.
const LARGEST_WINDOW: u32 = 0x7fff_ffff;
/// The initial window of a connection.
pub const FIRST_WINDOW: i64 = 65_535;

/// A header: name and value.
pub type Field = (Vec<u8>, Vec<u8>);

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its type, see [`kind`].
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0 is the connection.
    pub stream: u32,
    /// Its payload.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Returns a frame.
    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind, flags, stream, payload: payload.into() }
    }

    /// Reads the next frame; `None` at the end of the connection. Fails if the
    /// connection ends within a frame.
    pub async fn read(reader: &mut (impl AsyncRead + Unpin)) -> Result<Option<Self>> {
        let mut head = [0_u8; 9];
        match reader.read_exact(&mut head).await {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let [a, b, c, kind, flags, d, e, f, g] = head;
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c]))?;
        let stream = u32::from_be_bytes([d, e, f, g]) & LARGEST_WINDOW;
        let mut payload = vec![0; length];
        reader.read_exact(&mut payload).await.context("a frame was cut short")?;
        Ok(Some(Self { kind, flags, stream, payload }))
    }

    /// Returns the frame's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).unwrap_or(u32::MAX).to_be_bytes();
        let mut bytes = length.get(1..).unwrap_or_default().to_vec();
        bytes.extend([self.kind, self.flags]);
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    /// Returns whether a flag is set.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Returns the payload without padding and priority.
    fn content(&self) -> Result<&[u8]> {
        let mut content = self.payload.as_slice();
        if !matches!(self.kind, kind::DATA | kind::HEADERS) {
            return Ok(content);
        }
        if self.has(PADDED) {
            let (&padding, rest) = content.split_first().context("no length of the padding")?;
            let length = rest.len().checked_sub(usize::from(padding));
            content = length.and_then(|length| rest.get(..length)).context("too much padding")?;
        }
        if self.kind == kind::HEADERS && self.has(PRIORITY) {
            content = content.get(5..).context("no priority")?;
        }
        Ok(content)
    }

    /// Returns the bytes of a body that a DATA frame carries. Fails if the
    /// padding is longer than the frame.
    pub fn data(&self) -> Result<&[u8]> {
        self.content()
    }

    /// Returns how many bytes a WINDOW_UPDATE allows. Fails if the frame is too
    /// short.
    pub fn increment(&self) -> Result<i64> {
        let bytes = self.payload.first_chunk().context("a WINDOW_UPDATE of no size")?;
        Ok(i64::from(u32::from_be_bytes(*bytes) & LARGEST_WINDOW))
    }

    /// Returns the window of new streams, if SETTINGS set it.
    pub fn initial_window(&self) -> Option<i64> {
        let settings = self.payload.chunks_exact(6);
        let mut values = settings.filter_map(|setting| match *setting {
            [a, b, c, d, e, f] if u16::from_be_bytes([a, b]) == INITIAL_WINDOW_SIZE => {
                Some(i64::from(u32::from_be_bytes([c, d, e, f])))
            }
            _ => None,
        });
        values.next_back()
    }
}

/// Returns the first frames of both sides: the other side may send without a limit,
/// so nothing needs to be allowed later.
pub fn greeting() -> Vec<u8> {
    let mut settings = INITIAL_WINDOW_SIZE.to_be_bytes().to_vec();
    settings.extend(LARGEST_WINDOW.to_be_bytes());
    let update = (LARGEST_WINDOW - 65_535).to_be_bytes();
    let mut bytes = Frame::new(kind::SETTINGS, 0, 0, settings).bytes();
    bytes.extend(Frame::new(kind::WINDOW_UPDATE, 0, 0, update).bytes());
    bytes
}

/// Returns a header block in frames. Every field is a literal that is not indexed, so
/// that the bytes of names and values are those given.
pub fn headers(stream: u32, fields: &[Field], end_stream: bool) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        string(&mut block, name);
        string(&mut block, value);
    }
    let mut pieces = block.chunks(MAX_PAYLOAD).peekable();
    let mut bytes = Vec::new();
    let mut kind = kind::HEADERS;
    let mut flags = if end_stream { END_STREAM } else { 0 };
    loop {
        let piece = pieces.next().unwrap_or_default();
        let last = pieces.peek().is_none();
        let end = if last { END_HEADERS } else { 0 };
        bytes.extend(Frame::new(kind, flags | end, stream, piece).bytes());
        if last {
            return bytes;
        }
        (kind, flags) = (kind::CONTINUATION, 0);
    }
}

/// A string literal, not Huffman-coded (RFC 7541, 5.2).
fn string(block: &mut Vec<u8>, bytes: &[u8]) {
    let mut length = bytes.len();
    if length < 0x7f {
        block.push(u8::try_from(length).unwrap_or_default());
    } else {
        block.push(0x7f);
        length -= 0x7f;
        while length >= 0x80 {
            block.push(u8::try_from(length % 0x80).unwrap_or_default() | 0x80);
            length /= 0x80;
        }
        block.push(u8::try_from(length).unwrap_or_default());
    }
    block.extend_from_slice(bytes);
}

/// A header block that came whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Its stream.
    pub stream: u32,
    /// The headers in order.
    pub fields: Vec<Field>,
    /// Whether the stream ends with it.
    pub end_stream: bool,
}

/// Puts header blocks together from frames and decodes them; one for each
/// direction of a connection.
#[derive(Default)]
pub struct Blocks {
    decoder: Decoder<'static>,
    open: Option<(u32, bool, Vec<u8>)>,
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Blocks").field("open", &self.open).finish_non_exhaustive()
    }
}

impl Blocks {
    /// Takes a HEADERS or CONTINUATION frame; gives the block that it ends.
    /// Fails if the frame does not go on with the open block, or cannot be
    /// decoded.
    pub fn take(&mut self, frame: &Frame) -> Result<Option<Block>> {
        let content = frame.content()?;
        match (frame.kind, &mut self.open) {
            (kind::HEADERS, open @ None) => {
                *open = Some((frame.stream, frame.has(END_STREAM), content.to_vec()));
            }
            (kind::CONTINUATION, Some((stream, _, bytes))) => {
                ensure!(*stream == frame.stream, "a header block of two streams");
                bytes.extend_from_slice(content);
            }
            _ => bail!("a header block within another"),
        }
        if !frame.has(END_HEADERS) {
            return Ok(None);
        }
        let Some((stream, end_stream, bytes)) = self.open.take() else { return Ok(None) };
        match self.decoder.decode(&bytes) {
            Ok(fields) => Ok(Some(Block { stream, fields, end_stream })),
            Err(error) => bail!("cannot decode a header block: {error:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &[u8], value: &[u8]) -> Field {
        (name.to_vec(), value.to_vec())
    }

    async fn read_block(mut bytes: &[u8]) -> Block {
        let mut blocks = Blocks::default();
        loop {
            let frame = Frame::read(&mut bytes).await.unwrap().unwrap();
            assert!(frame.payload.len() <= MAX_PAYLOAD);
            if let Some(block) = blocks.take(&frame).unwrap() {
                assert!(bytes.is_empty());
                return block;
            }
        }
    }

    #[tokio::test]
    async fn a_header_round_trips_byte_for_byte() {
        let all: Vec<u8> = (0..=255).collect();
        let fields = [
            field(b":path", b"/a"),
            field(b"X_Upper", &all),
            field(b"", b""),
            field(&all, &[b'v'; 127]),
            field(b"long", &vec![b'w'; 40_000]),
            field(b":path", b"/b"),
        ];
        for end_stream in [false, true] {
            let block = read_block(&headers(7, &fields, end_stream)).await;
            assert_eq!(block, Block { stream: 7, fields: fields.to_vec(), end_stream });
        }
    }

    #[tokio::test]
    async fn an_empty_block_is_a_block() {
        let block = read_block(&headers(1, &[], true)).await;
        assert_eq!(block, Block { stream: 1, fields: Vec::new(), end_stream: true });
    }

    #[tokio::test]
    async fn padding_and_priority_are_not_part_of_the_block() {
        let flags = PADDED | PRIORITY | END_HEADERS | END_STREAM;
        let mut payload = vec![2, 0, 0, 0, 0, 16, 0x82];
        payload.extend([0, 0]);
        let block = read_block(&Frame::new(kind::HEADERS, flags, 3, payload).bytes()).await;
        assert_eq!(block.fields, [field(b":method", b"GET")]);
        let data = Frame::new(kind::DATA, PADDED, 3, vec![3, b'a', 0, 0, 0]);
        assert_eq!(data.data().unwrap(), b"a");
        assert!(Frame::new(kind::DATA, PADDED, 3, vec![3, 0]).data().is_err());
    }

    #[test]
    fn blocks_do_not_mix() {
        let mut blocks = Blocks::default();
        assert!(blocks.take(&Frame::new(kind::CONTINUATION, END_HEADERS, 1, [])).is_err());
        assert_eq!(blocks.take(&Frame::new(kind::HEADERS, 0, 1, [])).unwrap(), None);
        assert!(blocks.take(&Frame::new(kind::CONTINUATION, END_HEADERS, 3, [])).is_err());
    }

    #[tokio::test]
    async fn the_preface_opens_the_windows() {
        let greeting = greeting();
        let mut bytes = greeting.as_slice();
        let settings = Frame::read(&mut bytes).await.unwrap().unwrap();
        assert_eq!(settings.initial_window(), Some(i64::from(LARGEST_WINDOW)));
        let update = Frame::read(&mut bytes).await.unwrap().unwrap();
        assert_eq!(update.increment().unwrap() + FIRST_WINDOW, i64::from(LARGEST_WINDOW));
        assert!(Frame::read(&mut bytes).await.unwrap().is_none());
    }
}
