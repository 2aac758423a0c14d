//! The companion's binary against fake API servers, over TLS.
//!
//! Every test starts its peers and its companion on free ports and in a
//! directory of its own, waits for conditions, and ends what it started.
//!
//! The modules are `cfg(test)` so that the lints treat them as tests.

#[cfg(test)]
mod ads_client;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod companion;
#[cfg(test)]
mod dns_server;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod events;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod first;
#[cfg(test)]
mod hosts;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod locks;
#[cfg(test)]
mod many;
#[cfg(test)]
mod open_api;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod restart;
#[cfg(test)]
mod routing;
#[cfg(test)]
mod sources;
