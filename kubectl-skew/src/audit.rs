//! Audit logs of API servers (`audit.k8s.io/v1`, one event in a line).

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// One stage of a request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    #[serde(rename = "auditID")]
    id: String,
    #[serde(default)]
    user: Name,
    impersonated_user: Option<Name>,
    #[serde(default)]
    pub user_agent: String,
    /// Where the request came from: what `X-Forwarded-For` says, then the address of the connection,
    /// unless it is the last of the former.
    #[serde(default, rename = "sourceIPs")]
    pub source_ips: Vec<IpAddr>,
    pub object_ref: Option<Reference>,
}

#[derive(Debug, Default, Deserialize)]
struct Name {
    #[serde(default)]
    username: String,
}

/// What a request is about.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Reference {
    pub resource: String,
    pub subresource: String,
    pub api_group: String,
    pub api_version: String,
}

impl Event {
    /// Returns the user whose rights counted: the impersonated one, if there is one.
    pub fn user(&self) -> &str {
        &self.impersonated_user.as_ref().unwrap_or(&self.user).username
    }
}

/// Reads logs.
#[derive(Clone, Debug, Default)]
pub struct Logs {
    /// A request has the same identity in each of its stages.
    seen: BTreeSet<String>,
}

impl Logs {
    /// Reads a log, and calls `note` with the first stage of each request that `counts`.
    ///
    /// # Errors
    /// It cannot be read, or no line of it is an event.
    pub fn read(
        &mut self,
        file: &Path,
        counts: impl Fn(&Event) -> bool,
        mut note: impl FnMut(Event),
    ) -> Result<()> {
        let place = || format!("--audit-log: {}", file.display());
        let log = BufReader::new(File::open(file).with_context(place)?);
        let (mut events, mut others) = (0_u64, 0_u64);
        for line in log.split(b'\n') {
            let line = line.with_context(place)?;
            match serde_json::from_slice::<Event>(&line) {
                Ok(event) => {
                    events += 1;
                    if counts(&event) && self.seen.insert(event.id.clone()) {
                        note(event);
                    }
                }
                Err(_) if line.iter().all(u8::is_ascii_whitespace) => {}
                // A log that is written, or was rotated, has parts of an event at its ends.
                Err(_) => others += 1,
            }
        }
        ensure!(events > 0 || others == 0, "{}: no line is an event of audit.k8s.io/v1", place());
        Ok(())
    }
}

#[cfg(test)]
pub mod tests {
    use serde_json::{Value, json};
    use tempfile::NamedTempFile;

    use super::Logs;

    /// Returns a file with these events.
    pub fn log(events: &[Value]) -> NamedTempFile {
        file(&events.iter().map(|event| format!("{event}\n")).collect::<String>())
    }

    fn file(text: &str) -> NamedTempFile {
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn event(id: &str, stage: &str, user: &str) -> Value {
        json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": id,
            "stage": stage, "user": { "username": user, "groups": [] },
        })
    }

    fn users(file: &NamedTempFile) -> anyhow::Result<Vec<String>> {
        let mut users = Vec::new();
        let note = |event: super::Event| users.push(event.user().to_owned());
        Logs::default().read(file.path(), |event| event.user() != "nobody", note)?;
        Ok(users)
    }

    #[test]
    fn each_request_counts_once_in_whatever_stages_it_is_logged() {
        let log = log(&[
            event("1", "RequestReceived", "jane"),
            event("1", "ResponseComplete", "jane"),
            event("2", "ResponseStarted", "robot"),
            event("3", "ResponseComplete", "nobody"),
        ]);
        assert_eq!(users(&log).unwrap(), ["jane", "robot"]);
    }

    #[test]
    fn an_impersonated_user_counts_instead_of_the_one_who_impersonates() {
        let mut one = event("1", "ResponseComplete", "jane");
        one["impersonatedUser"] = json!({ "username": "robot" });
        assert_eq!(users(&log(&[one])).unwrap(), ["robot"]);
    }

    #[test]
    fn half_a_line_at_the_end_is_left_out_and_a_file_without_events_is_an_error() {
        let whole = event("1", "ResponseComplete", "jane").to_string();
        assert_eq!(users(&file(&format!("{whole}\n{}", &whole[..40]))).unwrap(), ["jane"]);
        assert_eq!(users(&file("")).unwrap(), [""; 0]);
        let error = users(&file("2026-11-27 INFO started\n")).unwrap_err().to_string();
        assert!(error.contains("no line is an event"), "{error}");
    }
}
