//! What is sent to an API server: an Event of events.k8s.io/v1, or the patch of its series.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use super::stories::Story;
use crate::config::EventsTarget;

/// Who reports, as a qualified name.
const CONTROLLER: &str = "mixed-version-companion";

/// The longest name of an instance (`ReportingInstanceLengthLimit`,
/// kubernetes/pkg/apis/core/validation/events.go).
const MOST_INSTANCE: usize = 128;

/// The patch of a series.
#[derive(Debug, Serialize)]
pub(super) struct Patch {
    series: EventSeries,
}

/// Returns the path of the Events of a namespace.
pub(super) fn path(target: &EventsTarget) -> String {
    format!("/apis/events.k8s.io/v1/namespaces/{}/events", target.namespace)
}

/// Returns the path of the Service that Events are about.
pub(super) fn service_path(target: &EventsTarget) -> String {
    format!("/api/v1/namespaces/{}/services/{}", target.namespace, target.service)
}

/// Returns an Event about the Service, whose `uid` is that of the object if it is known: `kubectl
/// describe` looks for it.
pub(super) fn event(
    target: &EventsTarget,
    name: &str,
    uid: Option<String>,
    story: &Story,
) -> Event {
    let (namespace, notice) = (target.namespace.to_string(), &story.notice);
    Event {
        action: Some(notice.action.to_owned()),
        event_time: Some(time(story.first)),
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.clone()),
            ..ObjectMeta::default()
        },
        note: Some(notice.note.clone()),
        reason: Some(notice.reason.to_owned()),
        regarding: Some(ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Service".to_owned()),
            name: Some(target.service.to_string()),
            namespace: Some(namespace),
            uid,
            ..ObjectReference::default()
        }),
        reporting_controller: Some(CONTROLLER.to_owned()),
        reporting_instance: Some(instance()),
        type_: Some(notice.severity.as_str().to_owned()),
        ..Event::default()
    }
}

/// Returns the patch by which an Event says how often it happened, at least twice.
pub(super) fn patch(story: &Story) -> Patch {
    let count = i32::try_from(story.count.max(2)).unwrap_or(i32::MAX);
    Patch { series: EventSeries { count, last_observed_time: time(story.last) } }
}

fn time(seconds: u64) -> MicroTime {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    MicroTime(Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX))
}

/// Returns the name of the host, which is that of the pod in a pod.
fn instance() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match host.trim() {
        "" => "unknown".to_owned(),
        host => host.chars().take(MOST_INSTANCE).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::notice::{Notice, Severity};
    use super::super::stories::{Stories, Write};
    use super::*;

    fn target() -> EventsTarget {
        let (namespace, service) = ("default".parse().unwrap(), "kubernetes".parse().unwrap());
        EventsTarget { namespace, service }
    }

    fn story() -> Story {
        let notice = Notice {
            severity: Severity::Normal,
            reason: "PeerServing",
            action: "Poll",
            subject: "a".to_owned(),
            note: "peer a is serving, was not ready".to_owned(),
        };
        let mut stories = Stories::default();
        for at in [1_795_780_800, 1_795_780_801, 1_795_780_802] {
            stories.happened("kubernetes", notice.clone(), at);
        }
        let Some(Write::Create(_, story)) = stories.due(1_795_780_802) else { panic!("none") };
        story
    }

    #[test]
    fn an_event_has_what_the_api_requires_and_its_service() {
        let event = event(&target(), "kubernetes.1", Some("u".to_owned()), &story());
        let mut event = serde_json::to_value(event).unwrap();
        let instance = event["reportingInstance"].take();
        assert!(instance.as_str().is_some_and(|instance| !instance.is_empty()));
        assert_eq!(
            event,
            json!({
                "apiVersion": "events.k8s.io/v1", "kind": "Event",
                "metadata": { "name": "kubernetes.1", "namespace": "default" },
                "eventTime": "2026-11-27T12:00:00.000000Z",
                "type": "Normal", "reason": "PeerServing", "action": "Poll",
                "note": "peer a is serving, was not ready",
                "regarding": {
                    "apiVersion": "v1", "kind": "Service", "name": "kubernetes",
                    "namespace": "default", "uid": "u",
                },
                "reportingController": "mixed-version-companion", "reportingInstance": null,
            })
        );
    }

    #[test]
    fn a_patch_has_the_series_only() {
        let patch = serde_json::to_value(patch(&story())).unwrap();
        let series = json!({ "count": 3, "lastObservedTime": "2026-11-27T12:00:02.000000Z" });
        assert_eq!(patch, json!({ "series": series }));
    }
}
