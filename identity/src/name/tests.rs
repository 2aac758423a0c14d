//! Names made at random, printed by BoringSSL's rules and read back. Printing
//! is written here anew, from the other side: what a byte becomes.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::{Attribute, Value, attributes};

/// An attribute before it is printed.
#[derive(Clone, Debug)]
pub(crate) struct PrintedAttribute {
    pub(crate) kind: String,
    pub(crate) value: String,
}

impl PrintedAttribute {
    pub(crate) fn is_numbered(&self) -> bool {
        self.kind.contains('.')
    }

    fn print(&self) -> String {
        if self.is_numbered() {
            let dump = utf8_string(&self.value);
            return format!("{}=#{}", self.kind, hex(&dump));
        }
        format!("{}={}", self.kind, print_text(self.value.as_bytes()))
    }
}

/// RDNs in the certificate's order.
pub(crate) type Name = Vec<Vec<PrintedAttribute>>;

/// As `X509_NAME_print_ex` does: everything in reverse.
pub(crate) fn print(name: &Name) -> String {
    let rdn = |rdn: &Vec<PrintedAttribute>| {
        rdn.iter().rev().map(PrintedAttribute::print).collect::<Vec<_>>().join("+")
    };
    name.iter().rev().map(rdn).collect::<Vec<_>>().join(",")
}

fn print_text(text: &[u8]) -> String {
    let last = text.len().wrapping_sub(1);
    let mut printed = String::new();
    for (at, &byte) in text.iter().enumerate() {
        let is_escaped = b",+\"\\<>;".contains(&byte)
            || at == 0 && b" #".contains(&byte)
            || at == last && byte == b' ';
        if !(0x20..=0x7e).contains(&byte) {
            printed.push_str(&format!("\\{byte:02X}"));
            continue;
        }
        if is_escaped {
            printed.push('\\');
        }
        printed.push(char::from(byte));
    }
    printed
}

fn utf8_string(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    let mut der = if length < 0x80 { vec![12, length] } else { vec![12, 0x81, length] };
    der.extend(text.as_bytes());
    der
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn value_strategy() -> impl Strategy<Value = String> {
    // What needs an escape, often; anything else, sometimes.
    let odd = select(",+\"\\<>;# =\0\r\n\t\u{7f}éß😀a0CFO".chars().collect::<Vec<_>>());
    let odd = vec(odd, 0..12).prop_map(String::from_iter);
    let any = vec(any::<char>(), 0..40).prop_map(String::from_iter);
    prop_oneof![3 => "[a-z]{1,9}", 2 => "[ -~]{0,20}", 2 => odd, 1 => any]
}

pub(crate) fn name_strategy() -> impl Strategy<Value = Name> {
    const KINDS: [&str; 10] =
        ["CN", "CN", "O", "O", "OU", "C", "UID", "emailAddress", "1.2.3.4", "2.5.4.97"];
    let attribute = (select(&KINDS[..]), value_strategy())
        .prop_map(|(kind, value)| PrintedAttribute { kind: kind.into(), value });
    vec(vec(attribute, 1..4), 1..6)
}

/// The text of what was read, without the separators.
fn print_again(attribute: &Attribute<'_>) -> Vec<u8> {
    let value = match &attribute.value {
        Value::Text(text) => print_text(text),
        Value::Dump(der) => format!("#{}", hex(der)),
    };
    [attribute.kind, b"=", value.as_bytes()].concat()
}

/// Whatever is read was printed so: there is one spelling of each name.
fn assert_is_as_printed(text: &[u8]) {
    let Ok(attributes) = attributes(text) else { return };
    let mut rest = text;
    for (at, attribute) in attributes.iter().enumerate() {
        if at > 0 {
            assert!(matches!(rest[0], b',' | b'+'));
            rest = &rest[1..];
        }
        let printed = print_again(attribute);
        rest = rest.strip_prefix(&*printed).unwrap();
    }
    assert!(rest.is_empty());
}

#[test]
fn an_empty_text_is_an_empty_name() {
    assert_eq!(attributes(b""), Ok(Vec::new()));
}

proptest! {
    #[test]
    fn a_printed_name_is_read_back(name in name_strategy()) {
        let text = print(&name);
        let read = attributes(text.as_bytes()).unwrap();
        let expected: Vec<_> = name.iter().rev().flat_map(|rdn| rdn.iter().rev()).collect();
        prop_assert_eq!(read.len(), expected.len());
        for (read, expected) in read.iter().zip(expected) {
            prop_assert_eq!(read.kind, expected.kind.as_bytes());
            let value = if expected.is_numbered() {
                Value::Dump(utf8_string(&expected.value))
            } else {
                Value::Text(expected.value.clone().into_bytes())
            };
            prop_assert_eq!(&read.value, &value);
        }
        assert_is_as_printed(text.as_bytes());
    }

    #[test]
    fn a_name_is_read_only_as_it_would_be_printed(
        text in r#"((CN|O|md_gost94|1\.2|[a-zA-Z0-9.]{0,3})=(#([0-9A-F]{2}){0,3}|([ -~]|\\[ -~]|\\[0-9A-F]{2}){0,4})[,+]?){0,4}"#,
    ) {
        assert_is_as_printed(text.as_bytes());
    }

    #[test]
    fn any_bytes_are_a_name_or_an_error(bytes: Vec<u8>) {
        assert_is_as_printed(&bytes);
    }
}
