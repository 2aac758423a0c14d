//! A header map as the host hands it over, read in place.
//!
//! Each call into the host, and each allocation that the host asks of the
//! module for an answer, crosses V8's boundary, which costs more than all that
//! the filter does with the answer. So a request's headers are fetched once,
//! all of them. The SDK can do that too, but copies every name and value, and
//! panics on a name that is not UTF-8.
//!
//! The form (proxy-wasm ABI 0.2.1, "serialization of maps"), numbers little
//! endian: the count; then for each header the lengths of its name and value;
//! then for each header its name, a NUL, its value, a NUL.

/// A serialized header map.
#[derive(Debug)]
pub(crate) struct Headers(Vec<u8>);

const NUMBER: usize = size_of::<u32>();

impl Headers {
    pub(crate) fn new(serialized: Vec<u8>) -> Self {
        Self(serialized)
    }

    /// The first value of a header; empty if there is none. Envoy's names are
    /// in lower case. A map that is cut short, which no host sends, has no
    /// more headers than it has bytes for.
    pub(crate) fn first(&self, name: &[u8]) -> &[u8] {
        self.find(name).unwrap_or_default()
    }

    fn find(&self, wanted: &[u8]) -> Option<&[u8]> {
        let (count, rest) = number(&self.0)?;
        let (mut lengths, mut strings) = rest.split_at_checked(count.checked_mul(2 * NUMBER)?)?;
        for _ in 0..count {
            let (name_length, after) = number(lengths)?;
            let (value_length, after) = number(after)?;
            lengths = after;
            let (name, after) = string(strings, name_length)?;
            let (value, after) = string(after, value_length)?;
            strings = after;
            if name == wanted {
                return Some(value);
            }
        }
        None
    }
}

fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<NUMBER>()?;
    Some((usize::try_from(u32::from_le_bytes(*number)).ok()?, rest))
}

fn string(bytes: &[u8], length: usize) -> Option<(&[u8], &[u8])> {
    let (string, rest) = bytes.split_at_checked(length)?;
    Some((string, rest.strip_prefix(b"\0")?))
}
