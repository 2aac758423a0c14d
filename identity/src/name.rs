//! A distinguished name as BoringSSL prints it: `X509_NAME_print_ex` with
//! `XN_FLAG_RFC2253` (crypto/x509/name_print.cc, crypto/asn1/a_strex.cc).
//!
//! ```text
//!   name  = [ attr *( ("," / "+") attr ) ]    ; the certificate's last attribute first
//!   attr  = type "=" ( text / "#" hex )       ; hex: the DER of the value
//!   type  = a short name ("CN"), or a number ("1.2.3") where BoringSSL has none
//! ```
//!
//! In a text, `, + " \ < > ;` anywhere, `#` at the beginning and a blank at
//! either end follow a backslash; every byte that is not printable ASCII is a
//! backslash and two upper-case hexadecimal digits. `=` stands for itself.
//!
//! The reader takes just what is printed. What is spelled otherwise was printed
//! by something else, by rules that are not known here.

use crate::SubjectError;

/// An attribute of the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attribute<'t> {
    /// A short name or a dotted number.
    pub(crate) kind: &'t [u8],
    pub(crate) value: Value,
}

/// An attribute's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// The characters, in UTF-8 if BoringSSL kept its word.
    Text(Vec<u8>),
    /// The DER of a value whose type or attribute BoringSSL has no text for.
    Dump(Vec<u8>),
}

impl Attribute<'_> {
    /// Whether the type is a number, and so the value a dump.
    pub(crate) fn is_numbered(&self) -> bool {
        self.kind.first().is_some_and(u8::is_ascii_digit)
    }
}

/// Reads a name; the attributes are in the order of the text. Which of them
/// share an RDN is not kept: Go pays no heed to it.
pub(crate) fn attributes(text: &[u8]) -> Result<Vec<Attribute<'_>>, SubjectError> {
    let mut attributes = Vec::new();
    let mut rest = text;
    while !rest.is_empty() || !attributes.is_empty() {
        let (attribute, after) = attribute(rest).ok_or(SubjectError::Unreadable)?;
        attributes.push(attribute);
        let Some((_separator, next)) = after.split_first() else { break };
        rest = next;
    }
    Ok(attributes)
}

/// Reads one attribute; what is left is nothing or begins with a separator.
fn attribute(text: &[u8]) -> Option<(Attribute<'_>, &[u8])> {
    let equals = text.iter().position(|&byte| byte == b'=')?;
    let (kind, rest) = text.split_at(equals);
    if !is_short_name(kind) && !is_object_identifier(kind) {
        return None;
    }
    let (value, rest) = match rest {
        [b'=', b'#', rest @ ..] => dump(rest)?,
        [b'=', rest @ ..] => characters(rest)?,
        _ => return None,
    };
    let attribute = Attribute { kind, value };
    // What has no short name is always dumped.
    if attribute.is_numbered() && matches!(attribute.value, Value::Text(_)) {
        return None;
    }
    Some((attribute, rest))
}

/// Whether this can be a short name of BoringSSL's: `CN`, `md_gost94`,
/// `RSA-SHA512/256`.
fn is_short_name(kind: &[u8]) -> bool {
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_/".contains(byte);
    kind.first().is_some_and(u8::is_ascii_alphabetic) && kind.iter().all(inner)
}

/// Whether this is an object identifier that Go would read: two numbers or
/// more, each below 2³¹.
fn is_object_identifier(kind: &[u8]) -> bool {
    let number = |digits: &[u8]| {
        // Ten digits are the most, so the sum stays far below the type's end.
        (1..=10).contains(&digits.len())
            && digits.iter().all(u8::is_ascii_digit)
            && (digits.len() == 1 || digits.first() != Some(&b'0'))
            && digits.iter().fold(0, |sum: u64, digit| sum * 10 + u64::from(digit - b'0')) < 1 << 31
    };
    kind.contains(&b'.') && kind.split(|&byte| byte == b'.').all(number)
}

/// Reads the hexadecimal digits behind `#`.
fn dump(mut rest: &[u8]) -> Option<(Value, &[u8])> {
    let mut der = Vec::new();
    while !is_end(rest) {
        let [high, low, after @ ..] = rest else { return None };
        der.push(hex_pair(*high, *low)?);
        rest = after;
    }
    Some((Value::Dump(der), rest))
}

/// Reads a text up to its end.
fn characters(mut rest: &[u8]) -> Option<(Value, &[u8])> {
    let mut text = Vec::new();
    while let [byte, after @ ..] = rest
        && !is_end(rest)
    {
        let is_first = text.is_empty();
        match byte {
            b'\\' => {
                let (escaped, after) = escaped(after, is_first)?;
                text.push(escaped);
                rest = after;
                continue;
            }
            b' ' if is_first || is_end(after) => return None,
            b'"' | b'<' | b'>' | b';' => return None,
            b' '..=b'~' => text.push(*byte),
            _ => return None,
        }
        rest = after;
    }
    Some((Value::Text(text), rest))
}

/// Reads what follows a backslash.
fn escaped(rest: &[u8], is_first: bool) -> Option<(u8, &[u8])> {
    match rest {
        [byte @ (b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';'), after @ ..] => {
            Some((*byte, after))
        }
        [b'#', after @ ..] if is_first => Some((b'#', after)),
        [b' ', after @ ..] if is_first || is_end(after) => Some((b' ', after)),
        [high, low, after @ ..] => match hex_pair(*high, *low)? {
            b' '..=b'~' => None,
            byte => Some((byte, after)),
        },
        _ => None,
    }
}

/// Whether a value has ended.
fn is_end(rest: &[u8]) -> bool {
    matches!(rest, [] | [b',' | b'+', ..])
}

fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
pub(crate) mod tests;
