//! What `check-config` looks at: all that a start looks at, and every file of many control planes.

use std::path::Path;

use super::many;
use crate::config::{ControlPlanes, MainConfig};
use crate::program::ProgramError;

/// A configuration without a fault.
pub struct Checked {
    /// What it has, in a few words.
    pub found: String,
    /// A warning: what is valid, but needs a matching setting elsewhere.
    pub warning: Option<String>,
}

/// Checks a configuration and all files that it names.
///
/// # Errors
/// Everything that is wrong.
pub fn check(config_path: &Path) -> Result<Checked, ProgramError> {
    let main = MainConfig::load(config_path).map_err(|error| ProgramError(error.to_string()))?;
    let found = match &main.control_planes {
        ControlPlanes::One(_) => main.control_planes.to_string(),
        ControlPlanes::Many(directory) => {
            let count = many::check(directory).map_err(|faults| ProgramError(faults.join("\n")))?;
            format!("{count} {}", main.control_planes)
        }
    };
    Ok(Checked { found, warning: main.warning() })
}
