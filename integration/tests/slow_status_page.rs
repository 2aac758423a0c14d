//! The status page in Chromium: it follows what happens without a reload, fits phones and
//! desktops, in light and dark, can be used by the keyboard, and axe-core finds nothing. Pictures go to
//! `target/status-page`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use harness::ads::{self, AdsCompanion};
use harness::artifacts::{Artifact, integration_folder};
use harness::browser::{Browser, Look};
use serde_json::{Value, json};

const LOOKS: [(&str, Look); 4] = [
    ("desktop-light", Look { width: 1440, dark: false }),
    ("desktop-dark", Look { width: 1440, dark: true }),
    ("phone-light", Look { width: 375, dark: false }),
    ("phone-dark", Look { width: 375, dark: true }),
];

fn url(companion: &AdsCompanion, path: &str) -> String {
    format!("http://127.0.0.1:{}{path}", companion.companion.port())
}

fn pictures() -> Result<PathBuf> {
    let folder = integration_folder().join("../target/status-page");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// JavaScript: whether the row of a peer says that it is in a state.
fn is(peer: &str, state: &str) -> String {
    let rows = "[...document.querySelectorAll('#peers tbody tr')].map((row) => row.innerText)";
    format!("{rows}.some((row) => row.startsWith('{peer}') && row.includes('{state}'))")
}

/// JavaScript: whether a part of the page has a text.
fn has(part: &str, text: &str) -> String {
    format!("document.querySelector('{part}').innerText.includes('{text}')")
}

/// Looks at the page in every way, has axe-core check it, and takes pictures.
async fn check_looks(browser: &mut Browser, name: &str) -> Result<()> {
    for (look_name, look) in LOOKS {
        browser.look(look).await?;
        let width = browser.evaluate("document.documentElement.scrollWidth").await?;
        ensure!(width == look.width, "{name} {look_name}: the page is {width} pixels wide");
        let found = axe(browser).await?;
        ensure!(found == json!([]), "{name} {look_name}: {found:#}");
        let picture = browser.picture().await?;
        std::fs::write(pictures()?.join(format!("{name}-{look_name}.png")), picture)?;
    }
    Ok(())
}

/// Returns what axe-core finds, by rule, with the elements.
async fn axe(browser: &mut Browser) -> Result<Value> {
    if browser.evaluate("typeof axe").await? == "undefined" {
        let source = std::fs::read_to_string(Artifact::Axe.path()?)?;
        browser.evaluate(&format!("{source}; undefined")).await?;
    }
    let found = "axe.run(document).then(({violations}) => violations.map(({id, nodes}) => \
                 [id, ...nodes.map((node) => node.failureSummary + ' ' + node.html)]))";
    browser.evaluate(found).await
}

/// Presses Tab until an element has the focus.
async fn tab_to(browser: &mut Browser, id: &str) -> Result<()> {
    for _ in 0..10 {
        browser.press("Tab", 9).await?;
        if browser.evaluate("document.activeElement.id").await? == *id {
            return Ok(());
        }
    }
    let focused = browser.evaluate("document.activeElement.outerHTML").await?;
    anyhow::bail!("{id} cannot be reached by the keyboard: {focused}")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_a_peer_leaving_and_coming_back_to_everybody_without_a_reload() -> Result<()>
{
    let (mut fleet, site) = ads::skewed().await?;
    let companion = site.companion("companion").await?;
    let _envoy = ads::start(&site, "envoy-1", &companion).await?;
    let mut browser = Browser::start(&fleet.folder().join("browser")).await?;
    browser.open(&url(&companion, "/")).await?;
    browser.wait_for(&has("#live", "Updates by itself.")).await?;
    browser.wait_for(&has("#envoys", "latest")).await?;
    ensure!(browser.evaluate(&has("#skew", "mutatingadmissionpolicies")).await? == true);
    browser.evaluate("globalThis.loadedOnce = true").await?;
    check_looks(&mut browser, "serving").await?;

    // The matrix is wider than the screen, and the reader has scrolled it.
    browser.look(Look { width: 260, dark: false }).await?;
    tab_to(&mut browser, "matrix-scroll").await?;
    browser.evaluate("document.activeElement.scrollLeft = 20").await?;
    fleet.peer(1)?.stop().await;
    browser.wait_for(&is("cp-2", "unreachable")).await?;
    browser.wait_for(&has("#skew", "orphaned")).await?;
    browser.wait_for(&has("#changes", "peer cp-2 is unreachable, was serving")).await?;
    let kept = "document.activeElement.id === 'matrix-scroll'";
    ensure!(browser.evaluate(kept).await? == true, "the focus is lost");
    let scrolled = browser.evaluate("document.activeElement.scrollLeft").await?;
    ensure!(scrolled == 20, "the matrix was scrolled to {scrolled}");
    check_looks(&mut browser, "unreachable").await?;

    fleet.peer(1)?.start_again().await?;
    browser.wait_for(&is("cp-2", "serving")).await?;
    browser.wait_for(&has("#changes", "peer cp-2 is serving, was unreachable")).await?;
    browser.wait_for("document.getElementById('news').textContent !== ''").await?;
    browser.evaluate("document.activeElement.blur()").await?;
    check_looks(&mut browser, "back").await?;
    ensure!(browser.evaluate("globalThis.loadedOnce").await? == true, "it was loaded again");
    let complaints = browser.complaints();
    ensure!(complaints.is_empty(), "{complaints:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_companion_that_restarts_is_followed_again_and_its_absence_is_said() -> Result<()> {
    let (fleet, site) = ads::skewed().await?;
    let mut companion = site.companion("companion").await?;
    let mut browser = Browser::start(&fleet.folder().join("browser")).await?;
    browser.open(&url(&companion, "/")).await?;
    browser.wait_for(&has("#live", "Updates by itself.")).await?;
    companion.companion.kill_9();
    browser.wait_for(&has("#live", "Trying again.")).await?;
    companion.companion.start_again().await?;
    browser.wait_for(&has("#live", "Updates by itself.")).await?;
    browser.evaluate("globalThis.loadedOnce = true").await?;
    companion.companion.wait_ready().await?;
    fleet.peers[0].set_ready(false);
    browser.wait_for(&is("cp-1", "not ready")).await?;
    ensure!(browser.evaluate("globalThis.loadedOnce").await? == true, "it was loaded again");
    Ok(())
}

/// The pictures of the documentation are of the size in which they are shown.
#[test]
fn the_documentation_has_pictures_of_the_page() -> Result<()> {
    let docs = integration_folder().join("../docs/status-page");
    for (name, look) in LOOKS {
        let file: &Path = &docs.join(format!("{name}.png"));
        let png = std::fs::read(file).with_context(|| file.display().to_string())?;
        // The width is the first field of the header chunk (PNG, 11.2.1).
        let width = png.get(16..20).context("too short")?;
        ensure!(width == look.width.to_be_bytes(), "{}: another width", file.display());
    }
    Ok(())
}
