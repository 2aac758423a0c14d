//! A request for objects of a type that the peer serves, and the answers that
//! all such requests share.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::accept;
use super::path::{Objects, percent_decode};
use super::peer::Peer;
use super::reply::{Answer, json as json_answer};
use super::status::{Details, Status};
use super::store::Key;
use super::types::Resource;

/// A request for objects of a type that the peer serves.
pub(super) struct ObjectRequest<'a> {
    pub(super) peer: &'a Peer,
    pub(super) asked: Objects,
    pub(super) resource: &'a Resource,
    pub(super) accept: String,
    pub(super) query: Vec<(String, String)>,
}

impl ObjectRequest<'_> {
    /// Returns the value of a query parameter.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// `v1`, `apps/v1`.
    pub(super) fn api_version(&self) -> String {
        match self.asked.group.as_str() {
            "" => self.asked.version.clone(),
            group => format!("{group}/{}", self.asked.version),
        }
    }

    pub(super) fn key(&self, name: &str) -> Key {
        Key {
            group: self.asked.group.clone(),
            resource: self.asked.resource.clone(),
            namespace: self.asked.namespace.clone().unwrap_or_default(),
            name: name.to_owned(),
        }
    }

    /// Returns the Service of `services/<name>/proxy`.
    pub(super) fn service_to_proxy(&self) -> Option<&str> {
        let (core, proxy) = (self.asked.group.is_empty(), self.asked.subresource.as_deref());
        let is_one = core && self.asked.resource == "services" && proxy == Some("proxy");
        self.asked.name.as_deref().filter(|_| is_one)
    }

    pub(super) fn details(&self, name: &str) -> Details {
        Details::new(&self.asked.group, &self.asked.resource, name)
    }

    pub(super) fn refuse(&self, status: &Status) -> Answer {
        status.answer(accept::form(&self.accept))
    }

    pub(super) fn not_found(&self, name: &str) -> Answer {
        // An unsupported form is refused before the object is looked up.
        match accept::form(&self.accept) {
            None => Status::not_acceptable().answer(None),
            form => Status::object_not_found(self.details(name)).answer(form),
        }
    }

    /// Returns the object as this version of the API shows it.
    pub(super) fn shown(&self, mut object: Value) -> Value {
        if let Some(fields) = object.as_object_mut() {
            fields.insert("apiVersion".to_owned(), json!(self.api_version()));
            fields.insert("kind".to_owned(), json!(self.resource.kind));
        }
        object
    }

    pub(super) fn show(&self, status: StatusCode, object: Value) -> Answer {
        json_answer(status, format!("{}\n", self.shown(object)))
    }
}

/// Returns the parameters of a query, decoded.
pub(super) fn read_query(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (percent_decode(key), percent_decode(value))).collect()
}
