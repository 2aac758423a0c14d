//! What an API server is asked for when its discovery is read.

/// The `Accept` value for `/api` and `/apis`: the forms of aggregated
/// discovery, best first. `profile=nopeer` asks a server that merges its peers'
/// types into its answer for its own types alone. The last two are for servers
/// before 1.30 and before 1.26.
pub const ACCEPT_AGGREGATED_DISCOVERY: &str = "application/json;g=apidiscovery.k8s.io;v=v2;profile=nopeer;as=APIGroupDiscoveryList,\
     application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
     application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,\
     application/json";

/// The `Accept` value for every other discovery document.
pub const ACCEPT_JSON: &str = "application/json";
