//! Every callback in every state of a stream: the host may call in any order.

use filter_core::Action;
use filter_core::mock::{GOLDEN, MockProxy};

use crate::setup::*;

/// How far a stream has come.
#[derive(Clone, Copy)]
enum State {
    New,
    CommonSent,
    UnknownSent,
    NoApiSent,
    DiscoverySent,
    HeldForBody,
    HeldForDocument,
    Replaced,
    Refused,
}

/// What the host calls.
#[derive(Clone, Copy)]
enum Callback {
    Request,
    CleanTrailers,
    ClaimingTrailers,
    Ok,
    NotFound,
    NotFoundWithoutBody,
    TypeLevelBody,
    OtherBody,
    PartOfBody,
    TrailersOfResponse,
    Tick,
    SameMap,
}

impl State {
    fn reach(self) -> MockProxy {
        let proxy = MockProxy::golden();
        proxy.change(STREAM, |_| ());
        let unknown_not_found = || {
            proxy.get(STREAM, UNKNOWN);
            proxy.response(STREAM, &PLAIN_404, false);
        };
        match self {
            Self::New => {}
            Self::CommonSent => drop(proxy.get(STREAM, COMMON)),
            Self::UnknownSent => drop(proxy.get(STREAM, UNKNOWN)),
            Self::NoApiSent => drop(proxy.get(STREAM, "/healthz")),
            Self::DiscoverySent => get_discovery(&proxy, STREAM),
            Self::HeldForBody => unknown_not_found(),
            Self::HeldForDocument => {
                get_discovery(&proxy, STREAM);
                proxy.response(STREAM, &[(":status", "200")], false);
            }
            Self::Replaced => {
                unknown_not_found();
                proxy.body(STREAM, TYPE_LEVEL, true);
                proxy.change(STREAM, |stream| stream.body.clear());
            }
            Self::Refused => drop(proxy.get(STREAM, UNAVAILABLE)),
        }
        proxy
    }
}

impl Callback {
    fn enter(self, proxy: &MockProxy) -> Option<Action> {
        match self {
            Self::Request => Some(proxy.get(STREAM, COMMON)),
            Self::CleanTrailers => Some(proxy.trailers(STREAM, &[("x", "y")])),
            Self::ClaimingTrailers => {
                Some(proxy.trailers(STREAM, &[("x-remote-user", "admin"), ("x", "y")]))
            }
            Self::Ok => Some(proxy.response(STREAM, &[(":status", "200")], false)),
            Self::NotFound => Some(proxy.response(STREAM, &PLAIN_404, false)),
            Self::NotFoundWithoutBody => Some(proxy.response(STREAM, &PLAIN_404_HEAD, true)),
            Self::TypeLevelBody => Some(proxy.body(STREAM, TYPE_LEVEL, true)),
            Self::OtherBody => Some(proxy.body(STREAM, b"no such object", true)),
            Self::PartOfBody => Some(proxy.body(STREAM, b"404 ", false)),
            Self::TrailersOfResponse => Some(proxy.trailers_of_response(STREAM)),
            Self::Tick => none(|| proxy.tick()),
            Self::SameMap => none(|| proxy.configure(GOLDEN).unwrap()),
        }
    }
}

/// Runs a callback that returns nothing.
fn none(callback: impl FnOnce()) -> Option<Action> {
    callback();
    None
}

/// What a callback returned and did, in words.
fn outcome(state: State, callback: Callback) -> String {
    let proxy = state.reach();
    let before = proxy.stream(STREAM);
    let action = callback.enter(&proxy);
    let after = proxy.stream(STREAM);
    let mut words = Vec::new();
    words.extend(action.map(|action| format!("{action:?}").to_lowercase()));
    words.extend(after.codes().iter().skip(before.replies.len()).map(ToString::to_string));
    if matches!(callback, Callback::ClaimingTrailers) && after.trailers.len() == 1 {
        words.push("strip".to_owned());
    }
    if words.is_empty() { "nothing".to_owned() } else { words.join(" ") }
}

macro_rules! table {
    ($($callback:ident = $variant:ident {
        $new:literal $common:literal $unknown:literal $no_api:literal $discovery:literal
        $body:literal $document:literal $replaced:literal $refused:literal
    })+) => {
        $(mod $callback {
            use super::*;

            #[test]
            fn the_outcome_on_a_new_stream_is_that_of_the_table() {
                assert_eq!(outcome(State::New, Callback::$variant), $new);
            }
            #[test]
            fn the_outcome_after_a_request_for_a_common_type_is_that_of_the_table() {
                assert_eq!(outcome(State::CommonSent, Callback::$variant), $common);
            }
            #[test]
            fn the_outcome_after_a_request_for_an_unknown_type_is_that_of_the_table() {
                assert_eq!(outcome(State::UnknownSent, Callback::$variant), $unknown);
            }
            #[test]
            fn the_outcome_after_a_request_that_is_not_for_an_api_is_that_of_the_table() {
                assert_eq!(outcome(State::NoApiSent, Callback::$variant), $no_api);
            }
            #[test]
            fn the_outcome_after_a_request_for_discovery_is_that_of_the_table() {
                assert_eq!(outcome(State::DiscoverySent, Callback::$variant), $discovery);
            }
            #[test]
            fn the_outcome_while_a_404_is_held_for_its_body_is_that_of_the_table() {
                assert_eq!(outcome(State::HeldForBody, Callback::$variant), $body);
            }
            #[test]
            fn the_outcome_while_a_document_is_held_for_its_body_is_that_of_the_table() {
                assert_eq!(outcome(State::HeldForDocument, Callback::$variant), $document);
            }
            #[test]
            fn the_outcome_after_a_404_was_replaced_is_that_of_the_table() {
                assert_eq!(outcome(State::Replaced, Callback::$variant), $replaced);
            }
            #[test]
            fn the_outcome_after_a_request_was_refused_is_that_of_the_table() {
                assert_eq!(outcome(State::Refused, Callback::$variant), $refused);
            }
        })+
    };
}

// The columns are the states in the order of `State`.
table! {
    the_headers_of_a_request = Request {
        "continue" "continue" "continue" "continue" "continue"
        "continue" "continue" "continue" "continue"
    }
    trailers_without_claims = CleanTrailers {
        "continue" "continue" "continue" "continue" "continue"
        "continue" "continue" "continue" "continue"
    }
    trailers_with_a_claim = ClaimingTrailers {
        "continue strip" "continue strip" "continue strip" "continue strip" "continue strip"
        "continue strip" "continue strip" "continue strip" "continue strip"
    }
    a_200 = Ok {
        "continue" "continue" "continue" "continue" "pause"
        "continue" "pause" "continue" "continue"
    }
    a_404_whose_body_follows = NotFound {
        "pause" "pause" "pause" "continue" "pause"
        "pause" "pause" "pause" "pause"
    }
    a_404_without_a_body = NotFoundWithoutBody {
        "pause 503" "pause 503" "pause 503" "continue" "pause 503"
        "pause 503" "pause 503" "pause 503" "pause 503"
    }
    the_body_of_a_type_level_404 = TypeLevelBody {
        "continue" "continue" "continue" "continue" "continue"
        "pause 503" "drop 200" "continue" "continue"
    }
    another_body = OtherBody {
        "continue" "continue" "continue" "continue" "continue"
        "continue" "drop 200" "continue" "continue"
    }
    a_part_of_a_body = PartOfBody {
        "continue" "continue" "continue" "continue" "continue"
        "pause" "drop" "continue" "continue"
    }
    the_trailers_of_a_response = TrailersOfResponse {
        "continue" "continue" "continue" "continue" "continue"
        "continue" "pause 200" "continue" "continue"
    }
    a_tick = Tick {
        "nothing" "nothing" "nothing" "nothing" "nothing"
        "nothing" "nothing" "nothing" "nothing"
    }
    a_push_of_the_same_map = SameMap {
        "nothing" "nothing" "nothing" "nothing" "nothing"
        "nothing" "nothing" "nothing" "nothing"
    }
}
