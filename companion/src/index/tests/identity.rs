//! The names of the identity headers.

use std::sync::Arc;
use std::time::Duration;

use discovery_map::DiscoveryMap;

use super::world::World;
use crate::config::RequestHeaders;
use crate::index::{Event, Memory};

fn names(user: &str) -> RequestHeaders {
    RequestHeaders { username_headers: vec![user.parse().unwrap()], ..RequestHeaders::default() }
}

#[test]
fn the_clusters_own_header_names_come_first_and_no_configured_name_is_lost() {
    let mut world = World::new(&["a"]);
    let username = |world: &mut World| world.index.snapshot().map.identity.username_headers;
    assert_eq!(username(&mut world), ["x-remote-user"]);
    let read = Event::RequestHeaders(Some(names("X-User")));
    assert!(world.index.apply(read, Duration::ZERO));
    assert_eq!(username(&mut world), ["x-user", "x-remote-user"]);
    assert!(!world.index.apply(Event::RequestHeaders(None), Duration::ZERO), "they stay");
    assert!(!world.index.apply(Event::RequestHeaders(Some(names("x-user"))), Duration::ZERO));
    assert_eq!(username(&mut world), ["x-user", "x-remote-user"]);
    let mut again = World::restored(&["a"], world.index.snapshot().memory);
    assert_eq!(username(&mut again), ["x-user", "x-remote-user"], "over a restart");
    assert!(DiscoveryMap::try_from(again.index.snapshot().map).is_ok());
}

#[test]
fn with_a_front_proxy_a_start_waits_for_the_header_names() {
    let mut world = World::new(&["a"]);
    let mut config = (*world.config).clone();
    config.front_proxy = Some(crate::certificates::KeyPairFiles {
        certificate_file: "/c".into(),
        key_file: "/k".into(),
    });
    world.config = Arc::new(config);
    world.index.apply(Event::Configured(Arc::clone(&world.config)), Duration::ZERO);
    world.serves("a", &[]);
    assert!(!world.index.all_asked());
    assert!(world.index.snapshot().map.identity.front_proxy);
    world.index.apply(Event::RequestHeaders(None), Duration::ZERO);
    assert!(world.index.all_asked());
    let known = Memory { request_headers: Some(names("x-user")), ..Memory::default() };
    let mut world = World::restored(&["a"], known);
    world.serves("a", &[]);
    assert!(world.index.all_asked());
}
