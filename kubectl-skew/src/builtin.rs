//! The types that Kubernetes has built in, by minor version: a table that is part of this program.
//!
//! `builtin.txt` is made of two sources. `k8s.io/kubernetes` has the discovery documents of each release
//! (`api/discovery`, made by `hack/update-openapi-spec.sh`): of a server with `--runtime-config=api/all=true`
//! and `--feature-gates=AllAlpha=true,AllBeta=true`, so they list every type that a server can be made to
//! serve. `integration/recordings` has what a server of the same release serves with no such flag.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use api_discovery::MinorVersion;
use serde::Serialize;

use crate::types::{Row, collection};

const TABLE: &str = include_str!("builtin.txt");

/// A resource or subresource of a group-version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ApiType {
    pub group: String,
    pub version: String,
    /// The resource, with its subresource: `pods/status`.
    pub resource: String,
}

/// What a version has of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// A server serves it unless `--runtime-config` turns it off.
    On,
    /// A server serves it only if `--runtime-config` or a feature gate turns it on.
    Off,
    /// The version does not have it.
    Absent,
}

/// The table.
#[derive(Debug)]
pub struct BuiltIn {
    versions: Vec<MinorVersion>,
    /// By version, in the order of `versions`.
    types: BTreeMap<ApiType, Vec<Availability>>,
}

/// A version of the table.
#[derive(Clone, Copy, Debug)]
pub struct Release<'t> {
    table: &'t BuiltIn,
    column: usize,
}

impl ApiType {
    pub fn new(group: &str, version: &str, resource: &str) -> Self {
        let [group, version, resource] = [group, version, resource].map(str::to_owned);
        Self { group, version, resource }
    }

    /// Returns the path of its collection in all namespaces; `None` of a subresource, which has none.
    pub fn collection(&self) -> Option<String> {
        collection(&self.group, &self.version, &self.resource)
    }

    /// Returns whether both are the same resource, in different versions.
    pub fn is_other_version_of(&self, other: &Self) -> bool {
        (&self.group, &self.resource) == (&other.group, &other.resource)
            && self.version != other.version
    }
}

impl fmt::Display for ApiType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, version, resource } = self;
        let slash = if group.is_empty() { "" } else { "/" };
        write!(f, "{group}{slash}{version} {resource}")
    }
}

impl From<&Row> for ApiType {
    fn from(row: &Row) -> Self {
        Self::new(&row.group, &row.version, &row.resource)
    }
}

impl BuiltIn {
    /// Returns the table of this program.
    ///
    /// # Errors
    /// The table is damaged, which a test rules out.
    pub fn shipped() -> Result<Self> {
        Self::parse(TABLE).context("the table of built-in types")
    }

    fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let heading = lines.next().context("has no heading")?;
        let versions = heading.split_whitespace().skip(2).map(str::parse);
        let versions: Vec<MinorVersion> = versions.collect::<Result<_, _>>()?;
        let types = lines.map(|line| {
            let read = line_of(line).with_context(|| format!("{line:?}"))?;
            ensure!(
                read.1.len() == versions.len(),
                "{line:?} must have {} versions",
                versions.len()
            );
            Ok(read)
        });
        Ok(Self { types: types.collect::<Result<_>>()?, versions })
    }

    /// Returns a version of the table.
    ///
    /// # Errors
    /// The table does not have it.
    pub fn release(&self, version: MinorVersion) -> Result<Release<'_>> {
        let found = self.versions.iter().position(|known| *known == version);
        let Some(column) = found else {
            let known: Vec<_> = self.versions.iter().map(ToString::to_string).collect();
            bail!(
                "this kubectl-skew knows the types of Kubernetes {}, not of {version}",
                known.join(", ")
            );
        };
        Ok(Release { table: self, column })
    }

    /// Returns the oldest version that is newer; `None` if the table ends there.
    pub fn after(&self, version: MinorVersion) -> Option<MinorVersion> {
        self.versions.iter().copied().filter(|known| *known > version).min()
    }

    /// Returns the newest version that is older; `None` if the table begins there.
    pub fn before(&self, version: MinorVersion) -> Option<MinorVersion> {
        self.versions.iter().copied().filter(|known| *known < version).max()
    }
}

impl<'t> Release<'t> {
    /// Returns what this version has of a type.
    pub fn of(&self, wanted: &ApiType) -> Availability {
        let by_version = self.table.types.get(wanted);
        let found = by_version.and_then(|by_version| by_version.get(self.column));
        found.copied().unwrap_or(Availability::Absent)
    }

    /// Returns whether this version has a type, or one between it and `next`.
    pub fn has_before(&self, next: &Release<'_>, wanted: &ApiType) -> bool {
        let by_version = self.table.types.get(wanted).map(Vec::as_slice).unwrap_or_default();
        let before = by_version.get(self.column..next.column).unwrap_or_default();
        before.iter().any(|availability| *availability != Availability::Absent)
    }

    /// Returns all types that this version has, on or off.
    pub fn types(self) -> impl Iterator<Item = (&'t ApiType, Availability)> {
        let all = self.table.types.keys().map(move |one| (one, self.of(one)));
        all.filter(|(_, availability)| *availability != Availability::Absent)
    }
}

/// Returns the rows of the same resource in its other versions.
pub fn other_versions<'r>(
    rows: &'r [Row],
    api: &ApiType,
) -> impl Iterator<Item = &'r Row> + use<'r> {
    let api = api.clone();
    rows.iter().filter(move |row| ApiType::from(*row).is_other_version_of(&api))
}

/// Reads `apps/v1 deployments/scale on on`, the availability by version.
fn line_of(line: &str) -> Result<(ApiType, Vec<Availability>)> {
    let mut words = line.split_whitespace();
    let (group_version, resource) = (words.next(), words.next());
    let group_version = group_version.context("has no group and version")?;
    let (group, version) = group_version.split_once('/').unwrap_or(("", group_version));
    let one = ApiType::new(group, version, resource.context("has no resource")?);
    let availability = words.map(|word| match word {
        "on" => Ok(Availability::On),
        "off" => Ok(Availability::Off),
        "-" => Ok(Availability::Absent),
        other => bail!("{other:?} must be on, off or -"),
    });
    Ok((one, availability.collect::<Result<_>>()?))
}

#[cfg(test)]
pub mod tests {
    use super::{ApiType, Availability, BuiltIn};

    /// Returns a table of two versions.
    pub fn table() -> BuiltIn {
        let text = "# A comment\n\
                    group/version resource 1.36 1.37\n\
                    v1 pods on on\n\
                    a.io/v1 bundles - on\n\
                    a.io/v1 bundles/status - on\n\
                    a.io/v1alpha1 bundles off -\n\
                    a.io/v1alpha1 wands off -\n\
                    a.io/v1alpha1 hats - off\n\
                    b.io/v1beta1 addresses off off\n\
                    b.io/v1beta2 addresses on off\n";
        BuiltIn::parse(text).unwrap()
    }

    #[test]
    fn the_shipped_table_can_be_read_and_pods_are_in_every_version() {
        let table = BuiltIn::shipped().unwrap();
        assert!(table.versions.len() > 2 && table.versions.is_sorted());
        let pods = ApiType::new("", "v1", "pods");
        for version in &table.versions {
            let release = table.release(*version).unwrap();
            assert_eq!(release.of(&pods), Availability::On, "{version}");
            assert!(release.types().count() > 100, "{version}");
        }
    }

    #[test]
    fn a_version_that_the_table_does_not_have_is_an_error_with_those_that_it_has() {
        let table = table();
        let error = table.release("1.38".parse().unwrap()).unwrap_err().to_string();
        assert!(error.contains("1.36, 1.37, not of 1.38"), "{error}");
        assert_eq!(table.after("1.36".parse().unwrap()), Some("1.37".parse().unwrap()));
        assert_eq!(table.after("1.37".parse().unwrap()), None);
    }

    #[test]
    fn a_damaged_line_is_named() {
        for line in ["v1 pods on", "v1 pods on yes", "v1"] {
            let text = format!("type resource 1.36 1.37\n{line}\n");
            let error = format!("{:#}", BuiltIn::parse(&text).unwrap_err());
            assert!(error.contains(line), "{error}");
        }
    }

    #[test]
    fn a_version_has_the_types_that_are_on_or_off_in_it() {
        let table = table();
        let newer = table.release("1.37".parse().unwrap()).unwrap();
        let names: Vec<_> = newer.types().map(|(one, _)| one.to_string()).collect();
        assert!(names.contains(&"v1 pods".to_owned()), "{names:?}");
        assert!(!names.contains(&"a.io/v1alpha1 wands".to_owned()), "{names:?}");
        assert_eq!(newer.of(&ApiType::new("a.io", "v1alpha1", "hats")), Availability::Off);
    }
}
