//! The absence query: asks whether any peer serves a type.

use api_discovery::{Belief, Part};
use discovery_map::{ABSENCE_PARAMETER, Absence, Scope};
use percent_encoding::percent_decode;
use routing::{RequestPath, Target};
use tokio::sync::{mpsc, oneshot};

/// The type that a path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    group: Box<str>,
    version: Option<Box<str>>,
    /// `pods`, `pods/status`.
    resource: Option<Box<str>>,
    /// The scope, if the path tells.
    scope: Option<Scope>,
}

/// A query that waits for the next round.
#[derive(Debug)]
pub struct AbsenceQuery {
    pub wanted: Wanted,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Absence>,
}

#[derive(Clone, Debug)]
pub struct Asker(mpsc::Sender<AbsenceQuery>);

/// How many queries may wait. Any more are answered at once.
const MAX_WAITING: usize = 4096;

/// Returns an asker, and where its queries arrive.
pub fn channel() -> (Asker, mpsc::Receiver<AbsenceQuery>) {
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    (Asker(sender), receiver)
}

impl Asker {
    /// Asks about the path in a query string such as
    /// `path=%2Fapis%2Fapps%2Fv1%2Fx`. Returns none if it has no path.
    pub async fn ask(&self, query: &str) -> Option<Absence> {
        let path = query
            .split('&')
            .find_map(|pair| pair.strip_prefix(ABSENCE_PARAMETER)?.strip_prefix('='))?;
        let path: Vec<u8> = percent_decode(path.as_bytes()).collect();
        // No peer serves what is not a type.
        let Some(wanted) = Wanted::parse(&path) else { return Some(Absence::Absent) };
        let (sender, receiver) = oneshot::channel();
        if self.0.try_send(AbsenceQuery { wanted, answer: sender }).is_err() {
            return Some(Absence::Unclear);
        }
        Some(receiver.await.unwrap_or(Absence::Unclear))
    }
}

impl Wanted {
    /// Returns the type that a request's path, as received, asks for.
    pub fn parse(path: &[u8]) -> Option<Self> {
        let path = RequestPath::new(path);
        let (group, version, resource, scope) = match path.target() {
            Target::NotAnApi | Target::Discovery | Target::OpenApiV2 => return None,
            Target::OpenApiV3 { group_version, .. } => {
                let (group, version) = group_version?;
                (group, Some(version), None, None)
            }
            Target::Group(group) => (group, None, None, None),
            Target::GroupVersion { group, version } => (group, Some(version), None, None),
            Target::Resource(target) => {
                let names = [target.resource].into_iter().chain(target.subresource);
                let name = names.collect::<Vec<_>>().join(&b'/');
                (target.group, Some(target.version), Some(name), target.scope())
            }
        };
        // A name that is not UTF-8 is in no discovery document.
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(Box::from);
        Some(Self {
            group: text(group).ok()?,
            version: version.map(text).transpose().ok()?,
            resource: resource.as_deref().map(text).transpose().ok()?,
            scope,
        })
    }

    /// Returns the half of discovery that would list it.
    pub fn part(&self) -> Part {
        Part::of_group(&self.group)
    }

    pub fn is_in(&self, belief: &Belief) -> bool {
        let (version, resource) = (self.version.as_deref(), self.resource.as_deref());
        belief.has(&self.group, version, resource, self.scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_discovery::LegacyReader;

    #[test]
    fn a_path_is_looked_up_as_the_filter_looks_it_up() {
        let things = r#"{"resources": [{"name": "things", "namespaced": true},
            {"name": "things/status", "namespaced": true}]}"#;
        let mut listing = LegacyReader::default();
        listing.add("a.example.com", "v1", Some(serde_json::from_str(things).unwrap()));
        let mut belief = Belief::default();
        belief.update(Part::Named, listing.finish());
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
            assert_eq!(wanted.map(|wanted| wanted.is_in(&belief)), there, "{path}");
        }
        assert_eq!(Wanted::parse(b"/apis/\xff/v1/x"), None);
    }

    #[tokio::test]
    async fn queries_without_a_prober_are_unclear() {
        let (asker, queries) = channel();
        drop(queries);
        assert_eq!(asker.ask("path=%2Fapis%2Fa%2Fv1%2Fx").await, Some(Absence::Unclear));
        assert_eq!(asker.ask("path=%2Fmetrics").await, Some(Absence::Absent));
        assert_eq!(asker.ask("way=%2Fmetrics").await, None);
    }
}
