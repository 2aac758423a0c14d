//! The answer to an access check: the merged document, with what the server lists
//! and the map does not know yet.
//!
//! ```text
//!  304, or a document that the map was made of ──────────────────▶ the merged document
//!  another document ─ its body ─▶ Bodies ─▶ Extensions ──┬─ adds ▶ the extended document
//!                                                        └─ else ▶ the merged document
//! ```
//!
//! A document that is too large to be read adds nothing: then the client gets what
//! the map has. A server that breaks off its document, or stops sending it, has not
//! answered the access check: the client gets Envoy's error, or waits.

use std::rc::Rc;

use discovery_map::{Content, MergedDocument};
use routing::interest::{self, AwaitedDocument, ResponseInterest};
use routing::merged;
use routing::status::{Encoding, Refusal};

use crate::effect::Effect;
use crate::extensions::{Extension, Own};
use crate::filter::{Current, Filter};
use crate::headers::Headers;
use crate::host::{Action, HeaderMap, Host, StreamId};

/// A merged document of the current map.
#[derive(Clone, Copy)]
struct Merged<'a> {
    index: usize,
    document: &'a MergedDocument,
    content: &'a Content,
    current: &'a Current,
}

impl<'a> Merged<'a> {
    /// Returns the document that a client waits for. `None` if the last push took it away: all
    /// servers have the same one now, but this server's answer is to the access check, not to the
    /// client's request.
    fn find(awaited: &AwaitedDocument<'_>, current: Option<&'a Current>) -> Option<Self> {
        let current = current?;
        let entry = current.map.document(awaited.path, awaited.form)?;
        let content = current.documents.get(entry.index)?;
        Some(Self { index: entry.index, document: entry.document, content, current })
    }

    /// Returns the answer, made of the extended document if there is one.
    fn answer(
        self,
        awaited: &AwaitedDocument<'_>,
        extension: Option<&'a Extension>,
        peer: &'a Headers,
    ) -> Effect<'a> {
        let extended = extension.and_then(|extension| extension.extended.as_ref());
        let (document, content) = match extended {
            Some((document, content)) => (document, content),
            None => (self.document, self.content),
        };
        match merged::answer(&awaited.options, document, content, peer.iter()) {
            Some(answer) => Effect::SendDocument {
                form: document.form,
                is_extended: extended.is_some(),
                answer,
            },
            None => Effect::Refuse(Refusal::Unproved, awaited.encoding),
        }
    }
}

impl<H: Host> Filter<H> {
    /// The headers of a 200 or 304 to an access check have come.
    #[cold]
    pub(crate) fn document_headers(
        &self,
        stream: StreamId,
        awaited: &AwaitedDocument<'_>,
        status: &[u8],
        end_of_stream: bool,
    ) -> Action {
        self.document(stream, awaited, |merged, peer| {
            let may_differ = status == b"200" && merged::can_be_extended(merged.document);
            let etag = etag(peer).filter(|_| may_differ);
            let extension = etag.and_then(|etag| merged.known_extension(etag));
            let is_known = etag.is_some_and(|etag| merged::is_known(merged.document, etag));
            let is_read = may_differ && !is_known && extension.is_none() && !end_of_stream;
            if is_read { Next::Read } else { Next::Answer(extension) }
        })
    }

    /// A server's document has come to its end, or no more of it can be kept.
    #[cold]
    pub(crate) fn document_end(&self, stream: StreamId) -> Action {
        let body = self.bodies.take(stream);
        let state = self.host.filter_state(interest::STATE);
        match ResponseInterest::from_bytes(state.as_deref()) {
            ResponseInterest::Document(awaited) => {
                self.document(stream, &awaited, |merged, peer| {
                    Next::Answer(body.map(|body| merged.extension(peer, &body)))
                })
            }
            _ => self.apply(stream, Effect::Refuse(Refusal::Unproved, Encoding::Json)),
        }
    }

    /// Does what `decide` says of the document that the client waits for.
    fn document(
        &self,
        stream: StreamId,
        awaited: &AwaitedDocument<'_>,
        decide: impl FnOnce(Merged<'_>, &Headers) -> Next,
    ) -> Action {
        let peer = self.host.headers(HeaderMap::Response);
        let current = self.current.borrow();
        let Some(merged) = Merged::find(awaited, current.as_ref()) else {
            return self.apply(stream, Effect::Refuse(Refusal::Unproved, awaited.encoding));
        };
        match decide(merged, &peer) {
            Next::Read => self.apply(stream, Effect::Read),
            Next::Answer(extension) => {
                self.apply(stream, merged.answer(awaited, extension.as_deref(), &peer))
            }
        }
    }
}

/// What follows for a client that may read a document.
enum Next {
    /// The server's own document is read.
    Read,
    /// The client gets the merged document, or what the server's makes of it.
    Answer(Option<Rc<Extension>>),
}

impl Merged<'_> {
    fn known_extension(self, etag: &[u8]) -> Option<Rc<Extension>> {
        self.current.extensions.known(self.index, &Own::Etag(etag.to_vec()))
    }

    fn extension(self, peer: &Headers, body: &[u8]) -> Rc<Extension> {
        let own = (Own::new(etag(peer), body), body);
        self.current.extensions.make(self.index, (self.document, self.content), own)
    }
}

fn etag(peer: &Headers) -> Option<&[u8]> {
    peer.iter().find(|(name, _)| *name == b"etag").map(|(_, value)| value)
}
