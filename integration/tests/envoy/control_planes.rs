//! Many control planes behind one Envoy, by `envoy-config/shared-ingress`: a request on a connection
//! of one is only ever answered by its own servers, with its own map, and nothing in an answer
//! tells of another. They come, change and go without another noticing.

mod careless;
mod changes;
mod corpus;
mod isolation;
mod mirror;
mod names;
mod older;
mod run;
mod scene;
mod selections;
mod types;
