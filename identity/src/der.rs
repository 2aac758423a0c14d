//! A character string in DER, as Go's crypto/x509 reads it (`parseASN1String`).
//! What Go refuses is refused: it would have refused the whole certificate.

use crate::SubjectError;

const UTF8_STRING: u8 = 12;
const NUMERIC_STRING: u8 = 18;
const PRINTABLE_STRING: u8 = 19;
const T61_STRING: u8 = 20;
const IA5_STRING: u8 = 22;
const BMP_STRING: u8 = 30;

/// Reads one string, which must be all there is.
pub(crate) fn string(der: &[u8]) -> Result<String, SubjectError> {
    let (tag, contents) = element(der).ok_or(SubjectError::NotText)?;
    let text = match tag {
        UTF8_STRING => String::from_utf8(contents.to_vec()).ok(),
        NUMERIC_STRING => ascii(contents, |byte| byte.is_ascii_digit() || byte == b' '),
        PRINTABLE_STRING => ascii(contents, is_printable),
        T61_STRING => Some(contents.iter().copied().map(char::from).collect()),
        IA5_STRING => ascii(contents, |byte| byte.is_ascii()),
        BMP_STRING => bmp(contents),
        _ => None,
    };
    text.ok_or(SubjectError::NotText)
}

/// Splits an element of a one-byte tag and a definite, shortest-form length.
fn element(der: &[u8]) -> Option<(u8, &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, contents) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        // Three bytes of length hold more than a handshake does.
        let count = usize::from(first & 0x7f);
        let (digits, contents) = rest.split_at_checked(count).filter(|_| count <= 3)?;
        let length = digits.iter().fold(0, |sum, &digit| sum << 8 | usize::from(digit));
        let is_shortest = length >= 0x80 && digits.first() != Some(&0);
        (length, Some(contents).filter(|_| is_shortest)?)
    };
    (contents.len() == length).then_some((tag, contents))
}

fn ascii(contents: &[u8], allowed: impl Fn(u8) -> bool) -> Option<String> {
    contents.iter().all(|&byte| allowed(byte)).then(|| {
        // Every alphabet here is a part of ASCII.
        contents.iter().copied().map(char::from).collect()
    })
}

/// Go's PrintableString, with the two characters that it takes besides: `*`
/// and `&`.
fn is_printable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" '()+,-./:=?*&".contains(&byte)
}

/// UCS-2, without a NUL at the end, and without noncharacters.
fn bmp(contents: &[u8]) -> Option<String> {
    let (pairs, odd) = contents.as_chunks::<2>();
    let pairs = match pairs {
        [before @ .., [0, 0]] => before,
        all => all,
    };
    let character = |pair: &[u8; 2]| match u16::from_be_bytes(*pair) {
        0xfdd0..=0xfdef | 0xfffe | 0xffff => None,
        unit => char::from_u32(u32::from(unit)),
    };
    odd.is_empty().then(|| pairs.iter().map(character).collect())?
}

#[cfg(test)]
mod tests;
