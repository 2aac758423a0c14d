//! Objects that servers of two versions answer differently, though both serve their types; all with
//! default settings. `kubectl apply` of a new object sends them like this.
//!
//! The servers themselves show which kinds tell their versions apart, so nothing here says what a
//! version changed. Of the kinds that are known by name, those are used that two servers answer
//! differently. One more kind is an object with a field that came with the newer version.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, bail};
use serde_json::{Value, json};
use wire::client::{Answer, Client};

use super::new_field::{self, WithNewField};

/// What an answer shows of the server that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Given {
    /// The older version answered.
    Older,
    /// The newer version answered.
    Newer,
    /// It is no answer to such an object.
    Failed,
}

/// A kind of such objects.
#[derive(Debug, Clone)]
pub struct Doubtful {
    /// What it is called in reports.
    pub label: &'static str,
    /// Where it is sent, validated as kubectl wants it.
    path: String,
    /// An object of this kind. Its name is only what the names begin with.
    object: Value,
    difference: Difference,
}

/// How the answers of the two versions differ.
#[derive(Debug, Clone)]
enum Difference {
    /// The older server answers with this status, and without the field if that is a success. The
    /// newer server keeps the field.
    Kept { older: u16, field: &'static str },
    /// The older server refuses a field that it does not know. The newer server reads it.
    Known,
}

/// So that no two objects have one name.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Returns the kinds that these two servers answer differently. Fails if a server does not answer,
/// or the newer one knows no field that the older one does not.
pub async fn between(older: &Client, newer: &Client) -> Result<Vec<Doubtful>> {
    let mut kinds = Vec::new();
    for kind in [autoscaler(), stateful_set(), driver(), service()] {
        if kind.tells_apart(older, newer).await? {
            kinds.push(kind);
        }
    }
    for found in new_field::objects(older, newer).await? {
        let kind = with_new_field(found);
        if kind.tells_apart(older, newer).await? {
            kinds.push(kind);
            return Ok(kinds);
        }
    }
    bail!("no field is known to the newer server only")
}

impl Doubtful {
    /// Sends a new object. Fails if the connection does.
    pub async fn create(&self, client: &Client) -> Result<Answer> {
        let mut object = self.object.clone();
        if let Some(Value::String(name)) = object.pointer_mut("/metadata/name") {
            name.push_str(&NUMBER.fetch_add(1, Ordering::Relaxed).to_string());
        }
        client.post(&self.path, &object).await
    }

    /// Returns who gave this answer.
    pub fn given(&self, answer: &Answer) -> Given {
        let status = answer.status.as_u16();
        let has = |field| answer.json().is_ok_and(|object| object.pointer(field).is_some());
        let (older, newer) = match self.difference {
            Difference::Kept { older, field } => (status == older, status == 201 && has(field)),
            Difference::Known => (
                status == 400 && answer.text().contains("unknown field"),
                // What else is missing or wrong does not matter.
                status == 201 || status == 422,
            ),
        };
        match (older, newer) {
            (_, true) => Given::Newer,
            (true, false) => Given::Older,
            (false, false) => Given::Failed,
        }
    }

    /// Returns whether both servers show which of them answered.
    async fn tells_apart(&self, older: &Client, newer: &Client) -> Result<bool> {
        let older = self.given(&self.create(older).await?);
        let newer = self.given(&self.create(newer).await?);
        Ok((older, newer) == (Given::Older, Given::Newer))
    }
}

/// Nothing of it is stored, for it may be an object that changes the control plane.
fn with_new_field(WithNewField { collection, object }: WithNewField) -> Doubtful {
    let path = format!("{}&dryRun=All", path(&collection));
    Doubtful { label: "newField", path, object, difference: Difference::Known }
}

fn path(collection: &str) -> String {
    format!("{collection}?fieldManager=kubectl&fieldValidation=Strict")
}

fn autoscaler() -> Doubtful {
    let metric =
        json!({ "metric": { "name": "queue" }, "target": { "type": "Value", "value": "1" } });
    let object = json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": { "name": "doubtful-" },
        "spec": {
            "minReplicas": 0,
            "maxReplicas": 3,
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "nothing" },
            "metrics": [{ "type": "External", "external": metric }],
        },
    });
    Doubtful {
        label: "autoscaler",
        path: path("/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"),
        object,
        difference: Difference::Kept { older: 422, field: "/spec/minReplicas" },
    }
}

fn stateful_set() -> Doubtful {
    let container = json!({ "name": "main", "image": "nothing.example/main" });
    let object = json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": { "name": "doubtful-" },
        "spec": {
            "serviceName": "nothing",
            "selector": { "matchLabels": { "app": "doubtful" } },
            "template": {
                "metadata": { "labels": { "app": "doubtful" } },
                "spec": { "containers": [container] },
            },
            "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 2 } },
        },
    });
    let field = "/spec/updateStrategy/rollingUpdate/maxUnavailable";
    Doubtful {
        label: "statefulSet",
        path: path("/apis/apps/v1/namespaces/default/statefulsets"),
        object,
        difference: Difference::Kept { older: 201, field },
    }
}

fn driver() -> Doubtful {
    let object = json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSIDriver",
        "metadata": { "name": "doubtful-" },
        "spec": { "preventPodSchedulingIfMissing": true },
    });
    Doubtful {
        label: "driver",
        path: path("/apis/storage.k8s.io/v1/csidrivers"),
        object,
        difference: Difference::Kept { older: 400, field: "/metadata/name" },
    }
}

fn service() -> Doubtful {
    let object = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": "1-doubtful-" },
        "spec": { "clusterIP": "None", "ports": [{ "port": 80 }] },
    });
    Doubtful {
        label: "service",
        path: path("/api/v1/namespaces/default/services"),
        object,
        difference: Difference::Kept { older: 422, field: "/metadata/name" },
    }
}
