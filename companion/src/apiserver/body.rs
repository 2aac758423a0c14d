//! A body that arrived, for a parser.

use std::collections::VecDeque;
use std::io::{self, Read};

/// The bytes that arrived, in order. They are copied into blocks, because a server chooses the size
/// of its chunks, and each has a cost of its own. Reading drops the blocks, so that what is made of
/// a large body takes their place.
#[derive(Debug, Default)]
pub(super) struct Body {
    /// None is empty, or longer than `BLOCK`.
    blocks: VecDeque<Vec<u8>>,
    /// How many bytes of the first block were read.
    read: usize,
}

/// The size of a block in bytes.
const BLOCK: usize = 64 << 10;

impl Body {
    /// Adds bytes at the end.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let last = self.blocks.back_mut();
        let room = last.as_ref().map_or(0, |last| BLOCK.saturating_sub(last.len()));
        let (first, rest) = bytes.split_at(room.min(bytes.len()));
        if let Some(last) = last {
            last.extend_from_slice(first);
        }
        self.blocks.extend(rest.chunks(BLOCK).map(<[u8]>::to_vec));
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(block) = self.blocks.front() {
            let mut rest = block.get(self.read..).unwrap_or_default();
            if !rest.is_empty() {
                let read = rest.read(buffer)?;
                self.read += read;
                return Ok(read);
            }
            self.blocks.pop_front();
            self.read = 0;
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_its_bytes_in_order_whatever_the_chunks() {
        let bytes: Vec<u8> = (0..3 * BLOCK + 7).map(|n| u8::try_from(n % 251).unwrap()).collect();
        for chunk in [1, 1000, BLOCK - 1, BLOCK, BLOCK + 1, bytes.len()] {
            let mut body = Body::default();
            bytes.chunks(chunk).for_each(|chunk| body.push(chunk));
            assert_eq!(body.blocks.len(), 4, "chunks of {chunk} bytes");
            let mut read = Vec::new();
            body.read_to_end(&mut read).unwrap();
            assert!(read == bytes, "chunks of {chunk} bytes");
            assert!(body.blocks.is_empty());
        }
        assert_eq!(Body::default().read(&mut [0]).unwrap(), 0);
    }
}
