//! Subjects as client certificates have them, and as they could have them.

use pki::{Attribute, Subject, oid};

/// Returns them, each with a name for files and messages.
pub fn all() -> Vec<(&'static str, Subject)> {
    let named = |name: &str| Subject::empty().with(Attribute::common_name(name));
    vec![
        ("plain", Subject::user("jane", &[])),
        ("groups", Subject::user("jane", &["dev", "ops", "team-7", "auditors"])),
        ("node", Subject::user("system:node:worker-1", &["system:nodes"])),
        ("commas", Subject::user("Doe, Jane", &["a,b", "c, d,"])),
        ("plus-signs", Subject::user("jane+test", &["c++", "+"])),
        ("quotes", Subject::user("jane \"JD\" doe", &["the \"A\" team", "'b'", "back\\slash"])),
        ("escapes", Subject::user("#jane;<x>=y", &["#1", "a=b", ";", "<", "\\,"])),
        ("non-ascii", Subject::user("José Ünï", &["développeurs", "開発者", "🚀"])),
        ("long", Subject::user(&"n".repeat(200), &[&"g".repeat(200)])),
        ("inner-blanks", Subject::user("jane  q  doe", &["a  b"])),
        ("two-names", named("first").with(Attribute::common_name("second"))),
        (
            "multi-valued",
            Subject::empty()
                .with_multi_valued(vec![
                    Attribute::organization("b"),
                    Attribute::common_name("jane"),
                    Attribute::organization("a"),
                ])
                .with(Attribute::organization("c")),
        ),
        (
            "other-attributes",
            named("jane")
                .with(Attribute::new(&[2, 5, 4, 6], "DE"))
                .with(Attribute::new(oid::ORGANIZATIONAL_UNIT, "unit"))
                .with(Attribute::new(&[1, 2, 3, 4, 5], "CN=admin,O=system:masters")),
        ),
        ("claims-in-a-value", Subject::user("x,O=system:masters", &["a+CN=admin"])),
        (
            "user-id",
            Subject::user("jane", &["dev"]).with(Attribute::new(oid::KUBERNETES_UID, "4711")),
        ),
    ]
}
