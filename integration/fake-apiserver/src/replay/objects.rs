//! Requests for objects: create, read, list, replace, patch, delete. Watches
//! are in [`super::watching`].

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::accept;
use super::object_request::{ObjectRequest, read_query};
use super::path::Objects;
use super::peer::Peer;
use super::reply::{Answer, accept_of, json as json_answer, page_not_found};
use super::status::Status;
use super::types::Resource;
use super::view::View;
use super::watching;

/// The largest object that etcd takes is smaller.
const BODY_LIMIT: usize = 3 << 20;

/// A form in which objects are not supported: their messages are not recorded.
const PROTOBUF: &[u8] = b"application/vnd.kubernetes.protobuf";

/// Answers a request for objects.
pub(super) async fn answer(
    peer: &Peer,
    view: &View,
    asked: Objects,
    request: Request<Body>,
) -> Answer {
    let accept = accept_of(&request);
    let custom = view.is_custom(&asked.group);
    let resource = view.types().resource(&asked.group, &asked.version, &asked.resource);
    let Some(resource) = resource.filter(|resource| exists(&asked, resource, custom)) else {
        return type_not_found(view, &asked.group, &accept);
    };
    let query = read_query(request.uri().query().unwrap_or_default());
    let of = ObjectRequest { peer, asked, resource, accept, query };
    if let Some(name) = of.service_to_proxy()
        && view.proxies_by_endpoint_slices()
        && peer.store.get(&of.key(name)).is_none()
    {
        return of.refuse(&Status::no_endpoints(name));
    }
    if let (true, Some(name), Some(subresource)) = (custom, &of.asked.name, &of.asked.subresource)
        && (of.asked.tail || !resource.subresources.contains(subresource))
    {
        // Of custom resources, an unknown subresource looks like an unknown object.
        return of.not_found(name);
    }
    let method = request.method().clone();
    if is_dropped(&of, &method) {
        return of.refuse(&Status::method_not_allowed());
    }
    match (method, of.asked.name.clone()) {
        (Method::GET | Method::HEAD, name) if watching::is_asked(&of) => {
            watching::answer(&of, name)
        }
        (Method::GET | Method::HEAD, Some(name)) => read(&of, &name),
        (Method::GET | Method::HEAD, None) => list(&of),
        (Method::POST, None) if resource.namespaced == of.asked.namespace.is_some() => {
            create(&of, request).await
        }
        (Method::POST, Some(name)) if of.asked.subresource.is_some() => read(&of, &name),
        (Method::PUT | Method::PATCH, Some(name)) => write(&of, &name, request).await,
        (Method::DELETE, Some(name)) if of.asked.subresource.is_none() => delete(&of, &name),
        (Method::DELETE, None) => delete_all(&of),
        _ => of.refuse(&Status::method_not_allowed()),
    }
}

/// Returns the 404 of an unknown type in `group`: a `Status` where the server's own
/// code serves the group, plain text where nothing or the code for custom
/// resources does.
pub(super) fn type_not_found(view: &View, group: &str, accepted: &str) -> Answer {
    if !group.is_empty() && (view.is_custom(group) || !view.types().has_group(group)) {
        return page_not_found();
    }
    Status::type_not_found().answer(accept::form(accepted))
}

/// Returns whether the server has a route for this: the scope is right, and the
/// subresource is one of the resource's.
fn exists(asked: &Objects, resource: &Resource, custom: bool) -> bool {
    let scoped = match (&asked.namespace, resource.namespaced) {
        (Some(_), namespaced) => namespaced,
        // All namespaces can be listed and watched, not named objects of them.
        (None, true) => asked.name.is_none(),
        (None, false) => true,
    };
    let subresource = match &asked.subresource {
        Some(name) if !custom => {
            resource.subresources.contains(name) && (!asked.tail || name == "proxy")
        }
        _ => true,
    };
    scoped && subresource && asked.name.as_deref() != Some("")
}

/// Returns whether the test took the request's verb away.
fn is_dropped(of: &ObjectRequest<'_>, method: &Method) -> bool {
    let ObjectRequest { asked, peer, .. } = of;
    let is_named = asked.name.is_some();
    let verb = match *method {
        _ if watching::is_asked(of) => "watch",
        Method::GET | Method::HEAD if is_named => "get",
        Method::GET | Method::HEAD => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if is_named => "delete",
        _ => "deletecollection",
    };
    let resource = match &asked.subresource {
        Some(subresource) => format!("{}/{subresource}", asked.resource),
        None => asked.resource.clone(),
    };
    peer.state().changes.drops_verb(&asked.group, &asked.version, &resource, verb)
}

fn read(of: &ObjectRequest<'_>, name: &str) -> Answer {
    match of.peer.store.get(&of.key(name)) {
        Some(object) => of.show(StatusCode::OK, object),
        None => of.not_found(name),
    }
}

fn list(of: &ObjectRequest<'_>) -> Answer {
    let asked = &of.asked;
    let (revision, objects) =
        of.peer.store.list(&asked.group, &asked.resource, asked.namespace.as_deref());
    let wanted = of.query("fieldSelector").and_then(|text| text.strip_prefix("metadata.name="));
    let items: Vec<Value> = objects
        .into_iter()
        .filter(|(key, _)| wanted.is_none_or(|name| key.name == name))
        .map(|(_, object)| of.shown(object))
        .collect();
    let list = json!({
        "kind": format!("{}List", of.resource.kind),
        "apiVersion": of.api_version(),
        "metadata": { "resourceVersion": revision.to_string() },
        "items": items,
    });
    json_answer(StatusCode::OK, format!("{list}\n"))
}

async fn create(of: &ObjectRequest<'_>, request: Request<Body>) -> Answer {
    let object = match body(request).await {
        Ok(object) => object,
        Err(status) => return of.refuse(&status),
    };
    let metadata = |field: &str| {
        object.pointer("/metadata").and_then(|data| data.get(field)).and_then(Value::as_str)
    };
    let name = match (metadata("name"), metadata("generateName")) {
        (Some(name), _) => name.to_owned(),
        (None, Some(prefix)) => {
            let (revision, _) = of.peer.store.list(&of.asked.group, &of.asked.resource, None);
            format!("{prefix}{revision:05}")
        }
        (None, None) => {
            return of.refuse(&Status::bad_request("name or generateName is required"));
        }
    };
    match of.peer.store.create(&of.key(&name), object) {
        Some(object) => of.show(StatusCode::CREATED, object),
        None => of.refuse(&Status::already_exists(of.details(&name))),
    }
}

async fn write(of: &ObjectRequest<'_>, name: &str, request: Request<Body>) -> Answer {
    let is_patch = request.method() == Method::PATCH;
    let new = match body(request).await {
        Ok(new) => new,
        Err(status) => return of.refuse(&status),
    };
    let changed = of.peer.store.update(&of.key(name), |mut old| {
        if !is_patch {
            return new;
        }
        merge(&mut old, new);
        old
    });
    match changed {
        Some(object) => of.show(StatusCode::OK, object),
        None => of.not_found(name),
    }
}

fn delete(of: &ObjectRequest<'_>, name: &str) -> Answer {
    let Some(object) = of.peer.store.delete(&of.key(name)) else { return of.not_found(name) };
    let status = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {
            "name": name,
            "group": of.asked.group,
            "kind": of.asked.resource,
            "uid": object.pointer("/metadata/uid"),
        },
    });
    json_answer(StatusCode::OK, format!("{status}\n"))
}

fn delete_all(of: &ObjectRequest<'_>) -> Answer {
    let asked = &of.asked;
    let (_, objects) =
        of.peer.store.list(&asked.group, &asked.resource, asked.namespace.as_deref());
    for (key, _) in objects {
        of.peer.store.delete(&key);
    }
    list(of)
}

/// RFC 7386, which is close enough to the other kinds of patch for tests.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(fields) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Some(target) = target.as_object_mut() else { return };
    for (field, value) in fields {
        if value.is_null() {
            target.remove(&field);
        } else {
            merge(target.entry(field).or_insert(Value::Null), value);
        }
    }
}

async fn body(request: Request<Body>) -> Result<Value, Status> {
    let content_type = request.headers().get("content-type");
    if content_type.is_some_and(|value| value.as_bytes().starts_with(PROTOBUF)) {
        return Err(Status::unsupported_media_type());
    }
    let bytes = to_bytes(request.into_body(), BODY_LIMIT).await;
    let bytes = bytes.map_err(|error| Status::bad_request(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| Status::bad_request(error.to_string()))
}
