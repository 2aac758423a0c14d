//! The names of the headers in which a front proxy tells the peers who a client is.

use discovery_map::{has_header_prefix, is_lowercase_token, is_reserved, is_reserved_prefix};
use serde::{Deserialize, Serialize};

use super::value::string_values;

/// kube-apiserver's `--requestheader-*` flags, each a list of names. The lists
/// for user and groups are never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestHeaders {
    /// `--requestheader-username-headers`.
    pub username_headers: Vec<HeaderName>,
    /// `--requestheader-group-headers`.
    pub group_headers: Vec<HeaderName>,
    /// `--requestheader-uid-headers`.
    pub uid_headers: Vec<HeaderName>,
    /// `--requestheader-extra-headers-prefix`.
    pub extra_header_prefixes: Vec<HeaderPrefix>,
}

/// What a header with a fixed name tells about a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    User,
    Group,
    Uid,
}

/// The lowercase name of a header that only a front proxy sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct HeaderName(String);

/// A lowercase prefix of such names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct HeaderPrefix(String);

string_values! {
    HeaderName: name,
    HeaderPrefix: prefix,
}

const MAX_LENGTH: usize = 128;

impl Default for RequestHeaders {
    /// The names that Kubernetes' documentation and kubeadm use.
    fn default() -> Self {
        Self {
            username_headers: vec![HeaderName("x-remote-user".to_owned())],
            group_headers: vec![HeaderName("x-remote-group".to_owned())],
            uid_headers: Vec::new(),
            extra_header_prefixes: vec![HeaderPrefix("x-remote-extra-".to_owned())],
        }
    }
}

impl RequestHeaders {
    /// Returns these names first, because the first of each list is sent, and then those that only
    /// `others` has. A name that has another role here keeps it.
    pub fn merged_with(&self, others: &Self) -> Self {
        let taken = |name: &HeaderName| self.roles().any(|(_, names)| names.contains(name));
        let merged = |mine: &[HeaderName], others: &[HeaderName]| {
            let free: Vec<_> = others.iter().filter(|name| !taken(name)).cloned().collect();
            union(mine, &free)
        };
        Self {
            username_headers: merged(&self.username_headers, &others.username_headers),
            group_headers: merged(&self.group_headers, &others.group_headers),
            uid_headers: merged(&self.uid_headers, &others.uid_headers),
            extra_header_prefixes: union(
                &self.extra_header_prefixes,
                &others.extra_header_prefixes,
            ),
        }
    }

    /// Returns the names that an earlier role has too: a server would take a
    /// user called `system:masters` for a member of that group.
    pub fn ambiguous(&self) -> impl Iterator<Item = (Role, &HeaderName)> {
        self.roles().flat_map(move |(role, names)| {
            let before = self.roles().take_while(move |(other, _)| *other != role);
            let before: Vec<_> = before.flat_map(|(_, names)| names).collect();
            names.iter().filter(move |name| before.contains(name)).map(move |name| (role, name))
        })
    }

    /// Returns the prefixes, each with its position, that a name with another role begins with: a
    /// server would take a user's name for a detail of the user as well.
    pub fn covering(&self) -> impl Iterator<Item = (usize, &HeaderPrefix, &HeaderName)> {
        let prefixes = self.extra_header_prefixes.iter().enumerate();
        prefixes.filter_map(|(position, prefix)| {
            let mut names = self.roles().flat_map(|(_, names)| names);
            let covered = names.find(|name| has_header_prefix(name.0.as_bytes(), &prefix.0));
            covered.map(|name| (position, prefix, name))
        })
    }

    fn roles(&self) -> impl Iterator<Item = (Role, &[HeaderName])> {
        let names = [&self.username_headers, &self.group_headers, &self.uid_headers];
        [Role::User, Role::Group, Role::Uid].into_iter().zip(names.map(Vec::as_slice))
    }
}

fn union<T: Clone + PartialEq>(first: &[T], then: &[T]) -> Vec<T> {
    let mut all: Vec<T> = Vec::new();
    for name in first.iter().chain(then) {
        if !all.contains(name) {
            all.push(name.clone());
        }
    }
    all
}

fn name(text: &str) -> Result<String, String> {
    let name = token(text)?;
    if is_reserved(&name) {
        return Err("must not be a header that has another use".to_owned());
    }
    Ok(name)
}

fn prefix(text: &str) -> Result<String, String> {
    let prefix = token(text)?;
    if is_reserved_prefix(&prefix) {
        return Err("must not be a prefix of a header that has another use".to_owned());
    }
    Ok(prefix)
}

/// Returns a header's name in lower case.
fn token(text: &str) -> Result<String, String> {
    let name = text.to_ascii_lowercase();
    if name.len() <= MAX_LENGTH && is_lowercase_token(&name) {
        Ok(name)
    } else {
        Err("must be a valid header name of 1 to 128 bytes".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tokens_and_become_lower_case() {
        assert_eq!("X-Remote-User".parse::<HeaderName>().unwrap().to_string(), "x-remote-user");
        assert_eq!("X-Extra-".parse::<HeaderPrefix>().unwrap().to_string(), "x-extra-");
        for name in ["", "x y", "x:y", "ü", "x\r\n", &"x".repeat(129)] {
            assert!(name.parse::<HeaderName>().is_err(), "{name:?}");
            assert!(name.parse::<HeaderPrefix>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn headers_with_another_use_are_refused() {
        // Among them all that the discovery map refuses.
        for name in [
            "Accept",
            "Authorization",
            "Connection",
            "Content-Length",
            "Content-Type",
            "Cookie",
            "Host",
            "If-None-Match",
            "Impersonate-User",
            "impersonate_group",
            "TE",
            "Transfer-Encoding",
            "Upgrade",
            "User-Agent",
            "X-Forwarded-Client-Cert",
        ] {
            assert!(name.parse::<HeaderName>().is_err(), "{name}");
            assert!(name.parse::<HeaderPrefix>().is_err(), "{name}");
        }
        for prefix in ["a", "auth", "impersonate-", "Impersonate-Extra-", "x-stream", "x_mixed-"] {
            assert!(prefix.parse::<HeaderPrefix>().is_err(), "{prefix}");
        }
    }

    fn headers(user: &str, group: &str, uid: &[&str]) -> RequestHeaders {
        RequestHeaders {
            username_headers: vec![user.parse().unwrap()],
            group_headers: vec![group.parse().unwrap()],
            uid_headers: uid.iter().map(|name| name.parse().unwrap()).collect(),
            extra_header_prefixes: Vec::new(),
        }
    }

    #[test]
    fn a_name_in_two_roles_is_ambiguous() {
        let ambiguous = |headers: RequestHeaders| -> Vec<_> {
            headers.ambiguous().map(|(role, name)| (role, name.to_string())).collect()
        };
        assert_eq!(ambiguous(RequestHeaders::default()), []);
        assert_eq!(ambiguous(headers("u", "U", &[])), [(Role::Group, "u".to_owned())]);
        assert_eq!(ambiguous(headers("u", "g", &["i", "g"])), [(Role::Uid, "g".to_owned())]);
    }

    #[test]
    fn a_prefix_must_not_cover_a_name() {
        let covered = |user: &str, prefixes: &[&str]| -> Vec<_> {
            let prefixes = prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect();
            let headers =
                RequestHeaders { extra_header_prefixes: prefixes, ..headers(user, "g", &["z9"]) };
            let covering = headers.covering();
            covering.map(|(position, _, name)| (position, name.to_string())).collect()
        };
        assert_eq!(RequestHeaders::default().covering().count(), 0);
        assert_eq!(covered("x-remote-user", &["x-remote-extra-", "x-remote-user-"]), []);
        let user = |position, name: &str| vec![(position, name.to_owned())];
        assert_eq!(covered("x-user", &["y", "X-U"]), user(1, "x-user"));
        assert_eq!(covered("x_user", &["x-user"]), user(0, "x_user"));
        assert_eq!(covered("u", &["z"]), user(0, "z9"));
    }

    #[test]
    fn a_name_keeps_the_role_that_it_has_first() {
        let both = headers("u", "g", &[]).merged_with(&headers("g", "u", &["u", "i"]));
        assert_eq!(both, headers("u", "g", &["i"]));
    }

    #[test]
    fn a_name_in_both_lists_is_kept_once_and_the_first_stays_first() {
        let mut read = RequestHeaders::default();
        read.username_headers.insert(0, "x-user".parse().unwrap());
        let both = read.merged_with(&RequestHeaders::default());
        assert_eq!(both, read);
        let both = RequestHeaders::default().merged_with(&read);
        let names: Vec<_> = both.username_headers.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["x-remote-user", "x-user"]);
    }
}
