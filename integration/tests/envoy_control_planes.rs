//! Many control planes behind one Envoy, by `envoy-config/shared-ingress`: a request on a connection
//! of one is only ever answered by its own servers, with its own map, and nothing in an answer
//! tells of another. They come, change and go without another noticing.

#[path = "envoy_control_planes/careless.rs"]
mod careless;
#[path = "envoy_control_planes/changes.rs"]
mod changes;
#[path = "envoy_control_planes/corpus.rs"]
mod corpus;
#[path = "envoy_control_planes/isolation.rs"]
mod isolation;
#[path = "envoy_control_planes/mirror.rs"]
mod mirror;
#[path = "envoy_control_planes/names.rs"]
mod names;
#[path = "envoy_control_planes/older.rs"]
mod older;
#[path = "envoy_control_planes/run.rs"]
mod run;
#[path = "envoy_control_planes/scene.rs"]
mod scene;
#[path = "envoy_control_planes/selections.rs"]
mod selections;
#[path = "envoy_control_planes/types.rs"]
mod types;
