//! Names made at random.

use proptest::prelude::*;

use crate::name::tests::{PrintedAttribute, name_strategy, print};
use crate::subject::Subject;

/// What Go makes of the attributes, in the certificate's order.
fn as_go_reads(attributes: &[&PrintedAttribute]) -> (String, Vec<String>) {
    let values = |kind: &str| {
        let kind = kind.to_owned();
        attributes.iter().filter(move |a| a.kind == kind).map(|a| a.value.clone())
    };
    (values("CN").next_back().unwrap_or_default(), values("O").collect())
}

proptest! {
    #[test]
    fn a_printed_name_gives_what_go_reads(name in name_strategy()) {
        let text = print(&name);
        let attributes: Vec<&PrintedAttribute> = name.iter().flatten().collect();
        let (user, groups) = as_go_reads(&attributes);
        let unfit = |value: &String| {
            value.is_empty() || value.trim_matches(' ') != value || value.chars().any(|c| c.is_ascii_control())
        };
        let cut_off = attributes.first().is_some_and(|a| a.value.is_empty() && !a.is_numbered());
        let found = Subject::parse(text.as_bytes());
        if unfit(&user) || groups.iter().any(unfit) || cut_off {
            prop_assert!(found.is_err(), "{}", text);
        } else {
            let found = found.unwrap();
            prop_assert_eq!((found.user, found.groups, found.uid), (user, groups, None));
        }
    }

    #[test]
    fn any_bytes_are_a_subject_or_an_error(bytes: Vec<u8>) {
        let _ = Subject::parse(&bytes);
    }

    #[test]
    fn any_bytes_of_the_grammar_are_a_subject_or_an_error(
        text in r#"((CN|O|OU|1\.3\.6\.1\.4\.1\.57683\.2|[0-9.]{0,5})=?(#?[0-9A-F]{0,8}|[ -~]{0,6}|\\.{0,3})[,+]?){0,6}"#,
    ) {
        let _ = Subject::parse(text.as_bytes());
    }
}
