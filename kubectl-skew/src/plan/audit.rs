//! Who requests a type, by the audit logs of API servers (`audit.k8s.io/v1`, one event in a line).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::builtin::ApiType;

/// A client of a type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The user whose rights counted: the impersonated one, if there was one.
    pub user: String,
    pub user_agent: String,
}

/// What audit logs say of some types.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    requests: BTreeMap<ApiType, BTreeMap<User, u64>>,
    /// An event has the same identity in each of its stages.
    seen: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(rename = "auditID")]
    id: String,
    #[serde(default)]
    user: Name,
    impersonated_user: Option<Name>,
    #[serde(default)]
    user_agent: String,
    object_ref: Option<Reference>,
}

#[derive(Default, Deserialize)]
struct Name {
    #[serde(default)]
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Reference {
    resource: String,
    subresource: String,
    api_group: String,
    api_version: String,
}

impl Audit {
    /// Reads a log. Only requests of these types count.
    ///
    /// # Errors
    /// It cannot be read, or no line of it is an event.
    pub fn read(&mut self, file: &Path, types: &BTreeSet<&ApiType>) -> Result<()> {
        let place = || format!("--audit-log: {}", file.display());
        let log = BufReader::new(File::open(file).with_context(place)?);
        let (mut events, mut others) = (0_u64, 0_u64);
        for line in log.split(b'\n') {
            let line = line.with_context(place)?;
            match serde_json::from_slice::<Event>(&line) {
                Ok(event) => {
                    events += 1;
                    self.note(event, types);
                }
                Err(_) if line.iter().all(u8::is_ascii_whitespace) => {}
                // A log that is written, or was rotated, has parts of an event at its ends.
                Err(_) => others += 1,
            }
        }
        ensure!(events > 0 || others == 0, "{}: no line is an event of audit.k8s.io/v1", place());
        Ok(())
    }

    fn note(&mut self, event: Event, types: &BTreeSet<&ApiType>) {
        let Some(Reference { resource, subresource, api_group, api_version }) = event.object_ref
        else {
            return;
        };
        let resource =
            if subresource.is_empty() { resource } else { format!("{resource}/{subresource}") };
        let api = ApiType::new(&api_group, &api_version, &resource);
        if types.contains(&api) && self.seen.insert(event.id) {
            let user = event.impersonated_user.unwrap_or(event.user).username;
            let user = User { user, user_agent: event.user_agent };
            *self.requests.entry(api).or_default().entry(user).or_default() += 1;
        }
    }

    /// Returns who requested a type, and how often.
    pub fn users(&self, api: &ApiType) -> Vec<(User, u64)> {
        let users = self.requests.get(api).into_iter().flatten();
        users.map(|(user, count)| (user.clone(), *count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::{ApiType, Audit};

    fn event(id: &str, stage: &str, user: &str, resource: &str) -> String {
        let event = json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": id,
            "stage": stage, "verb": "list", "user": { "username": user, "groups": [] },
            "userAgent": "agent/1", "requestURI": "/apis/a.io/v1alpha1/wands",
            "objectRef": {
                "resource": resource, "apiGroup": "a.io", "apiVersion": "v1alpha1",
            },
        });
        event.to_string()
    }

    fn read(text: &str) -> anyhow::Result<Vec<(String, String, u64)>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let wands = ApiType::new("a.io", "v1alpha1", "wands");
        let mut audit = Audit::default();
        audit.read(file.path(), &BTreeSet::from([&wands]))?;
        let users = audit.users(&wands).into_iter();
        Ok(users.map(|(user, count)| (user.user, user.user_agent, count)).collect())
    }

    fn found(user: &str, count: u64) -> (String, String, u64) {
        (user.to_owned(), "agent/1".to_owned(), count)
    }

    #[test]
    fn each_request_counts_once_in_whatever_stages_it_is_logged() {
        let lines = [
            event("1", "RequestReceived", "jane", "wands"),
            event("1", "ResponseComplete", "jane", "wands"),
            event("2", "ResponseStarted", "robot", "wands"),
            event("3", "ResponseComplete", "jane", "wands"),
            event("4", "ResponseComplete", "jane", "hats"),
            json!({ "auditID": "5", "user": { "username": "jane" }, "requestURI": "/version" })
                .to_string(),
        ];
        assert_eq!(read(&lines.join("\n")).unwrap(), [found("jane", 2), found("robot", 1)]);
    }

    #[test]
    fn an_impersonated_user_counts_instead_of_the_one_who_impersonates() {
        let mut one: serde_json::Value =
            serde_json::from_str(&event("1", "ResponseComplete", "jane", "wands")).unwrap();
        one["impersonatedUser"] = json!({ "username": "robot" });
        assert_eq!(read(&one.to_string()).unwrap(), [found("robot", 1)]);
    }

    #[test]
    fn half_a_line_at_the_end_is_left_out_and_a_file_without_events_is_an_error() {
        let whole = event("1", "ResponseComplete", "jane", "wands");
        assert_eq!(read(&format!("{whole}\n{}", &whole[..40])).unwrap(), [found("jane", 1)]);
        assert_eq!(read("").unwrap(), []);
        let error = read("2026-11-27 INFO started\n").unwrap_err().to_string();
        assert!(error.contains("no line is an event"), "{error}");
    }
}
