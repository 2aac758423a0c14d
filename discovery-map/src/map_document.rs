//! The map on the wire: what the JSON says, before anything is believed.
//!
//! Compact on purpose, because Envoy keeps a copy for each worker: a group with
//! one version and one resource costs about 70 bytes. No field is optional
//! unless its absence means something, and unknown fields are refused, so that
//! a filter never applies half of a map.
//!
//! A field that is added after 0.1.0 is omitted unless its feature is in use
//! (`skip_serializing_if`), and its absence means that it is not (`default`), so
//! that neighboring versions work together (ADR 0014).

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::minor_version::MinorVersion;
use crate::mode::Mode;
use crate::verb::Verb;

/// The version of the schema that this build reads and writes.
pub const SCHEMA_VERSION: u32 = 1;

/// What is pushed in place of a map before there is one, in JSON. A filter that has no map yet then
/// answers every request 503. It is not the empty text, which a host that fails to hand a
/// configuration over could be taken to mean.
pub const NO_MAP: &str = "null";

/// Resources (`"pods"`) and subresources (`"pods/status"`), by scope: a path
/// that puts a resource into the wrong scope is a 404 on every server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Those in a namespace.
    #[serde(default, rename = "ns", skip_serializing_if = "Vec::is_empty")]
    pub namespaced: Vec<String>,
    /// Those of the whole cluster.
    #[serde(default, rename = "cluster", skip_serializing_if = "Vec::is_empty")]
    pub cluster_scoped: Vec<String>,
}

/// The discovery map as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MapDocument {
    /// Always [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Grows with every push; the filter shows it as a gauge.
    pub generation: u64,
    /// Whether every configured peer's discovery was read, so that what the
    /// map does not know does not exist.
    pub complete: bool,
    /// How much of its decisions the filter carries out.
    #[serde(default, skip_serializing_if = "Mode::is_enforce")]
    pub mode: Mode,
    /// The groups whose users are told how each of their requests was decided, in the response
    /// header [`DECISION_HEADER`](crate::DECISION_HEADER).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decision_header_groups: Vec<String>,
    /// The cluster of all serving peers. A request that goes there needs no
    /// header: it is the route's own cluster.
    pub default_cluster: String,
    /// How the peers are told who a client with a certificate is.
    pub identity: IdentityHeaders,
    /// Every peer in the map.
    pub peers: Vec<PeerEntry>,
    /// The addresses of the peers in rotation, as Envoy writes them
    /// (`10.0.0.1:6443`, `[fd00::1]:6443`): a type-level 404 passes when each of
    /// them said it. Without any, no 404 is asked of another server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rotation: Vec<String>,
    /// Whether a peer left the rotation a moment ago. It may have known a type
    /// that the others have not seen yet, so that no 404 can be proved.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub just_left: bool,
    /// The distinct serving sets; `groups` refers to them by index.
    pub sets: Vec<SetEntry>,
    /// The set of the peers with the widest view: the best single answer to
    /// an aggregated discovery request.
    pub widest_view: u16,
    /// group (`""` is core) → version → serving set → resources.
    #[serde(deserialize_with = "unique_keys")]
    pub groups: BTreeMap<String, Versions>,
    /// `group/version/resource` of `groups` (`apps/v1/deployments/scale`, `/v1/pods`) →
    /// the verbs that some peers of its serving set do not have.
    #[serde(default, deserialize_with = "unique_keys", skip_serializing_if = "BTreeMap::is_empty")]
    pub verbs: BTreeMap<String, SetsByVerb>,
    /// The merged documents: what all serving peers offer together. There is none
    /// where every serving peer has the same document.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<MergedDocument>,
    /// Who answers for OpenAPI documents that differ among the peers.
    #[serde(default, skip_serializing_if = "OpenApi::is_empty")]
    pub open_api: OpenApi,
    /// A field of earlier maps: whom to ask before a type-level 404 passes. It is
    /// accepted and ignored, because servers are asked.
    #[serde(default, skip_serializing)]
    pub strict_not_found: Ignored,
}

/// A field of earlier maps that is accepted and ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignored;

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

/// A discovery document as every client is to see it, whichever peer is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MergedDocument {
    /// The path: `/api`, `/apis`, `/api/v1`, `/apis/<group>`,
    /// `/apis/<group>/<version>`, `/openapi/v3` or one below it.
    pub path: String,
    /// Which of the path's documents this is. It is always JSON: other encodings
    /// are made of it where they are sent.
    pub form: DocumentForm,
    /// Its own `ETag`, without quotes; absent where kube-apiserver has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The serving set whose peers are asked whether the client may read it.
    pub set: u16,
    /// The `ETag` of those peers' own document, without quotes. With it in
    /// `If-None-Match` the access check costs a peer an answer without a body.
    /// For `/api` and `/apis` that is the aggregated document, whichever form the
    /// client gets: it alone has an `ETag`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_etag: Option<String>,
    /// The size of the document, in bytes.
    pub size: u32,
    /// The document, compressed by gzip, in base64.
    pub gzip: String,
}

/// The documents that one path has, by what the client accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DocumentForm {
    /// JSON without parameters.
    Plain,
    /// `as=APIGroupDiscoveryList` of `apidiscovery.k8s.io/v2`.
    AggregatedV2,
    /// The same of `v2beta1`.
    AggregatedV2beta1,
    /// Protobuf, of a document below `/openapi/v3/`.
    Protobuf,
}

impl DocumentForm {
    /// Every form, in their order.
    pub const ALL: [Self; 4] =
        [Self::Plain, Self::AggregatedV2, Self::AggregatedV2beta1, Self::Protobuf];
}

/// Who answers for OpenAPI documents, unless the map has them merged; a document
/// that is not named here is the same on every serving peer, or unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenApi {
    /// The set that answers for `/openapi/v2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v2: Option<u16>,
    /// path below `/openapi/v3/` → set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub v3: BTreeMap<String, u16>,
}

impl OpenApi {
    fn is_empty(&self) -> bool {
        self.v2.is_none() && self.v3.is_empty()
    }
}

/// The headers by which a front proxy tells a kube-apiserver who the client
/// is: the server's `--requestheader-*` flags (Kubernetes documentation,
/// "Authenticating proxy"). Names in lower case. The first of a list is what is
/// sent; all of them are removed from what a client sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdentityHeaders {
    /// Whether each cluster has a twin that presents the front-proxy client
    /// certificate. Without it a client certificate cannot be carried on.
    pub front_proxy: bool,
    /// `--requestheader-username-headers`.
    pub username_headers: Vec<String>,
    /// `--requestheader-group-headers`.
    pub group_headers: Vec<String>,
    /// `--requestheader-uid-headers`; empty where the servers read none.
    pub uid_headers: Vec<String>,
    /// `--requestheader-extra-headers-prefix`.
    pub extra_header_prefixes: Vec<String>,
}

impl Default for IdentityHeaders {
    /// The names that Kubernetes' documentation and kubeadm use; no front proxy.
    fn default() -> Self {
        Self {
            front_proxy: false,
            username_headers: vec!["x-remote-user".into()],
            group_headers: vec!["x-remote-group".into()],
            uid_headers: Vec::new(),
            extra_header_prefixes: vec!["x-remote-extra-".into()],
        }
    }
}

/// version → serving set → resources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Versions(pub BTreeMap<String, BySet>);

/// The index of a serving set → the resources that it serves. An entry without
/// resources says that the set's peers serve the bare group-version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct BySet(pub BTreeMap<u16, Resources>);

/// A verb → the serving set of the peers that have it: some of the resource's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct SetsByVerb(pub BTreeMap<Verb, u16>);

/// One kube-apiserver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerEntry {
    /// The name that the companion's configuration gives it.
    pub name: String,
    /// What the companion last saw of it.
    pub state: PeerState,
    /// The minor version whose API it serves: the emulated one, else that of its binary. Only if
    /// the version skew policy is kept and matters now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<MinorVersion>,
}

/// What the companion last saw of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PeerState {
    /// `/readyz` says ok: in rotation.
    Serving,
    /// It answers, but not ready: out of rotation, its types still known.
    NotReady,
    /// It cannot be reached: out of rotation, its types still known.
    Unreachable,
}

/// Peers that serve the same targets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetEntry {
    /// Indexes into `peers`, ascending.
    pub peers: Vec<u16>,
    /// The Envoy cluster of these peers. Absent when none of them is in
    /// rotation: what only they serve cannot be answered now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// A minor version → the cluster for components of this version, and of all versions since the
    /// one before it: in it, those of the set's peers come first that serve at least this version. For the
    /// oldest version, that is `cluster` itself. A component that is newer than the last version is
    /// newer than every peer of the set. Empty unless known peers have different versions,
    /// and Kubernetes' version skew policy is kept.
    #[serde(default, deserialize_with = "unique_keys", skip_serializing_if = "BTreeMap::is_empty")]
    pub at_least: BTreeMap<MinorVersion, String>,
}

impl Resources {
    /// Returns the names in both scopes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.namespaced.iter().chain(&self.cluster_scoped).map(String::as_str)
    }
}

impl MapDocument {
    /// Returns the resources of each group and version that the same peers serve, with the index of
    /// their set.
    pub fn resources_by_set(&self) -> impl Iterator<Item = (&str, &str, u16, &Resources)> {
        self.groups.iter().flat_map(|(group, versions)| {
            versions.0.iter().flat_map(move |(version, by_set)| {
                let by_set = by_set.0.iter();
                by_set.map(move |(set, resources)| (&**group, &**version, *set, resources))
            })
        })
    }

    /// The JSON that is pushed: one line, keys in order, so that equal
    /// documents are equal bytes.
    ///
    /// # Errors
    /// Only what `serde_json` reports; none is known for this type.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

impl<'de> Deserialize<'de> for Versions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        unique_keys(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for BySet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        unique_keys(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for SetsByVerb {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        unique_keys(deserializer).map(Self)
    }
}

/// Reads a JSON object and refuses a repeated key. serde would silently keep the
/// last one, and lose the resources of the first.
fn unique_keys<'de, D, K, V>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord + fmt::Display,
    V: Deserialize<'de>,
{
    struct UniqueKeys<K, V>(PhantomData<(K, V)>);

    impl<'de, K, V> Visitor<'de> for UniqueKeys<K, V>
    where
        K: Deserialize<'de> + Ord + fmt::Display,
        V: Deserialize<'de>,
    {
        type Value = BTreeMap<K, V>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object without repeated keys")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some(key) = access.next_key::<K>()? {
                if map.contains_key(&key) {
                    return Err(A::Error::custom(format_args!("key \"{key}\" is repeated")));
                }
                map.insert(key, access.next_value()?);
            }
            Ok(map)
        }
    }

    deserializer.deserialize_map(UniqueKeys(PhantomData))
}
