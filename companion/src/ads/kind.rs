//! The four types of resources, as a stream names them.

/// The type of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Clusters,
    Endpoints,
    Secrets,
    Filter,
}

impl Kind {
    /// All types. The filter comes last: its map names what the others are about.
    pub const ALL: [Self; 4] = [Self::Clusters, Self::Endpoints, Self::Secrets, Self::Filter];

    /// Returns the type with this URL, if it is one of them.
    pub fn of_url(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.url() == url)
    }

    pub fn url(self) -> &'static str {
        match self {
            Self::Clusters => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoints => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Secrets => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::Filter => "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        }
    }

    /// Returns the name in metrics and in `/v1/envoys`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clusters => "clusters",
            Self::Endpoints => "endpoints",
            Self::Secrets => "secrets",
            Self::Filter => "filter",
        }
    }
}
