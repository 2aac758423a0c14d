//! The plan for people.

use super::rollout::When;
use super::usage::Deprecated;
use super::{Going, Plan};
use crate::builtin::ApiType;
use crate::check::Verdict;
use crate::screen::Screen;
use crate::table::{Cell, Table, Tone};

impl Plan {
    /// Writes the plan. `wide` lists the new types that are off by default, too.
    pub fn text(&self, wide: bool, screen: &Screen) -> String {
        let mut text = self.rollout_text(screen);
        text.push_str(&self.added_text(wide, screen));
        text.push_str(&self.removed_text(screen));
        text.push_str(&self.off_text(screen));
        text.push_str(&self.deprecated_text(screen));
        text.push_str(&self.custom_text());
        for unknown in &self.not_examined {
            text.push_str(&format!("Not examined: {unknown}\n"));
        }
        text.push_str(self.conclusion());
        text
    }

    fn rollout_text(&self, screen: &Screen) -> String {
        let (from, to) = (&self.from, &self.to);
        let count = self.upgraded.len() + self.rollout.len();
        let mut table = Table::new([
            "STEP".to_owned(),
            "SERVER".to_owned(),
            "NEW TYPES AT".to_owned(),
            "REMOVED TYPES AT".to_owned(),
        ]);
        for (position, step) in self.rollout.iter().enumerate() {
            let of = |number: usize| Cell::from(format!("{number} of {count}"));
            let number = (position + 1).to_string();
            table.push(vec![
                number.into(),
                step.server.clone().into(),
                of(step.upgraded),
                of(step.remaining),
            ]);
        }
        let done = match self.upgraded.as_slice() {
            [] => String::new(),
            names => format!(" Done: {}.", names.join(", ")),
        };
        format!("From {from} to {to}, server by server.{done}\n\n{}\n", table.render(screen, 1))
    }

    fn added_text(&self, wide: bool, screen: &Screen) -> String {
        let to = &self.to;
        let mut text = if self.added.is_empty() {
            format!("{to} adds no type by default.\n\n")
        } else {
            let mut table = Table::new([format!("{to} ADDS"), "TWO SERVERS HAVE IT".to_owned()]);
            for added in &self.added {
                table.push(vec![added.api.to_string().into(), when(&added.two_servers)]);
            }
            let rendered = table.render(screen, 0);
            format!(
                "{rendered}\nWhile one server has a type, requests for it get 503 if that server is down.\n\n"
            )
        };
        if wide && !self.optional.is_empty() {
            let mut table = Table::new([format!("{to} ADDS, OFF BY DEFAULT")]);
            self.optional.iter().for_each(|api| table.push(vec![api.to_string().into()]));
            text.push_str(&format!("{}\n", table.render(screen, 0)));
        } else if !self.optional.is_empty() {
            let count = types(self.optional.len());
            text.push_str(&format!(
                "It has {count} more that are new and off by default (-o wide).\n\n"
            ));
        }
        text
    }

    fn removed_text(&self, screen: &Screen) -> String {
        let to = &self.to;
        if self.removed.is_empty() {
            return format!("{to} removes no type that these servers serve.\n\n");
        }
        let mut text = going_table(&format!("{to} REMOVES"), &self.removed, screen);
        text.push_str(&users_table(&self.removed, screen));
        text
    }

    fn off_text(&self, screen: &Screen) -> String {
        if self.off_by_default.is_empty() {
            return String::new();
        }
        let heading = format!("OFF BY DEFAULT IN {}", self.to);
        let mut text = going_table(&heading, &self.off_by_default, screen);
        text.push_str(&users_table(&self.off_by_default, screen));
        text.push_str("Upgraded servers serve these types if --runtime-config and --feature-gates turn them on.\n\n");
        text
    }

    fn deprecated_text(&self, screen: &Screen) -> String {
        if self.deprecated.is_empty() {
            return String::new();
        }
        let mut table = Table::new(["DEPRECATED, REQUESTED", "REMOVED IN", "REQUESTS"]);
        for Deprecated { api, removed_in, requests } in &self.deprecated {
            let removed = removed_in.clone().unwrap_or_else(|| "-".to_owned());
            table.push(vec![api.to_string().into(), removed.into(), requests.to_string().into()]);
        }
        format!("{}\n", table.render(screen, 0))
    }

    fn custom_text(&self) -> String {
        let found = &self.custom_resources;
        let names = |types: &[ApiType]| {
            types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let mut text = String::new();
        if found.definitions > 0 {
            let count = found.definitions;
            text.push_str(&format!("CustomResourceDefinitions ({count}) stay as they are.\n"));
        }
        if !found.conflicts.is_empty() {
            let (to, names) = (&self.to, names(&found.conflicts));
            text.push_str(&format!("{to} has these custom resources built in: {names}\n"));
        }
        if !found.deprecated.is_empty() {
            let names = names(&found.deprecated);
            text.push_str(&format!("Deprecated by their definition: {names}\n"));
        }
        text
    }

    fn conclusion(&self) -> &'static str {
        match self.verdict {
            Verdict::Yes => "No removed type is in use.\n",
            Verdict::Warning => "No removed type is in use, but see above.\n",
            Verdict::Unknown => "It is unknown whether a removed type is in use.\n",
            Verdict::No => "A removed type is in use: change its clients before the upgrade.\n",
        }
    }
}

/// Lists types that go.
fn going_table(heading: &str, all: &[Going], screen: &Screen) -> String {
    let mut table = Table::new([
        heading,
        "LAST SERVER UPGRADED",
        "REQUESTS",
        "OBJECTS",
        "OTHER VERSIONS",
        "USED",
    ]);
    for going in all {
        let known = |count: Option<u64>, none: &str| {
            Cell::from(count.map_or_else(|| none.to_owned(), |count| count.to_string()))
        };
        let is_resource = going.api.collection().is_some();
        let used = match going.verdict {
            Verdict::Yes => Cell::new("no", Tone::Good),
            Verdict::Warning | Verdict::No => Cell::new("yes", Tone::Bad),
            Verdict::Unknown => Cell::new("?", Tone::Bad),
        };
        let versions = going.other_versions.join(", ");
        table.push(vec![
            going.api.to_string().into(),
            when(&going.gone),
            known(going.requests, "?"),
            known(going.objects, if is_resource { "?" } else { "-" }),
            if versions.is_empty() { "none".to_owned() } else { versions }.into(),
            used,
        ]);
    }
    format!("{}\n", table.render(screen, 0))
}

/// Lists who uses types that go; nothing if no audit log says.
fn users_table(all: &[Going], screen: &Screen) -> String {
    let mut table = Table::new(["TYPE", "USER", "USER AGENT", "REQUESTS"]);
    let mut is_empty = true;
    for going in all {
        for client in &going.users {
            is_empty = false;
            table.push(vec![
                going.api.to_string().into(),
                client.user.user.clone().into(),
                client.user.user_agent.clone().into(),
                client.requests.to_string().into(),
            ]);
        }
    }
    if is_empty { String::new() } else { format!("{}\n", table.render(screen, 2)) }
}

fn when(when: &When) -> Cell {
    match when {
        When::Now => "now".into(),
        When::After(server) => format!("after {server}").into(),
        When::Never => Cell::new("never", Tone::Bad),
    }
}

fn types(count: usize) -> String {
    if count == 1 { "1 type".to_owned() } else { format!("{count} types") }
}
