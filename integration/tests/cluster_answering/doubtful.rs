//! Objects that servers of two versions answer differently, though both serve their types; all with
//! default settings. `kubectl apply` of a new object sends them like this.

use anyhow::{Result, bail};
use fake_apiserver::Version;
use serde_json::{Value, json};
use wire::client::Answer;

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
#[derive(Debug, Clone, Copy)]
pub struct Doubtful {
    /// What it is called in reports.
    pub label: &'static str,
    path: &'static str,
    /// Makes the object of this name.
    object: fn(&str) -> Value,
    /// The status of the older server. If it is a success, the field is lost.
    older: u16,
    /// The field that the newer server keeps.
    field: &'static str,
}

const AUTOSCALER: Doubtful = Doubtful {
    label: "autoscaler",
    path: "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers",
    object: autoscaler,
    older: 422,
    field: "/spec/minReplicas",
};

const STATEFUL_SET: Doubtful = Doubtful {
    label: "statefulSet",
    path: "/apis/apps/v1/namespaces/default/statefulsets",
    object: stateful_set,
    older: 201,
    field: "/spec/updateStrategy/rollingUpdate/maxUnavailable",
};

const DRIVER: Doubtful = Doubtful {
    label: "driver",
    path: "/apis/storage.k8s.io/v1/csidrivers",
    object: driver,
    older: 400,
    field: "/metadata/name",
};

const SERVICE: Doubtful = Doubtful {
    label: "service",
    path: "/api/v1/namespaces/default/services",
    object: service,
    older: 422,
    field: "/metadata/name",
};

/// Returns the kinds that a version answers differently than the one before. Fails for the
/// oldest version.
pub fn since(newer: Version) -> Result<&'static [Doubtful]> {
    match newer {
        Version::V1_35 => bail!("no version before {newer} is known"),
        Version::V1_36 => Ok(&[DRIVER, SERVICE]),
        Version::V1_37 => Ok(&[AUTOSCALER, STATEFUL_SET]),
    }
}

impl Doubtful {
    /// Returns where such an object is sent, validated as kubectl wants it.
    pub fn path(&self) -> String {
        format!("{}?fieldManager=kubectl&fieldValidation=Strict", self.path)
    }

    pub fn object(&self, name: &str) -> Value {
        (self.object)(name)
    }

    /// Returns who gave this answer.
    pub fn given(&self, answer: &Answer) -> Given {
        let status = answer.status.as_u16();
        let kept = || answer.json().is_ok_and(|object| object.pointer(self.field).is_some());
        match status {
            201 if kept() => Given::Newer,
            _ if status == self.older => Given::Older,
            _ => Given::Failed,
        }
    }
}

fn autoscaler(name: &str) -> Value {
    let metric =
        json!({ "metric": { "name": "queue" }, "target": { "type": "Value", "value": "1" } });
    json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": { "name": name },
        "spec": {
            "minReplicas": 0,
            "maxReplicas": 3,
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "nothing" },
            "metrics": [{ "type": "External", "external": metric }],
        },
    })
}

fn stateful_set(name: &str) -> Value {
    let container = json!({ "name": "main", "image": "nothing.example/main" });
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": { "name": name },
        "spec": {
            "serviceName": "nothing",
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [container] },
            },
            "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 2 } },
        },
    })
}

fn driver(name: &str) -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSIDriver",
        "metadata": { "name": name },
        "spec": { "preventPodSchedulingIfMissing": true },
    })
}

fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": format!("1-{name}") },
        "spec": { "clusterIP": "None", "ports": [{ "port": 80 }] },
    })
}
