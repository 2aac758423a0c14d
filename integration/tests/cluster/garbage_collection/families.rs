//! Owners of the skewed type, their children, and the children's second owner.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::manifests::{CONFIG_MAPS, TAINT_RULES, config_map, taint_rule};
use harness::wait;
use serde_json::{Value, json};
use wire::client::Client;

/// How many children an owner has of either sort: those that only it owns, and
/// those that have a second owner.
pub const CHILDREN: usize = 5;

/// The end of the name of the owner that is there only to be deleted.
pub const FIRST: &str = "-first";

/// The kind of the owners.
pub const OWNER_KIND: &str = "DeviceTaintRule";

const DEADLINE: Duration = Duration::from_secs(60);

/// An owner, its second, and their children, all named after it.
pub struct Family {
    name: String,
}

impl Family {
    /// Creates all of them.
    pub async fn create(admin: &Client, name: &str) -> Result<Self> {
        let family = Self { name: name.to_owned() };
        let owner = create(admin, TAINT_RULES, taint_rule(name)).await?;
        let second = create(admin, CONFIG_MAPS, config_map(&family.second())).await?;
        for child in family.single() {
            create(admin, CONFIG_MAPS, owned(&child, &[reference(&owner)?])).await?;
        }
        for child in family.shared() {
            let owners = [reference(&owner)?, reference(&second)?];
            create(admin, CONFIG_MAPS, owned(&child, &owners)).await?;
        }
        Ok(family)
    }

    /// Returns the names of the children that only the owner owns.
    pub fn single(&self) -> impl Iterator<Item = String> {
        (0..CHILDREN).map(|number| format!("{}-single-{number}", self.name))
    }

    /// Returns the names of the children that have a second owner.
    pub fn shared(&self) -> impl Iterator<Item = String> {
        (0..CHILDREN).map(|number| format!("{}-shared-{number}", self.name))
    }

    /// Gives the collector a reason to ask for the owner.
    pub async fn delete_second_owner(&self, admin: &Client) -> Result<()> {
        admin.delete(&format!("{CONFIG_MAPS}/{}", self.second())).await?.ok()?;
        Ok(())
    }

    /// Deletes the owner itself.
    pub async fn delete_owner(&self, admin: &Client) -> Result<()> {
        admin.delete(&format!("{TAINT_RULES}/{}", self.name)).await?.ok()?;
        Ok(())
    }

    /// Fails unless the owner is there.
    pub async fn ensure_owner_lives(&self, admin: &Client) -> Result<()> {
        admin.get(&format!("{TAINT_RULES}/{}", self.name)).await?.ok()?;
        Ok(())
    }

    fn second(&self) -> String {
        format!("{}-second", self.name)
    }
}

/// Waits until the collector watches the owners' type: it deletes a child when
/// its only owner is deleted.
pub async fn watched(admin: &Client, name: &str) -> Result<()> {
    let name = format!("{name}{FIRST}");
    let owner = create(admin, TAINT_RULES, taint_rule(&name)).await?;
    create(admin, CONFIG_MAPS, owned(&name, &[reference(&owner)?])).await?;
    admin.delete(&format!("{TAINT_RULES}/{name}")).await?.ok()?;
    wait::until("the first collection", DEADLINE, async || {
        let status = admin.get(&format!("{CONFIG_MAPS}/{name}")).await?.status;
        ensure!(status == 404, "{status}");
        Ok(())
    })
    .await
}

/// Returns the kinds of the owners of each ConfigMap.
pub async fn owners_of_children(admin: &Client) -> Result<BTreeMap<String, Vec<String>>> {
    let list = admin.get(CONFIG_MAPS).await?.ok()?.json()?;
    let items = list.get("items").and_then(Value::as_array).context("no items")?;
    let child = |item: &Value| {
        let name = item.pointer("/metadata/name")?.as_str()?.to_owned();
        let owners = item.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        let kind = |owner: &Value| Some(owner.get("kind")?.as_str()?.to_owned());
        Some((name, owners.into_iter().flatten().filter_map(kind).collect()))
    };
    Ok(items.iter().filter_map(child).collect())
}

/// Returns how many children of these families there are.
pub async fn count(admin: &Client, families: &[Family]) -> Result<usize> {
    let all = owners_of_children(admin).await?;
    let names = families.iter().flat_map(|family| family.single().chain(family.shared()));
    Ok(names.filter(|name| all.contains_key(name)).count())
}

async fn create(admin: &Client, collection: &str, object: Value) -> Result<Value> {
    admin.post(collection, &object).await?.ok()?.json()
}

fn owned(name: &str, owners: &[Value]) -> Value {
    let mut child = config_map(name);
    if let Some(metadata) = child.pointer_mut("/metadata") {
        *metadata = json!({ "name": name, "ownerReferences": owners });
    }
    child
}

/// Returns a child's reference to its owner.
fn reference(owner: &Value) -> Result<Value> {
    let field = |pointer| owner.pointer(pointer).cloned().context("no such field");
    Ok(json!({
        "apiVersion": field("/apiVersion")?,
        "kind": field("/kind")?,
        "name": field("/metadata/name")?,
        "uid": field("/metadata/uid")?,
    }))
}
