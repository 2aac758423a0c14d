//! What a kubelet does for a pod: it makes the files of its volumes. The paths in them, and in the
//! arguments of containers, become those of a folder of the test.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::containers;

/// Where images have the filter.
const FILTER: &str = "/usr/lib/mixed-version-proxy/filter.wasm";

/// ConfigMaps and Secrets of a namespace: the files of each.
#[derive(Default)]
pub struct Objects(BTreeMap<(&'static str, String), BTreeMap<String, Vec<u8>>>);

impl Objects {
    /// Adds a ConfigMap or a Secret; no other object has files.
    pub fn add(&mut self, object: &Value) -> Result<()> {
        let kind = match object["kind"].as_str() {
            Some("ConfigMap") => "configMap",
            Some("Secret") => "secret",
            _ => return Ok(()),
        };
        let decoded = |text: &str| match kind {
            "secret" => STANDARD.decode(text).context("base64"),
            _ => Ok(text.as_bytes().to_owned()),
        };
        let mut files = BTreeMap::new();
        for (key, text) in object["data"].as_object().into_iter().flatten() {
            files.insert(key.clone(), decoded(text.as_str().context("text")?)?);
        }
        let name = object["metadata"]["name"].as_str().context("a name")?;
        self.0.insert((kind, name.to_owned()), files);
        Ok(())
    }

    /// Adds a Secret.
    pub fn add_secret(&mut self, name: &str, key: &str, content: impl Into<Vec<u8>>) {
        let files = self.0.entry(("secret", name.to_owned())).or_default();
        files.insert(key.to_owned(), content.into());
    }

    /// Writes the files of one source of a volume.
    fn write(&self, kind: &'static str, source: &Value, folder: &Path) -> Result<()> {
        let name = source.get("name").or(source.get("secretName")).and_then(Value::as_str);
        let name = name.context("the name of a source")?;
        let files = self.0.get(&(kind, name.to_owned()));
        let files = files.with_context(|| format!("there is no {kind} {name}"))?;
        let Some(items) = source["items"].as_array() else {
            return files.iter().try_for_each(|(key, content)| file(&folder.join(key), content));
        };
        for item in items {
            let (key, path) = (item["key"].as_str(), item["path"].as_str());
            let (key, path) = key.zip(path).context("an item without key or path")?;
            let content = files.get(key).with_context(|| format!("{kind} {name} has no {key}"))?;
            file(&folder.join(path), content)?;
        }
        Ok(())
    }
}

/// A pod whose volumes are there.
pub struct Pod<'p> {
    pod: &'p Value,
    folder: PathBuf,
    /// What stands in the place of the filter of the image.
    filter: PathBuf,
}

impl<'p> Pod<'p> {
    /// Makes the volumes of a pod, or of a template of pods, in `folder`. A volume that a claim
    /// gives is empty. Fails if a volume names what does not exist.
    pub fn create(
        pod: &'p Value,
        objects: &Objects,
        folder: PathBuf,
        filter: PathBuf,
    ) -> Result<Self> {
        let this = Self { pod, folder, filter };
        for volume in pod["spec"]["volumes"].as_array().into_iter().flatten() {
            let name = volume["name"].as_str().context("a volume's name")?;
            volume_files(volume, objects, &this.folder.join(name))
                .with_context(|| format!("the volume {name}"))?;
        }
        for mount in containers(pod).flat_map(mounts_of) {
            let name = mount["name"].as_str().context("a mount's name")?;
            let folder = this.folder.join(name);
            fs::create_dir_all(&folder)?;
            // Paths in a file mean what the containers see that have it.
            let readers = containers(pod).filter(|c| mounts_of(c).any(|of| of["name"] == name));
            this.relocate_files(&readers.flat_map(mounts_of).collect::<Vec<_>>(), &folder)?;
        }
        Ok(this)
    }

    /// Returns a container. Fails if there is none of this name.
    pub fn container(&self, name: &str) -> Result<&'p Value> {
        let found = containers(self.pod).find(|container| container["name"] == name);
        found.with_context(|| format!("no container {name}"))
    }

    /// Returns the folder that a container has at this path, if it has a volume there.
    pub fn mount(&self, container: &str, path: &str) -> Result<Option<PathBuf>> {
        let found = mounts_of(self.container(container)?).find(|mount| mount["mountPath"] == path);
        Ok(found.and_then(|mount| Some(self.folder.join(mount["name"].as_str()?))))
    }

    /// Returns where a file of a container is.
    pub fn path(&self, container: &str, path: &str) -> Result<PathBuf> {
        Ok(self.relocated(mounts_of(self.container(container)?), path).into())
    }

    /// Returns the container's arguments, with their variables and paths resolved.
    pub fn arguments(&self, container: &str) -> Result<Vec<String>> {
        let container = self.container(container)?;
        let name = self.pod["metadata"]["name"].as_str().unwrap_or("pod-0");
        let arguments =
            container["args"].as_array().into_iter().flatten().filter_map(Value::as_str);
        Ok(arguments
            .map(|text| self.relocated(mounts_of(container), &text.replace("$(POD_NAME)", name)))
            .collect())
    }

    /// Rewrites the paths in the texts of a volume, once.
    fn relocate_files(&self, mounts: &[&Value], folder: &Path) -> Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                self.relocate_files(mounts, &path)?;
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                let text = fs::read_to_string(&path)?;
                // It is done already, for another container.
                if !text.contains(&*self.folder.to_string_lossy()) {
                    fs::write(&path, self.relocated(mounts.iter().copied(), &text))?;
                }
            }
        }
        Ok(())
    }

    fn relocated<'m>(&self, mounts: impl Iterator<Item = &'m Value>, text: &str) -> String {
        let mut places: Vec<_> = mounts
            .filter_map(|mount| {
                let place = self.folder.join(mount["name"].as_str()?);
                Some((mount["mountPath"].as_str()?, place.display().to_string()))
            })
            .collect();
        // A mount below another one wins.
        places.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        let text = text.replace(FILTER, &self.filter.display().to_string());
        places.iter().fold(text, |text, (path, place)| text.replace(path, place))
    }
}

fn mounts_of(container: &Value) -> impl Iterator<Item = &Value> {
    container["volumeMounts"].as_array().into_iter().flatten()
}

fn volume_files(volume: &Value, objects: &Objects, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    for (kind, source) in volume.as_object().into_iter().flatten() {
        match kind.as_str() {
            "name" | "emptyDir" | "persistentVolumeClaim" => {}
            "configMap" => objects.write("configMap", source, folder)?,
            "secret" => objects.write("secret", source, folder)?,
            "projected" => {
                for part in source["sources"].as_array().into_iter().flatten() {
                    projected_files(part, objects, folder)?;
                }
            }
            other => bail!("a volume of the kind {other}"),
        }
    }
    Ok(())
}

fn projected_files(source: &Value, objects: &Objects, folder: &Path) -> Result<()> {
    for (kind, source) in source.as_object().into_iter().flatten() {
        match kind.as_str() {
            "configMap" => objects.write("configMap", source, folder)?,
            "secret" => objects.write("secret", source, folder)?,
            // The test puts them where programs look for them.
            "serviceAccountToken" | "downwardAPI" => {}
            other => bail!("a source of the kind {other}"),
        }
    }
    Ok(())
}

fn file(path: &Path, content: &[u8]) -> Result<()> {
    fs::create_dir_all(path.parent().context("no folder")?)?;
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}
