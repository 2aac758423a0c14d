//! The `ConfigMap` that says by which headers a front proxy speaks to the control plane.
//!
//! kube-apiserver writes its `--requestheader-*` flags into it for extension API servers (its
//! `clusterauthenticationtrust` controller), each list as JSON in a string. A companion that may
//! not read it, or whose cluster has none, uses the configured names.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Deserialize;

use super::reader::Shared;
use crate::config::{Config, MAX_NAMES, RequestHeaders, Role};

/// The `ConfigMap` with the names of the identity headers.
pub struct RequestHeadersConfigMap;

impl Shared for RequestHeadersConfigMap {
    const WHAT: &'static str = "names of the identity headers";
    const OTHERWISE: &'static str = "the names read before stay in use, or the configured ones";
    const PATH: &'static str =
        "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
    const ACCEPT: &'static str = "application/json";
    /// No `ConfigMap` is larger than a mebibyte; its JSON can be twice that.
    const MAX_BYTES: u64 = 2 << 20;

    type Body = ConfigMap;
    type Value = RequestHeaders;

    fn value(body: ConfigMap) -> Result<RequestHeaders, String> {
        body.request_headers()
    }

    /// Without a front proxy the names matter little.
    fn matters(config: &Config) -> bool {
        config.front_proxy.is_some()
    }
}

const USER: &str = "requestheader-username-headers";
const GROUP: &str = "requestheader-group-headers";
const UID: &str = "requestheader-uid-headers";
const EXTRA: &str = "requestheader-extra-headers-prefix";

/// The part of a `ConfigMap` that matters.
#[derive(Debug, Deserialize)]
pub struct ConfigMap {
    #[serde(default)]
    data: BTreeMap<String, String>,
}

impl ConfigMap {
    /// Returns all lists, or none if one of them is not usable.
    fn request_headers(&self) -> Result<RequestHeaders, String> {
        let headers = RequestHeaders {
            username_headers: self.list(USER, 1)?,
            group_headers: self.list(GROUP, 1)?,
            // Absent before 1.32, and when it is empty.
            uid_headers: self.list(UID, 0)?,
            extra_header_prefixes: self.list(EXTRA, 0)?,
        };
        if let Some((role, name)) = headers.ambiguous().next() {
            let key = match role {
                Role::User => USER,
                Role::Group => GROUP,
                Role::Uid => UID,
            };
            return Err(format!("{key} has {name}, which is also in another list"));
        }
        if let Some((_, prefix, name)) = headers.covering().next() {
            return Err(format!(
                "{EXTRA} has {prefix}, a prefix of {name}, which is in another list"
            ));
        }
        Ok(headers)
    }

    fn list<T: FromStr<Err = String>>(&self, key: &str, least: usize) -> Result<Vec<T>, String> {
        // An empty string is an empty list for kube-apiserver as well.
        let text = self.data.get(key).map_or("", String::as_str);
        let names: Option<Vec<String>> = match text {
            "" => None,
            text => serde_json::from_str(text)
                .map_err(|_| format!("{key} is not a JSON list of strings: {text:?}"))?,
        };
        let names = names.unwrap_or_default();
        if !(least..=MAX_NAMES).contains(&names.len()) {
            let count = names.len();
            return Err(format!("{key} has {count} names; it must have {least} to {MAX_NAMES}"));
        }
        let parse = |name: &String| {
            name.parse::<T>().map_err(|problem| format!("{key} has {name:?}, which {problem}"))
        };
        names.iter().map(parse).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(data: serde_json::Value) -> Result<RequestHeaders, String> {
        let map: ConfigMap =
            serde_json::from_value(json!({"kind": "ConfigMap", "data": data})).unwrap();
        map.request_headers()
    }

    #[test]
    fn the_lists_are_those_that_kube_apiserver_writes() {
        let read = read(json!({
            "client-ca-file": "-----BEGIN CERTIFICATE-----",
            "requestheader-allowed-names": r#"["front-proxy-client"]"#,
            "requestheader-extra-headers-prefix": r#"["X-Remote-Extra-"]"#,
            "requestheader-group-headers": r#"["X-Remote-Group"]"#,
            "requestheader-username-headers": r#"["X-Remote-User"]"#,
        }));
        assert_eq!(read, Ok(RequestHeaders::default()));
    }

    #[test]
    fn one_unusable_name_makes_all_lists_unusable() {
        let valid = json!({
            "requestheader-extra-headers-prefix": "null",
            "requestheader-group-headers": r#"["g"]"#,
            "requestheader-uid-headers": "",
            "requestheader-username-headers": r#"["u"]"#,
        });
        assert!(read(valid.clone()).is_ok());
        for (key, value) in [
            ("requestheader-username-headers", "[]"),
            ("requestheader-username-headers", r#"["Impersonate-User"]"#),
            ("requestheader-group-headers", ""),
            ("requestheader-group-headers", r#"["x", 7]"#),
            ("requestheader-uid-headers", r#"["a b"]"#),
            ("requestheader-group-headers", r#"["g", "U"]"#),
            ("requestheader-uid-headers", r#"["g"]"#),
            ("requestheader-extra-headers-prefix", r#"["x", "auth"]"#),
            ("requestheader-extra-headers-prefix", r#"{"#),
            ("requestheader-extra-headers-prefix", r#"["U"]"#),
        ] {
            let mut data = valid.clone();
            data[key] = json!(value);
            let error = read(data).unwrap_err();
            assert!(error.starts_with(key), "{error}");
        }
        assert!(read(json!({})).is_err(), "a server without a front proxy has no lists");
    }
}
