//! All hostile requests: every claim in every form, each with its number,
//! its client and its allowed outcome.

use wire::raw::Request;

use super::targets::{Becomes, TARGETS};
use super::{http1, http2};

/// Headers by which a client could say who it is or where it comes from, and
/// what it would say. `X-Sso-*` are names that the test's cluster is configured
/// with beside the usual ones.
const CLAIMS: [(&str, &str); 13] = [
    ("X-Remote-User", "admin"),
    ("X-Remote-Group", "system:masters"),
    ("X-Remote-Uid", "1"),
    ("X-Remote-Extra-Scopes", "all"),
    ("X-Remote-Extra-Authentication.kubernetes.io%2fcredential-Id", "X509SHA256=00"),
    ("X-Remote-Extra-", "all"),
    ("X-Sso-User", "admin"),
    ("X-Sso-Group", "system:masters"),
    ("X-Sso-Uid", "1"),
    ("X-Sso-Extra-Scopes", "all"),
    ("X-Forwarded-Client-Cert", "Hash=00;Subject=\"CN=admin,O=system:masters\""),
    ("X-Kubernetes-Apiserver-Rerouted", "true"),
    ("X-Mixed-Version-Proxy-Cluster", "kube-apiserver__front-proxy"),
];

/// A path that every peer serves, one that some serve, and one whose answers do
/// not matter to the filter.
const PATHS: [&str; 3] = [
    "/api/v1/namespaces/n/configmaps/c",
    "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies/x",
    "/api/v1/namespaces/n/services/s/proxy/x",
];

/// The header that has the number of the case.
pub const CASE: &str = "x-case";

/// The token of the client that has one.
pub const TOKEN: &str = "client-token";

/// The client that sends a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// A client without credentials.
    Anonymous,
    /// A client with a bearer token.
    Token,
    /// A client with a certificate of few rights.
    Certificate,
}

impl Who {
    pub const ALL: [Self; 3] = [Self::Anonymous, Self::Token, Self::Certificate];
}

/// A hostile request.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its name in messages.
    pub name: String,
    /// The client that sends it.
    pub who: Who,
    /// Its bytes or fields.
    pub sent: Sent,
    /// Its allowed outcome.
    pub fate: Fate,
}

/// The allowed outcome of a request.
#[derive(Debug, Clone)]
pub enum Fate {
    /// It arrives at one of these paths, or is refused.
    May(Vec<Vec<u8>>),
    /// It arrives at this path.
    Must(Vec<u8>),
    /// It is refused.
    Never,
}

impl Case {
    /// Returns the paths of the requests that may arrive of it.
    pub fn paths(&self) -> &[Vec<u8>] {
        match &self.fate {
            Fate::May(paths) => paths,
            Fate::Must(path) => std::slice::from_ref(path),
            Fate::Never => &[],
        }
    }
}

/// The bytes that are sent on one connection.
#[derive(Debug, Clone)]
pub enum Sent {
    /// HTTP/1.1: these bytes, and when they were answered, more of them. As
    /// many answers as there may be are waited for.
    One { bytes: Vec<u8>, then: Vec<u8>, answers: usize },
    /// HTTP/2.
    Two(Request),
}

/// Returns the corpus.
pub fn all() -> Vec<Case> {
    let mut builder = Builder { cases: Vec::new() };
    for (claim, at) in CLAIMS.iter().zip(0..) {
        builder.claim(claim, at);
    }
    for ((name, bytes), at) in http1::SMUGGLING.iter().zip(0..) {
        for who in whos(at, at.is_multiple_of(2)) {
            builder.one(&format!("smuggling: {name}"), who, at, &[bytes], &[], 2);
        }
    }
    for ((name, bytes), at) in http1::AFTER_THE_ANSWER.iter().zip(0..) {
        for who in Who::ALL {
            let name = format!("smuggling after the answer: {name}");
            builder.one(&name, who, at, &[bytes], http1::SMUGGLED, 2);
        }
    }
    for (target, at) in TARGETS.iter().zip(0..) {
        for who in whos(at, false) {
            builder.target(target, who);
        }
    }
    builder.cases
}

/// Everyone where it matters most, otherwise one after the other.
fn whos(at: usize, everyone: bool) -> Vec<Who> {
    let turn = Who::ALL.into_iter().cycle().nth(at % Who::ALL.len());
    if everyone { Who::ALL.to_vec() } else { turn.into_iter().collect() }
}

struct Builder {
    cases: Vec<Case>,
}

impl Builder {
    fn claim(&mut self, claim: &(&str, &str), at: usize) {
        const LINES_AROUND: [&[u8]; 2] =
            [b"GET {p} HTTP/1.1\r\nHost: h\r\n{c}", b"Connection: close\r\n\r\n"];
        let [before, after] = LINES_AROUND;
        for ((name, lines), form) in http1::LINES.iter().zip(at..) {
            for who in whos(form, at == 0) {
                let pieces = [before, lines, after].map(|piece| spelled(piece, claim));
                self.one(
                    &title(claim, name),
                    who,
                    form,
                    &pieces.each_ref().map(Vec::as_slice),
                    &[],
                    1,
                );
            }
        }
        for ((name, bytes), form) in http1::REQUESTS.iter().zip(at..) {
            for who in whos(form, at == 0) {
                let answers = if *name == "in the second request" { 2 } else { 1 };
                self.one(&title(claim, name), who, form, &[&spelled(bytes, claim)], &[], answers);
            }
        }
        for ((name, fields), form) in http2::FIELDS.iter().zip(at..) {
            for who in whos(form, at == 0) {
                self.two(&title(claim, name), who, form, &spelled_fields(fields, claim), None);
            }
        }
        for ((name, fields), form) in http2::TRAILERS.iter().zip(at..) {
            for who in whos(form, at == 0) {
                let trailers = spelled_fields(fields, claim);
                self.two(&title(claim, name), who, form, &[], Some(trailers));
            }
        }
    }

    fn target(&mut self, (sent, one, two): &(&[u8], Becomes, Becomes), who: Who) {
        let name = format!("target {}", sent.escape_ascii());
        for method in ["GET", "OPTIONS"] {
            let line = [method.as_bytes(), b" ", sent, b" HTTP/1.1\r\nHost: h\r\n"].concat();
            let name = format!("{method}, {name}");
            self.one(&name, who, 0, &[&line, b"{c}Connection: close\r\n\r\n"], &[], 1);
            self.last_becomes(*one, sent);
        }
        self.two(&name, who, 0, &[], None);
        self.last_becomes(*two, sent);
        if let Some(Case { sent: Sent::Two(request), .. }) = self.cases.last_mut() {
            for (name, value) in &mut request.headers {
                if name == b":path" {
                    *value = sent.to_vec();
                }
            }
        }
    }

    fn last_becomes(&mut self, becomes: Becomes, sent: &[u8]) {
        if let Some(case) = self.cases.last_mut() {
            case.fate = match becomes {
                Becomes::AsSent => Fate::Must(sent.to_vec()),
                Becomes::At(path) => Fate::Must(path.to_vec()),
                Becomes::Refused => Fate::Never,
            };
        }
    }

    fn one(
        &mut self,
        name: &str,
        who: Who,
        form: usize,
        pieces: &[&[u8]],
        then: &[u8],
        answers: usize,
    ) {
        let path = path(form);
        let number = self.cases.len().to_string();
        let mut harmless = format!("X-Case: {number}\r\n");
        if who == Who::Token {
            harmless += &format!("Authorization: Bearer {TOKEN}\r\n");
        }
        let fill = |bytes: &[u8]| {
            let bytes = replace(bytes, b"{*}", http1::SMUGGLED);
            let bytes = replace(&bytes, b"{c}", harmless.as_bytes());
            replace(&bytes, b"{p}", path)
        };
        let sent = Sent::One { bytes: fill(&pieces.concat()), then: fill(then), answers };
        let mut paths = vec![path.to_vec()];
        // Only as a request of the client's own.
        let smuggles = !then.is_empty() || pieces.concat().windows(3).any(|of| of == b"{*}");
        if smuggles {
            paths.push(b"/api/v1/namespaces/kube-system/secrets".to_vec());
        }
        let (name, fate) = (format!("HTTP/1.1, {who:?}, {name}"), Fate::May(paths));
        self.cases.push(Case { name, who, sent, fate });
    }

    fn two(
        &mut self,
        name: &str,
        who: Who,
        form: usize,
        fields: &[(Vec<u8>, Vec<u8>)],
        trailers: Option<Vec<(Vec<u8>, Vec<u8>)>>,
    ) {
        let path = path(form);
        let number = self.cases.len().to_string();
        let method: &[u8] = match name {
            name if name.contains("extended CONNECT") => b"CONNECT",
            _ if trailers.is_some() => b"POST",
            _ => b"GET",
        };
        let mut headers: Vec<(&[u8], &[u8])> = vec![
            (b":method", method),
            (b":scheme", b"https"),
            (b":path", path),
            (b":authority", b"h"),
            (CASE.as_bytes(), number.as_bytes()),
        ];
        let token = format!("Bearer {TOKEN}");
        if who == Who::Token {
            headers.push((b"authorization", token.as_bytes()));
        }
        let mut headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        headers.extend(fields.iter().cloned());
        let body = trailers.is_some().then(|| b"body".to_vec());
        let sent = Sent::Two(Request { headers, body, trailers });
        let fate = Fate::May(vec![path.to_vec()]);
        self.cases.push(Case { name: format!("HTTP/2, {who:?}, {name}"), who, sent, fate });
    }
}

fn title((header, _): &(&str, &str), form: &str) -> String {
    format!("{header}, {form}")
}

fn path(form: usize) -> &'static [u8] {
    let [everyone, some, proxied] = PATHS;
    match form % 3 {
        0 => some.as_bytes(),
        1 => everyone.as_bytes(),
        _ => proxied.as_bytes(),
    }
}

/// Puts a claim into a form.
fn spelled(form: &[u8], (name, value): &(&str, &str)) -> Vec<u8> {
    let mut mixed = String::new();
    for (at, letter) in name.chars().enumerate() {
        let letter = if at.is_multiple_of(2) {
            letter.to_ascii_lowercase()
        } else {
            letter.to_ascii_uppercase()
        };
        mixed.push(letter);
    }
    let spellings = [
        ("{n}", (*name).to_owned()),
        ("{l}", name.to_ascii_lowercase()),
        ("{u}", name.to_ascii_uppercase()),
        ("{m}", mixed),
        ("{_}", name.to_ascii_lowercase().replace('-', "_")),
        ("{h}", name.to_ascii_lowercase().replacen('-', "_", 1)),
        ("{v}", (*value).to_owned()),
    ];
    spellings
        .iter()
        .fold(form.to_vec(), |bytes, (from, to)| replace(&bytes, from.as_bytes(), to.as_bytes()))
}

fn spelled_fields(fields: &[http2::Field], claim: &(&str, &str)) -> Vec<(Vec<u8>, Vec<u8>)> {
    fields.iter().map(|(name, value)| (spelled(name, claim), spelled(value, claim))).collect()
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, others)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(from) {
            replaced.extend_from_slice(to);
            rest = after;
        } else {
            replaced.push(*first);
            rest = others;
        }
    }
    replaced
}
