//! Headless Chromium, driven by the Chrome DevTools Protocol over two pipes
//! (`--remote-debugging-pipe`): no port that others could connect to, and no library.
//!
//! Each message is a JSON object that ends with a zero byte. What the page complains about, such as
//! violations of its `Content-Security-Policy`, is collected ([`Browser::complaints`]).

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::pipe;
use tokio::time::timeout;

use crate::artifacts::Artifact;
use crate::process::{Process, Program};
use crate::wait;

/// It starts within a second; a loaded machine gets time.
const DEADLINE: Duration = Duration::from_secs(60);

/// Chromium reads commands from descriptor 3 and writes answers to descriptor 4.
const START: &str = "mkfifo commands answers && exec \"$@\" 3<commands 4>answers";

/// How a page is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// The width in CSS pixels.
    pub width: u32,
    /// Whether the reader prefers a dark scheme.
    pub dark: bool,
}

/// A browser with one page; dropping it kills it.
#[derive(Debug)]
pub struct Browser {
    commands: pipe::Sender,
    answers: BufReader<pipe::Receiver>,
    session: Option<String>,
    sent: u64,
    complaints: Vec<Value>,
    _process: Process,
}

impl Browser {
    /// Starts it with an empty page. `folder` gets its profile and log. Fails if it is not
    /// installed, or does not answer.
    pub async fn start(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let chromium = Artifact::Chromium.path()?;
        let process = Program::new("Chromium", "sh", folder.join("log"))
            .args(["-c", START, "sh"])
            .arg(chromium)
            .args(["--headless", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu"])
            // Its sandbox does not work for root, and the page is ours.
            .args(["--no-sandbox", "--hide-scrollbars", "--disable-background-networking"])
            .arg(format!("--user-data-dir={}", folder.join("profile").display()))
            .current_dir(folder)
            .spawn()?;
        let open = |name: &str| -> PathBuf { folder.join(name) };
        wait::until("the pipes", DEADLINE, async || {
            ensure!(open("answers").exists(), "there are none");
            Ok(())
        })
        .await?;
        // Reading and writing, so that opening it does not wait for the reader.
        let commands = pipe::OpenOptions::new().read_write(true).open_sender(open("commands"))?;
        let answers = pipe::OpenOptions::new().read_write(true).open_receiver(open("answers"))?;
        let answers = BufReader::new(answers);
        let (session, sent, complaints) = (None, 0, Vec::new());
        let mut browser = Self { commands, answers, session, sent, complaints, _process: process };
        browser.attach().await?;
        Ok(browser)
    }

    async fn attach(&mut self) -> Result<()> {
        let target = self.call("Target.createTarget", json!({"url": "about:blank"})).await?;
        let attach = json!({"targetId": target.get("targetId"), "flatten": true});
        let attached = self.call("Target.attachToTarget", attach).await?;
        let session = attached.get("sessionId").and_then(Value::as_str).context("no session")?;
        self.session = Some(session.to_owned());
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            self.call(domain, json!({})).await?;
        }
        Ok(())
    }

    /// Sends a command and waits for its result. Fails if the browser reports an error.
    pub async fn call(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.sent += 1;
        let mut command = json!({"id": self.sent, "method": method, "params": parameters});
        if let (Some(session), Some(fields)) = (&self.session, command.as_object_mut()) {
            fields.insert("sessionId".to_owned(), json!(session));
        }
        let mut text = serde_json::to_vec(&command)?;
        text.push(0);
        self.commands.write_all(&text).await?;
        let answer = timeout(DEADLINE, self.answer(self.sent)).await;
        let mut answer = answer.with_context(|| format!("no answer to {method}"))??;
        if let Some(error) = answer.get("error") {
            bail!("{method}: {error}");
        }
        Ok(answer.get_mut("result").map(Value::take).unwrap_or_default())
    }

    async fn answer(&mut self, id: u64) -> Result<Value> {
        loop {
            let mut text = Vec::new();
            self.answers.read_until(0, &mut text).await?;
            ensure!(text.pop() == Some(0), "the browser ended");
            let message: Value = serde_json::from_slice(&text)?;
            if message.get("id").and_then(Value::as_u64) == Some(id) {
                return Ok(message);
            }
            let event = message.get("method").and_then(Value::as_str).unwrap_or_default();
            if ["Log.entryAdded", "Runtime.exceptionThrown"].contains(&event) {
                self.complaints.push(message);
            }
        }
    }

    /// Returns what the page complained about, and begins anew.
    pub fn complaints(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.complaints)
    }

    /// Opens an address, and waits until it is loaded.
    pub async fn open(&mut self, url: &str) -> Result<()> {
        self.call("Page.navigate", json!({"url": url})).await?;
        let loaded = format!("document.readyState === 'complete' && location.href === {url:?}");
        self.wait_for(&loaded).await
    }

    /// Evaluates JavaScript. Fails if it throws. Waits for the value of a promise.
    pub async fn evaluate(&mut self, script: &str) -> Result<Value> {
        let parameters = json!({"expression": script, "awaitPromise": true, "returnByValue": true});
        let mut answer = self.call("Runtime.evaluate", parameters).await?;
        if let Some(thrown) = answer.get("exceptionDetails") {
            bail!("{thrown}");
        }
        Ok(answer.pointer_mut("/result/value").map(Value::take).unwrap_or_default())
    }

    /// Waits until JavaScript is true.
    pub async fn wait_for(&mut self, condition: &str) -> Result<()> {
        let started = std::time::Instant::now();
        while self.evaluate(condition).await? != true {
            if started.elapsed() > DEADLINE {
                let page = self.evaluate("document.body.innerText").await?;
                bail!("not within {DEADLINE:?}: {condition}\n{page}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Looks at the page in another way.
    pub async fn look(&mut self, Look { width, dark }: Look) -> Result<()> {
        let size = json!({
            "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.call("Emulation.setDeviceMetricsOverride", size).await?;
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", media).await?;
        Ok(())
    }

    /// Presses a key that has no character, such as `Tab`.
    pub async fn press(&mut self, key: &str, code: u32) -> Result<()> {
        for kind in ["rawKeyDown", "keyUp"] {
            let event = json!({"type": kind, "key": key, "windowsVirtualKeyCode": code});
            self.call("Input.dispatchKeyEvent", event).await?;
        }
        Ok(())
    }

    /// Returns a picture (PNG) of the whole page.
    pub async fn picture(&mut self) -> Result<Vec<u8>> {
        let parameters = json!({"format": "png", "captureBeyondViewport": true});
        let answer = self.call("Page.captureScreenshot", parameters).await?;
        let data = answer.get("data").and_then(Value::as_str).context("no picture")?;
        Ok(BASE64_STANDARD.decode(data)?)
    }
}
