//! Which of a discovery path's documents a client gets, and in which encoding, by
//! its `Accept` header: negotiation as kube-apiserver does it, oddities included.
//! What a server would refuse (406), or would answer in an encoding that is not
//! made here (CBOR, where its feature gate is on), a server answers by itself.
//!
//! It parses the header by github.com/munnerz/goautoneg (`ParseAccept`) and
//! walks the clauses by k8s.io/apiserver/pkg/endpoints/handlers/negotiation.
//! `/api` and `/apis` do that twice: once for aggregated documents alone
//! (endpoints/discovery/aggregated/wrapper.go), so that these come first
//! wherever they stand, and then for the plain one.

use discovery_map::{DocumentEncoding, DocumentForm};

/// The documents that a path has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// The plain one in JSON, YAML and protobuf.
    Plain,
    /// That, and the aggregated one. Newer servers no longer offer `v2beta1`.
    Aggregated { v2beta1: bool },
    /// JSON, whatever is asked for.
    JsonOnly,
}

/// What a client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Negotiated {
    pub(crate) form: DocumentForm,
    pub(crate) encoding: DocumentEncoding,
}

/// Returns the document that a client gets. `None` if a server must answer: for its own document
/// alone (`profile=nopeer`), a form or an encoding that does not exist, or one that only a server
/// can make. `indents`: JSON is for a human reader, whatever the header says.
pub(crate) fn negotiate(accept: &[u8], offer: Offer, indents: bool) -> Option<Negotiated> {
    let plain = |encoding| Negotiated { form: DocumentForm::Plain, encoding };
    if offer == Offer::JsonOnly {
        return Some(plain(DocumentEncoding::Json));
    }
    let json = if indents { DocumentEncoding::IndentedJson } else { DocumentEncoding::Json };
    if accept.is_empty() {
        return Some(plain(json));
    }
    let clauses = clauses(accept);
    if let Offer::Aggregated { v2beta1 } = offer {
        let aggregated = |clause: &Clause<'_>| {
            clause.aggregated_form().filter(|&form| form == DocumentForm::AggregatedV2 || v2beta1)
        };
        let found = clauses.iter().find_map(|clause| {
            let form = aggregated(clause)?;
            Some((Negotiated { form, encoding: clause.encoding(json)? }, clause.profile))
        });
        if let Some((negotiated, profile)) = found {
            return (profile != b"nopeer").then_some(negotiated);
        }
    }
    let mut unconverted = clauses.iter().filter(|clause| !clause.converts);
    unconverted.find_map(|clause| clause.encoding(json)).map(plain)
}

/// Returns whether the servers' router (go-restful, `Route.matchesAccept`) lets a request through
/// to the handler that negotiates. It knows whole media types only, so a range such as
/// `application/*` alone is refused where the path was registered with it: `/api`,
/// `/api/<version>`, and the group-versions built into a server.
pub(crate) fn passes_router(accept: &[u8]) -> bool {
    let media_types = accept.split(|&byte| byte == b',').map(|clause| trim(split(clause, b';').0));
    let mut known = media_types.filter(|media_type| {
        *media_type == b"*/*"
            || SUBTYPES
                .iter()
                .any(|(subtype, _)| media_type.strip_prefix(b"application/") == Some(subtype))
    });
    accept.is_empty() || known.next().is_some()
}

/// Returns the media types of the header, in the order in which the server tries them, as main type
/// and subtype. Parameters do not matter to those who ask for this.
pub(crate) fn media_types(accept: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    clauses(accept).into_iter().map(|clause| (clause.main, clause.sub))
}

/// A server's media types below `application/`, in the order in which it prefers
/// them.
const SUBTYPES: [(&[u8], DocumentEncoding); 3] = [
    (b"json", DocumentEncoding::Json),
    (b"yaml", DocumentEncoding::Yaml),
    (b"vnd.kubernetes.protobuf", DocumentEncoding::Protobuf),
];

/// One alternative of the header, with the parameters that matter.
#[derive(Clone, Copy, Debug, Default)]
struct Clause<'a> {
    quality: f32,
    main: &'a [u8],
    sub: &'a [u8],
    /// Whether it has any of `as`, `g` and `v`.
    converts: bool,
    kind: &'a [u8],
    group: &'a [u8],
    version: &'a [u8],
    stream: &'a [u8],
    server_version: &'a [u8],
    profile: &'a [u8],
    indents: bool,
}

impl<'a> Clause<'a> {
    /// `None` if it is not a media type; then it is skipped.
    fn parse(text: &'a [u8]) -> Option<Self> {
        let (media_type, mut rest) = split(trim(text), b';');
        let (main, sub) = split(media_type, b'/');
        let main = trim(main);
        let sub = match sub {
            [] if main == b"*" => b"*",
            [] => return None,
            // A second slash is fine only if nothing follows it.
            sub => match split(sub, b'/') {
                (sub, []) => trim(sub),
                _ => return None,
            },
        };
        let mut clause = Self { quality: 1.0, main, sub, ..Self::default() };
        while !rest.is_empty() {
            let parameter;
            (parameter, rest) = split(rest, b';');
            clause.set(parameter);
        }
        Some(clause)
    }

    fn set(&mut self, parameter: &'a [u8]) {
        let (name, value) = split(parameter, b'=');
        // A parameter without a value, or with two, is skipped.
        let (raw, []) = split(value, b'=') else { return };
        if value.is_empty() {
            return;
        }
        let value = trim(raw);
        match trim(name) {
            b"q" => self.quality = quality(raw),
            b"as" => (self.converts, self.kind) = (true, value),
            b"g" => (self.converts, self.group) = (true, value),
            b"v" => (self.converts, self.version) = (true, value),
            b"stream" => self.stream = value,
            b"sv" => self.server_version = value,
            b"profile" => self.profile = value,
            b"pretty" => self.indents = value == b"1",
            _ => {}
        }
    }

    /// Returns the first of the server's media types that the clause matches. `json` is how JSON is
    /// written for this client.
    fn encoding(&self, json: DocumentEncoding) -> Option<DocumentEncoding> {
        // No endpoint of discovery lets a client choose the server's version.
        self.server_version.is_empty().then_some(())?;
        let (_, encoding) = SUBTYPES.into_iter().find(|&offered| self.matches(offered))?;
        Some(match encoding {
            DocumentEncoding::Json if self.indents => DocumentEncoding::IndentedJson,
            DocumentEncoding::Json => json,
            other => other,
        })
    }

    fn matches(&self, (subtype, encoding): (&[u8], DocumentEncoding)) -> bool {
        let is_named = match self.main {
            b"application" => self.sub == subtype || self.sub == b"*",
            main => main == b"*" && self.sub == b"*",
        };
        let streams = match self.stream {
            b"" => true,
            stream => stream == b"watch" && encoding != DocumentEncoding::Yaml,
        };
        is_named && streams
    }

    fn aggregated_form(&self) -> Option<DocumentForm> {
        let is_list = self.kind == b"APIGroupDiscoveryList" && self.group == b"apidiscovery.k8s.io";
        match self.version {
            b"v2" if is_list => Some(DocumentForm::AggregatedV2),
            b"v2beta1" if is_list => Some(DocumentForm::AggregatedV2beta1),
            _ => None,
        }
    }

    /// goautoneg's order. It is not a real order: two clauses can each come before
    /// the other.
    fn goes_before(&self, other: &Self) -> bool {
        self.quality > other.quality
            || (self.main != b"*" && other.main == b"*")
            || (self.sub != b"*" && other.sub == b"*")
    }
}

/// Go sorts lists up to this length by insertion, so the result is defined even
/// though the order is not a real one.
const SORTED_BY_INSERTION: usize = 12;

/// The clauses, as the server sorts them.
fn clauses(accept: &[u8]) -> Vec<Clause<'_>> {
    let mut clauses: Vec<_> =
        accept.split(|&byte| byte == b',').filter_map(Clause::parse).collect();
    if clauses.len() > SORTED_BY_INSERTION {
        // No known client sends this many.
        clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality));
        return clauses;
    }
    for end in 1..clauses.len() {
        for at in (1..=end).rev() {
            let Some([before, moved]) = clauses.get_mut(at - 1..=at) else { break };
            if !moved.goes_before(before) {
                break;
            }
            std::mem::swap(before, moved);
        }
    }
    clauses
}

/// As Go's `ParseFloat` with its error ignored.
fn quality(text: &[u8]) -> f32 {
    str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// What is before and after the first separator.
fn split(text: &[u8], separator: u8) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&byte| byte == separator);
    end.and_then(|end| Some((text.get(..end)?, text.get(end + 1..)?))).unwrap_or((text, b""))
}

/// Without spaces at both ends. Tabs stay.
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests;
