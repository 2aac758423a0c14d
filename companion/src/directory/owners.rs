//! Which control plane each server name belongs to.

use std::collections::HashMap;

use crate::config::{Config, ServerName};

/// The names of the control planes, by the server names of the configurations in use.
#[derive(Debug, Default)]
pub(super) struct Owners(HashMap<ServerName, String>);

impl Owners {
    /// Returns what is wrong with the server names that belong to another control plane than this one.
    pub(super) fn faults(&self, control_plane: &str, config: &Config) -> Vec<String> {
        let names = config.server_names.iter().flatten().enumerate();
        let fault = |(at, name): (usize, &ServerName)| {
            let other = self.0.get(name).filter(|other| *other != control_plane)?;
            let taken = format!("\"{name}\" already belongs to the control plane {other}");
            Some(format!("serverNames[{at}]: {taken}"))
        };
        names.filter_map(fault).collect()
    }

    /// Takes note of the configuration that a control plane uses instead of the last one, if any.
    pub(super) fn replace(
        &mut self,
        control_plane: &str,
        last: Option<&Config>,
        next: Option<&Config>,
    ) {
        for name in last.iter().flat_map(|config| &config.server_names).flatten() {
            self.0.remove(name);
        }
        for name in next.iter().flat_map(|config| &config.server_names).flatten() {
            self.0.insert(name.clone(), control_plane.to_owned());
        }
    }
}
