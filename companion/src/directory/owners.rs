//! Which control plane each server name belongs to.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::config::{Config, ServerName};

/// The names of the control planes, by the server names of the configurations in use.
#[derive(Debug, Default)]
pub(super) struct Owners(HashMap<ServerName, String>);

/// Configurations, by the names of their control planes.
pub(super) type Configs<'a> = BTreeMap<&'a str, &'a Config>;

impl Owners {
    /// Returns what is wrong with the server names that belong to another control plane than this one.
    pub(super) fn faults(&self, control_plane: &str, config: &Config) -> Vec<String> {
        let fault = |(at, name): (usize, &ServerName)| {
            let other = self.0.get(name).filter(|other| *other != control_plane)?;
            let taken = format!("\"{name}\" already belongs to the control plane {other}");
            Some(format!("serverNames[{at}]: {taken}"))
        };
        names(config).enumerate().filter_map(fault).collect()
    }

    /// Takes note of the configuration that a control plane uses.
    pub(super) fn add(&mut self, control_plane: &str, config: &Config) {
        self.0.extend(names(config).map(|name| (name.clone(), control_plane.to_owned())));
    }

    /// Forgets a control plane.
    pub(super) fn remove(&mut self, control_plane: &str) {
        self.0.retain(|_, owner| owner != control_plane);
    }

    /// Replaces the configurations of control planes at once, so that they can exchange server names.
    /// Returns the control planes whose configuration is in use now. Each of the others wants a server
    /// name of another control plane and keeps the names that it has. Of two that want the same name,
    /// its present owner gets it; if neither is, the first by name.
    pub(super) fn replace(&mut self, next: Configs<'_>) -> BTreeSet<String> {
        let accepted = self.without_clashes(next);
        self.0.retain(|_, owner| !accepted.contains_key(owner.as_str()));
        accepted.iter().for_each(|(control_plane, config)| self.add(control_plane, config));
        accepted.into_keys().map(str::to_owned).collect()
    }

    fn without_clashes<'a>(&self, mut next: Configs<'a>) -> Configs<'a> {
        let mut refused = Configs::new();
        loop {
            let blocked = next.iter().filter(|(name, config)| self.is_blocked(name, config, &next));
            let mut lost: Vec<_> = blocked.map(|(name, _)| *name).collect();
            // These come last, and one by one: a rival that is blocked itself wins nothing.
            if lost.is_empty() {
                lost.extend(self.loser(&next));
            }
            if lost.is_empty() {
                // What a refused one wants may be free again, because its rival was refused later.
                let claimed: HashSet<_> = next.values().copied().flat_map(names).collect();
                let is_free = |(name, config): &(&&'a str, &&'a Config)| {
                    !self.is_blocked(name, config, &next)
                        && names(config).all(|name| !claimed.contains(name))
                };
                let Some((free, config)) = refused.iter().find(is_free) else { return next };
                next.insert(*free, *config);
                refused.retain(|name, _| !next.contains_key(name));
            }
            refused.extend(lost.into_iter().filter_map(|name| next.remove_entry(name)));
        }
    }

    /// Returns whether a configuration has a server name of a control plane that keeps its names.
    fn is_blocked(&self, control_plane: &str, config: &Config, next: &Configs<'_>) -> bool {
        let mut owners = names(config).filter_map(|name| self.0.get(name));
        owners.any(|owner| owner != control_plane && !next.contains_key(owner.as_str()))
    }

    /// Returns a control plane that wants a server name which another one gets.
    fn loser<'a>(&self, next: &Configs<'a>) -> Option<&'a str> {
        let mut claims = HashMap::new();
        for (&control_plane, config) in next {
            for name in names(config) {
                let Some(rival) = claims.insert(name, control_plane) else { continue };
                if rival != control_plane {
                    let is_owner = self.0.get(name).is_some_and(|owner| owner == control_plane);
                    return Some(if is_owner { rival } else { control_plane });
                }
            }
        }
        None
    }
}

fn names(config: &Config) -> impl Iterator<Item = &ServerName> {
    config.server_names.iter().flatten()
}
