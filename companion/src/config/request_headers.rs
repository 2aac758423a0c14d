//! The section `requestHeaders`: the names of the identity headers.

use super::header::{HeaderName, HeaderPrefix, RequestHeaders, Role};
use super::reader::{Faulty, Section};

/// The most names in a list, configured or read from the control plane; the map can carry both. More than
/// any server has; bounds the work for each request.
pub const MAX_NAMES: usize = 16;

pub(super) fn request_headers(mut section: Section<'_>) -> Result<RequestHeaders, Faulty> {
    let default = RequestHeaders::default();
    let name = str::parse::<HeaderName>;
    let username_headers = section.strings("usernameHeaders", default.username_headers, name);
    let group_headers = section.strings("groupHeaders", default.group_headers, name);
    let uid_headers = section.strings("uidHeaders", default.uid_headers, name);
    let prefix = str::parse::<HeaderPrefix>;
    let prefixes = section.strings("extraHeaderPrefixes", default.extra_header_prefixes, prefix);
    count(&section, "usernameHeaders", &username_headers, 1);
    count(&section, "groupHeaders", &group_headers, 1);
    count(&section, "uidHeaders", &uid_headers, 0);
    count(&section, "extraHeaderPrefixes", &prefixes, 0);
    let headers = (|| {
        Ok(RequestHeaders {
            username_headers: username_headers?,
            group_headers: group_headers?,
            uid_headers: uid_headers?,
            extra_header_prefixes: prefixes?,
        })
    })();
    for (role, name) in headers.iter().flat_map(RequestHeaders::ambiguous) {
        let field = match role {
            Role::User => "usernameHeaders",
            Role::Group => "groupHeaders",
            Role::Uid => "uidHeaders",
        };
        section.fault(field, format!("\"{name}\" is also in another list"));
    }
    for (position, prefix, name) in headers.iter().flat_map(RequestHeaders::covering) {
        let rule = format!("must not be a prefix of \"{name}\", which is in another list");
        let problem = format!("\"{prefix}\" {rule}; use a prefix such as \"x-remote-extra-\"");
        section.fault(&format!("extraHeaderPrefixes[{position}]"), problem);
    }
    section.finish();
    headers
}

fn count<T>(section: &Section<'_>, field: &str, names: &Result<Vec<T>, Faulty>, least: usize) {
    if let Ok(names) = names
        && !(least..=MAX_NAMES).contains(&names.len())
    {
        section.fault(field, format!("must have {least} to {MAX_NAMES} entries"));
    }
}
