//! The document around the sections of a page, and the headers that it is sent with.

use std::sync::LazyLock;
use std::time::Duration;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use ring::digest::{SHA256, digest};

use super::text::moment;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// A browser applies and runs just the style and the script that are here, by their hashes; an
/// element that got into the page otherwise does nothing (W3C Content Security Policy, level 3).
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| BASE64_STANDARD.encode(digest(&SHA256, text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
});

/// A page, without what all pages have.
pub(super) struct Page<'p> {
    pub title: &'p str,
    /// Where the changes of what is shown can be followed.
    pub events: Option<String>,
    pub now: Duration,
    pub sections: Markup,
}

impl Page<'_> {
    pub(super) fn answer(&self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CACHE_CONTROL, "no-store"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        ];
        let mut response = (headers, self.render().into_string()).into_response();
        if let Ok(policy) = HeaderValue::from_str(&POLICY) {
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        response
    }

    pub(super) fn render(&self) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " · Mixed Version Proxy" }
                    // Without it, browsers ask for one.
                    link rel="icon" href="data:,";
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    header {
                        p.product { a href="/" { "Mixed Version Proxy" } }
                        h1 { (self.title) }
                        p.updated #updated data-live { "As of " (moment(self.now)) "." }
                        p.live #live data-state="off" { "Reload the page to update it." }
                    }
                    main data-events=[self.events.as_deref()] { (self.sections) }
                    p.hidden #news role="status" {}
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        }
    }
}
