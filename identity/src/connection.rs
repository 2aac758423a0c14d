//! The `Connection` header of an upgrade request.

/// What the header becomes.
const UPGRADE: &str = "Upgrade, close";

/// What an upgrade request's `Connection` header must be, whatever else the
/// client listed; `None` if it does not ask for an upgrade. Several headers of
/// this name are one, joined by commas.
///
/// A header that is listed is removed by the next hop, so a client could take
/// from its request what was put in for it.
///
/// `close`: if kube-apiserver answers with anything but 101, its Go server reads
/// no second request from the connection. Without it the bytes that the client
/// sent behind its upgrade request would be read as a request of its own, on a
/// connection that presents the front-proxy certificate. A connection that is
/// upgraded is not closed by it.
#[must_use]
pub fn sanitized(value: &[u8]) -> Option<&'static str> {
    let is_upgrade = |token: &[u8]| token.trim_ascii().eq_ignore_ascii_case(b"upgrade");
    value.split(|&byte| byte == b',').any(is_upgrade).then_some(UPGRADE)
}

#[cfg(test)]
mod tests;
