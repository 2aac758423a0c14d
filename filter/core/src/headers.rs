//! A header map as the host hands it over, read in place.
//!
//! Each call into the host, and each allocation that the host asks of the
//! module for an answer, crosses V8's boundary, which costs more than all that
//! the filter does with the answer. So all headers of a request are fetched in
//! one call. The SDK can do that too, but copies every name and value, and
//! panics on a name that is not UTF-8.
//!
//! The form (proxy-wasm ABI 0.2.1, "serialization of maps"), numbers little
//! endian: the count; then for each header the lengths of its name and value;
//! then for each header its name, a NUL, its value, a NUL.

/// A serialized header map.
#[derive(Debug)]
pub struct Headers(Vec<u8>);

const NUMBER: usize = size_of::<u32>();

impl Headers {
    /// Headers from the host's bytes; any bytes will do.
    #[must_use]
    pub fn new(serialized: Vec<u8>) -> Self {
        Self(serialized)
    }

    /// Names, in lower case as Envoy has them, and values, in their order. If
    /// the bytes are cut short, which no host does, the headers end there.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let (mut lengths, mut strings) = self.parts().unwrap_or_default();
        std::iter::from_fn(move || {
            let (name_length, after) = number(lengths)?;
            let (value_length, lengths_left) = number(after)?;
            let (name, after) = string(strings, name_length)?;
            let (value, strings_left) = string(after, value_length)?;
            (lengths, strings) = (lengths_left, strings_left);
            Some((name, value))
        })
    }

    /// The lengths, and the strings.
    fn parts(&self) -> Option<(&[u8], &[u8])> {
        let (count, rest) = number(&self.0)?;
        rest.split_at_checked(count.checked_mul(2 * NUMBER)?)
    }
}

/// The form in which the host takes a whole map.
#[must_use]
pub fn serialize(headers: &[(&[u8], &[u8])]) -> Vec<u8> {
    let size = |(name, value): &(&[u8], &[u8])| 2 * NUMBER + name.len() + value.len() + 2;
    let mut bytes = Vec::with_capacity(NUMBER + headers.iter().map(size).sum::<usize>());
    let number = |bytes: &mut Vec<u8>, number: usize| {
        // A length above 32 bits does not fit into the module's memory.
        bytes.extend(u32::try_from(number).unwrap_or_default().to_le_bytes());
    };
    number(&mut bytes, headers.len());
    for (name, value) in headers {
        number(&mut bytes, name.len());
        number(&mut bytes, value.len());
    }
    for string in headers.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend_from_slice(string);
        bytes.push(0);
    }
    bytes
}

fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<NUMBER>()?;
    Some((usize::try_from(u32::from_le_bytes(*number)).ok()?, rest))
}

fn string(bytes: &[u8], length: usize) -> Option<(&[u8], &[u8])> {
    let (string, rest) = bytes.split_at_checked(length)?;
    Some((string, rest.strip_prefix(b"\0")?))
}
