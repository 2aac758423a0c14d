//! Who requests a type, by the audit logs of API servers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::audit::{Event, Logs, Reference};
use crate::builtin::ApiType;

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
    logs: Logs,
}

impl Audit {
    /// Reads a log. Only requests of these types count.
    ///
    /// # Errors
    /// It cannot be read, or no line of it is an event.
    pub fn read(&mut self, file: &Path, types: &BTreeSet<&ApiType>) -> Result<()> {
        let counts = |event: &Event| type_of(event).is_some_and(|api| types.contains(&api));
        let requests = &mut self.requests;
        self.logs.read(file, counts, |event| {
            let Some(api) = type_of(&event) else { return };
            let user = User { user: event.user().to_owned(), user_agent: event.user_agent };
            *requests.entry(api).or_default().entry(user).or_default() += 1;
        })
    }

    /// Returns who requested a type, and how often.
    pub fn users(&self, api: &ApiType) -> Vec<(User, u64)> {
        let users = self.requests.get(api).into_iter().flatten();
        users.map(|(user, count)| (user.clone(), *count)).collect()
    }
}

/// Returns the type that a request is about; `None` of requests such as those of `/version`.
fn type_of(event: &Event) -> Option<ApiType> {
    let Reference { resource, subresource, api_group, api_version } = event.object_ref.as_ref()?;
    let api = |resource| ApiType::new(api_group, api_version, resource);
    Some(match subresource.as_str() {
        "" => api(resource),
        _ => api(&format!("{resource}/{subresource}")),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::{ApiType, Audit};
    use crate::audit::tests::log;

    fn event(id: &str, user: &str, resource: &str, subresource: &str) -> Value {
        json!({
            "auditID": id, "verb": "list", "user": { "username": user }, "userAgent": "agent/1",
            "objectRef": {
                "resource": resource, "subresource": subresource, "apiGroup": "a.io",
                "apiVersion": "v1alpha1",
            },
        })
    }

    #[test]
    fn requests_of_a_type_are_counted_by_user_and_user_agent() {
        let log = log(&[
            event("1", "jane", "wands", ""),
            event("2", "robot", "wands", ""),
            event("3", "jane", "wands", ""),
            event("4", "jane", "wands", "status"),
            event("5", "jane", "hats", ""),
            json!({ "auditID": "6", "user": { "username": "jane" }, "requestURI": "/version" }),
        ]);
        let wands = ApiType::new("a.io", "v1alpha1", "wands");
        let mut audit = Audit::default();
        audit.read(log.path(), &BTreeSet::from([&wands])).unwrap();
        let users = audit.users(&wands).into_iter();
        let users: Vec<_> = users.map(|(who, count)| (who.user, who.user_agent, count)).collect();
        let found = |user: &str, count| (user.to_owned(), "agent/1".to_owned(), count);
        assert_eq!(users, [found("jane", 2), found("robot", 1)]);
    }
}
