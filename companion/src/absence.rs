//! Strict 404: is a type really served by nobody?
//!
//! ```text
//!  filter ─▶ serve ──Question──▶ peer::Prober ──▶ every serving peer, at once
//!                    ◀──Answer──     │
//!                                    └─Report─▶ index ─▶ … ─▶ map
//! ```
//!
//! The filter asks when an API server said that it does not know a type, and
//! the map does not know it either. What a peer said before the question does
//! not count: the type may be there since.

mod prober;

use discovery_map::Scope;
use percent_encoding::percent_decode;
use routing::{RequestPath, Target};
use tokio::sync::{mpsc, oneshot};

use api_discovery::{Known, Part};

pub use prober::Prober;

/// What is asked for, if it can be a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    group: Box<str>,
    version: Option<Box<str>>,
    /// `pods`, `pods/status`.
    resource: Option<Box<str>>,
    /// In which scope, if the path tells.
    scope: Option<Scope>,
}

/// What is known after every peer was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nobody serves it.
    Absent,
    /// Somebody does.
    Served,
    /// A peer could not be asked, or has just left, and no other serves it.
    Unclear,
}

/// A question that waits for the next round.
#[derive(Debug)]
pub struct Question {
    /// What is asked for.
    pub wanted: Wanted,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Answer>,
}

/// Asks the prober.
#[derive(Clone, Debug)]
pub struct Asker(mpsc::Sender<Question>);

/// As many as may wait; more than that are answered at once.
const MAX_WAITING: usize = 4096;

/// An asker, and where its questions arrive.
#[must_use]
pub fn channel() -> (Asker, mpsc::Receiver<Question>) {
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    (Asker(sender), receiver)
}

impl Asker {
    /// Asks about the path in a query such as `path=%2Fapis%2Fapps%2Fv1%2Fx`.
    /// None: there is no path in it.
    pub async fn ask(&self, query: &str) -> Option<Answer> {
        let path = query.split('&').find_map(|pair| pair.strip_prefix("path="))?;
        let path: Vec<u8> = percent_decode(path.as_bytes()).collect();
        // What is no type is known to nobody.
        let Some(wanted) = Wanted::parse(&path) else { return Some(Answer::Absent) };
        let (sender, receiver) = oneshot::channel();
        if self.0.try_send(Question { wanted, answer: sender }).is_err() {
            return Some(Answer::Unclear);
        }
        Some(receiver.await.unwrap_or(Answer::Unclear))
    }
}

impl Wanted {
    /// Reads a request's path, as it was received.
    #[must_use]
    pub fn parse(path: &[u8]) -> Option<Self> {
        // A name that is not UTF-8 is in no discovery document.
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(Box::from);
        let path = RequestPath::new(path);
        let target = path.target();
        let (group, version, resource) = match target {
            Target::NotAnApi | Target::Discovery | Target::OpenApiV2 => return None,
            Target::OpenApiV3 { group_version, .. } => {
                let (group, version) = group_version?;
                (group, Some(version), None)
            }
            Target::Group(group) => (group, None, None),
            Target::GroupVersion { group, version } => (group, Some(version), None),
            Target::Resource(target) => {
                let mut name = target.resource.to_vec();
                if let Some(subresource) = target.subresource {
                    name.push(b'/');
                    name.extend_from_slice(subresource);
                }
                (target.group, Some(target.version), Some(text(&name)?))
            }
        };
        let version = match version {
            Some(version) => Some(text(version)?),
            None => None,
        };
        let scope = match target {
            Target::Resource(target) => target.scope(),
            _ => None,
        };
        Some(Self { group: text(group)?, version, resource, scope })
    }

    /// The half of discovery that would have it.
    #[must_use]
    pub fn part(&self) -> Part {
        if self.group.is_empty() { Part::Core } else { Part::Named }
    }

    /// Whether it is there.
    #[must_use]
    pub fn is_in(&self, known: &Known) -> bool {
        let (version, resource) = (self.version.as_deref(), self.resource.as_deref());
        known.has(&self.group, version, resource, self.scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_discovery::{ListedVersion, Listing};

    fn known(types: &[&str]) -> Known {
        let mut listing = Listing::default();
        for name in types {
            let mut parts = name.splitn(3, '/');
            let mut next = || Box::<str>::from(parts.next().unwrap());
            let (group, version, resource) = (next(), next(), next());
            let versions = listing.0.entry(group).or_default();
            let listed: &mut ListedVersion = versions.entry(version).or_default();
            listed.namespaced.insert(resource);
        }
        let mut known = Known::default();
        known.update(Part::Named, listing);
        known
    }

    #[test]
    fn a_path_is_looked_up_as_the_filter_looks_it_up() {
        let known = known(&["a.example.com/v1/things", "a.example.com/v1/things/status"]);
        for (path, there) in [
            ("/apis/a.example.com", Some(true)),
            ("/apis/a.example.com/v1", Some(true)),
            ("/apis/a.example.com/v2", Some(false)),
            ("/apis/a.example.com/v1/things", Some(true)),
            ("/apis/a.example.com/v1/namespaces/n/things/x?watch=1", Some(true)),
            ("/apis/a.example.com/v1/namespaces/n/things/x/status", Some(true)),
            ("/apis/a.example.com/v1/namespaces/n/things/x/scale", Some(false)),
            ("/apis/a.example.com/v1/thing%73", Some(true)),
            // A path of a cluster-scoped resource.
            ("/apis/a.example.com/v1/things/x", Some(false)),
            ("/openapi/v3/apis/a.example.com/v1", Some(true)),
            ("/apis/b.example.com/v1/things", Some(false)),
            ("/api/v1/things", Some(false)),
            ("/healthz", None),
            ("/apis", None),
            ("", None),
        ] {
            let wanted = Wanted::parse(path.as_bytes());
            assert_eq!(wanted.map(|wanted| wanted.is_in(&known)), there, "{path}");
        }
        assert_eq!(Wanted::parse(b"/apis/\xff/v1/x"), None);
    }

    #[tokio::test]
    async fn questions_that_nobody_takes_are_unclear() {
        let (asker, questions) = channel();
        drop(questions);
        assert_eq!(asker.ask("path=%2Fapis%2Fa%2Fv1%2Fx").await, Some(Answer::Unclear));
        assert_eq!(asker.ask("path=%2Fmetrics").await, Some(Answer::Absent));
        assert_eq!(asker.ask("way=%2Fmetrics").await, None);
    }
}
