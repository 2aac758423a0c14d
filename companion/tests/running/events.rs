//! The last changes, as a list and as a stream of server-sent events.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::companion::{Companion, PATIENCE};
use crate::peers::{Authority, Peer};

/// An open stream of events.
struct Events(BufReader<TcpStream>);

impl Events {
    /// Asks for the events after one.
    fn open(listen: SocketAddr, path: &str, last: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(listen).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let last = last.map_or(String::new(), |last| format!("Last-Event-ID: {last}\r\n"));
        let accept = "Accept: text/event-stream";
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n{accept}\r\n{last}\r\n").unwrap();
        Self(BufReader::new(stream))
    }

    /// The next line that begins so, without its beginning.
    fn next(&mut self, beginning: &str) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the stream ended");
            if let Some(rest) = line.trim_end().strip_prefix(beginning) {
                return rest.to_owned();
            }
        }
    }

    /// Reads until an event says so, and returns its identifier.
    fn wait_for(&mut self, message: &str) -> String {
        loop {
            let id = self.next("id: ");
            let event: Value = serde_json::from_str(&self.next("data: ")).unwrap();
            assert_eq!(event["id"].to_string(), id);
            if event["message"].as_str().unwrap().starts_with(message) {
                return id;
            }
        }
    }
}

fn messages(companion: &Companion, path: &str) -> Vec<String> {
    let (status, list) = companion.get(path).unwrap();
    assert_eq!(status, 200, "{list}");
    let list: Vec<Value> = serde_json::from_str(&list).unwrap();
    list.iter().map(|event| event["message"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_peer_that_leaves_and_comes_back_is_told_at_once_and_kept_in_the_list() {
    let authority = Authority::new();
    let first = Peer::start(&authority, &["/v1/pods"]);
    let mut second = Peer::start(&authority, &["/v1/pods", "apps/v1/deployments"]);
    let companion = Companion::start(&authority, &[&first, &second]);
    companion.wait_for_route("apps/v1/deployments", "kube-apiserver_b");

    let mut events = Events::open(companion.listen, "/v1/events", None);
    let published = events.wait_for("map ");
    second.kill();
    let left = events.wait_for("peer b is unreachable, was serving: ");
    events.wait_for("2 types (apps/v1/deployments, apps/v1/deployments/status) orphaned: ");
    second.restart();
    events.wait_for("peer b is serving, was unreachable");
    events.wait_for("2 types (apps/v1/deployments, apps/v1/deployments/status) served by b only");

    let all = messages(&companion, "/v1/events");
    let after = messages(&companion, &format!("/v1/events?after={left}"));
    assert!(all[0].starts_with("map ") && all.len() > after.len(), "{all:?}");
    assert!(!after.iter().any(|message| message.contains("b is unreachable")), "{after:?}");
    let mut again = Events::open(companion.listen, "/v1/events", Some(&published));
    let next: Value = serde_json::from_str(&again.next("data: ")).unwrap();
    assert_eq!(next["id"].as_u64(), Some(published.parse::<u64>().unwrap() + 1));
}

#[test]
fn after_a_restart_a_client_goes_on_where_it_was() {
    let authority = Authority::new();
    let peer = Peer::start(&authority, &["/v1/pods"]);
    let mut companion = Companion::start(&authority, &[&peer]);
    companion.wait_until_ready();
    let last = Events::open(companion.listen, "/v1/events", None).wait_for("map ");
    companion.kill();
    companion.spawn();
    companion.wait_until_ready();
    let mut events = Events::open(companion.listen, "/v1/events", Some(&last));
    assert!(events.wait_for("map ") > last);
}
