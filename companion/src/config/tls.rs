//! The sections on who is who: Envoy's certificate and its clients', the
//! front-proxy client certificate, and the headers that go with it.

use super::build::absolute;
use super::reader::{FaultLog, Section, parsed};
use super::{HeaderName, HeaderPrefix, ListenerTls, RequestHeaders, Role};
use crate::certificates::KeyPairFiles;

/// More than any server has; a bound for what is done for each request.
const MAX_NAMES: usize = 16;

/// `carried`: whether there is a front proxy.
pub(super) fn listener_tls(
    mut section: Section<'_>,
    carried: bool,
    log: &FaultLog,
) -> Option<ListenerTls> {
    let client_ca_file = match section.has("clientCaFile") {
        true => section.required("clientCaFile", absolute),
        false => None,
    };
    if client_ca_file.is_some() && !carried {
        log.add(
            section.place("clientCaFile"),
            "needs frontProxy: a peer would not learn who a client with a certificate is",
        );
    }
    let pair = pair(&mut section);
    section.finish(&["certificateFile", "keyFile", "clientCaFile"]);
    Some(ListenerTls { pair: pair?, client_ca_file })
}

/// A section that is a certificate and its key.
pub(super) fn key_pair(mut section: Section<'_>) -> Option<KeyPairFiles> {
    let pair = pair(&mut section);
    section.finish(&["certificateFile", "keyFile"]);
    pair
}

fn pair(section: &mut Section<'_>) -> Option<KeyPairFiles> {
    let certificate_file = section.required("certificateFile", absolute);
    let key_file = section.required("keyFile", absolute);
    Some(KeyPairFiles { certificate_file: certificate_file?, key_file: key_file? })
}

pub(super) fn request_headers(mut section: Section<'_>, log: &FaultLog) -> Option<RequestHeaders> {
    let default = RequestHeaders::default();
    let name = parsed::<HeaderName>;
    let username_headers = section.texts("usernameHeaders", default.username_headers, name);
    let group_headers = section.texts("groupHeaders", default.group_headers, name);
    let uid_headers = section.texts("uidHeaders", default.uid_headers, name);
    let prefix = parsed::<HeaderPrefix>;
    let prefixes = section.texts("extraHeaderPrefixes", default.extra_header_prefixes, prefix);
    let counts = [
        ("usernameHeaders", username_headers.as_ref().map(Vec::len), 1),
        ("groupHeaders", group_headers.as_ref().map(Vec::len), 1),
        ("uidHeaders", uid_headers.as_ref().map(Vec::len), 0),
        ("extraHeaderPrefixes", prefixes.as_ref().map(Vec::len), 0),
    ];
    for (field, count, least) in counts {
        if count.is_some_and(|count| !(least..=MAX_NAMES).contains(&count)) {
            let problem = format!("must have {least} to {MAX_NAMES} entries");
            log.add(section.place(field), problem);
        }
    }
    let headers = (|| {
        Some(RequestHeaders {
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
        log.add(section.place(field), format!("has {name}, which another list has too"));
    }
    section.finish(&["usernameHeaders", "groupHeaders", "uidHeaders", "extraHeaderPrefixes"]);
    headers
}
