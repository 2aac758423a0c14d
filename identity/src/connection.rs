//! The `Connection` header of an upgrade request.

/// The value that is sent.
const UPGRADE: &str = "Upgrade, close";

/// The `Connection` header of an upgrade request, whatever else the client listed;
/// `None` if it does not ask for an upgrade. Several headers of this name count as
/// one, joined by commas.
///
/// The next hop removes every header that is listed, so a client could remove the
/// headers that were set for it.
///
/// `close`: if kube-apiserver answers with anything but 101, its Go server reads
/// no second request from the connection. Without it, bytes after the upgrade
/// request would be read as another request, on a connection that presents the
/// front-proxy certificate. It does not close a connection that is upgraded.
#[must_use]
pub fn sanitized(value: &[u8]) -> Option<&'static str> {
    let is_upgrade = |token: &[u8]| token.trim_ascii().eq_ignore_ascii_case(b"upgrade");
    value.split(|&byte| byte == b',').any(is_upgrade).then_some(UPGRADE)
}

#[cfg(test)]
mod tests;
