//! The types of resources, as a stream names them.

/// The type of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Clusters,
    Endpoints,
    Secrets,
    Listeners,
    /// Filters with their maps.
    Filter,
}

/// The name that asks for all resources of a type.
pub const WILDCARD: &str = "*";

/// One of each type.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByKind<T> {
    clusters: T,
    endpoints: T,
    secrets: T,
    listeners: T,
    filter: T,
}

impl Kind {
    /// All types, in the order in which they are sent. A listener names clusters and a filter, and
    /// the map in a filter names what the others are about.
    pub const ALL: [Self; 5] =
        [Self::Clusters, Self::Endpoints, Self::Secrets, Self::Listeners, Self::Filter];

    /// Returns the type with this URL, if it is one of them.
    pub fn of_url(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.url() == url)
    }

    pub fn url(self) -> &'static str {
        match self {
            Self::Clusters => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoints => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Secrets => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::Listeners => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Filter => "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        }
    }

    /// Returns the name in metrics and in `/v1/envoys`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clusters => "clusters",
            Self::Endpoints => "endpoints",
            Self::Secrets => "secrets",
            Self::Listeners => "listeners",
            Self::Filter => "filter",
        }
    }

    /// Returns whether a request for this type without names is for all of it.
    pub fn is_for_all(self) -> bool {
        matches!(self, Self::Clusters | Self::Listeners)
    }
}

impl<T> ByKind<T> {
    /// Returns what `make` makes of each type.
    pub fn of(mut make: impl FnMut(Kind) -> T) -> Self {
        Self {
            clusters: make(Kind::Clusters),
            endpoints: make(Kind::Endpoints),
            secrets: make(Kind::Secrets),
            listeners: make(Kind::Listeners),
            filter: make(Kind::Filter),
        }
    }

    pub fn get(&self, kind: Kind) -> &T {
        match kind {
            Kind::Clusters => &self.clusters,
            Kind::Endpoints => &self.endpoints,
            Kind::Secrets => &self.secrets,
            Kind::Listeners => &self.listeners,
            Kind::Filter => &self.filter,
        }
    }

    pub fn get_mut(&mut self, kind: Kind) -> &mut T {
        match kind {
            Kind::Clusters => &mut self.clusters,
            Kind::Endpoints => &mut self.endpoints,
            Kind::Secrets => &mut self.secrets,
            Kind::Listeners => &mut self.listeners,
            Kind::Filter => &mut self.filter,
        }
    }
}
