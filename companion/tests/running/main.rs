//! The real program against peers of the test's own, over TLS.
//!
//! Every test starts its peers and its companion on free ports and in a
//! directory of its own, waits for conditions, and ends what it started.
//!
//! The modules are `cfg(test)` for the lints only, which then know them for
//! what they are.

#[cfg(test)]
mod absence;
#[cfg(test)]
mod bounds;
#[cfg(test)]
mod companion;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod restart;
#[cfg(test)]
mod routing;
