//! `kubectl skew top`: peers and requests on the terminal, until `q`.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use http::Uri;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{Sender, UnboundedReceiver, channel, unbounded_channel};

use super::{envoy, now, usage};
use crate::args::Connection;
use crate::exposition::samples;
use crate::facts::Facts;
use crate::plan::usage::Usage;
use crate::source;
use crate::terminal::{self, Session};
use crate::top::{Reaction, Reading, State, view};

/// Between two readings of the companion and Envoys.
const INTERVAL: Duration = Duration::from_secs(1);

/// The metrics of an API server have megabytes: they are read once in so many rounds.
const ROUNDS_PER_USAGE: u64 = 10;

/// How long the thread that reads keys waits before it looks whether it is still needed.
const KEY_WAIT: Duration = Duration::from_millis(250);

/// The filter's counter of requests.
const DECISIONS: &str = "mixed_version_proxy_requests_total";

#[derive(Clone, Debug, Args)]
pub struct Top {
    /// An Envoy's admin interface, such as http://127.0.0.1:9901, which counts requests by decision; can
    /// be repeated.
    #[arg(long = "envoy", value_name = "URL")]
    envoys: Vec<Uri>,
}

impl Top {
    /// Shows the view until the user quits.
    ///
    /// # Errors
    /// The output is not a terminal, or the companion cannot be reached at first.
    pub async fn run(&self, args: &Connection) -> Result<()> {
        terminal::ensure()?;
        // An error of the first round is written where the user sees it.
        let facts = source::facts(args).await?;
        let mut state =
            State { facts: Some(facts), has_envoys: !self.envoys.is_empty(), ..State::default() };
        let mut terminated = signal(SignalKind::terminate())?;
        let mut session = Session::begin()?;
        let mut events = events();
        let (sender, mut readings) = channel(1);
        let mut reader = pin!(Reader { top: self, args, begin: Instant::now() }.run(sender));
        loop {
            session.screen().draw(|frame| view(&state, frame)).context("cannot draw")?;
            tokio::select! {
                event = events.recv() => match event {
                    Some(Event::Key(key)) if key.kind != KeyEventKind::Release => {
                        if state.on_key(key) == Reaction::Quit {
                            return Ok(());
                        }
                    }
                    // The next frame has the new size.
                    Some(_) => {}
                    None => bail!("the terminal is gone"),
                },
                Some(reading) = readings.recv() => state.apply(reading),
                // The terminal is left as it was then, too.
                _ = terminated.recv() => return Ok(()),
                () = &mut reader => {}
            }
        }
    }
}

/// Returns what happens at the terminal: keys, and changes of its size.
fn events() -> UnboundedReceiver<Event> {
    let (sender, receiver) = unbounded_channel();
    std::thread::spawn(move || {
        while !sender.is_closed() {
            let event = match event::poll(KEY_WAIT) {
                Ok(false) => continue,
                Ok(true) => event::read(),
                Err(_) => return,
            };
            let Ok(event) = event else { return };
            // Nobody listens any more.
            if sender.send(event).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Reads everything again and again.
struct Reader<'a> {
    top: &'a Top,
    args: &'a Connection,
    begin: Instant,
}

impl Reader<'_> {
    /// Sends a reading each second, for as long as somebody wants it.
    async fn run(self, sender: Sender<Reading>) {
        let mut ticks = tokio::time::interval(INTERVAL);
        let mut round = 0_u64;
        loop {
            ticks.tick().await;
            let with_usage = round.is_multiple_of(ROUNDS_PER_USAGE);
            if sender.send(self.read(with_usage).await).await.is_err() {
                return;
            }
            round += 1;
        }
    }

    async fn read(&self, with_usage: bool) -> Reading {
        let known = source::known(self.args)
            .await
            .map(|known| (known.facts, known.envoys.map(|served| served.envoys)));
        let decisions = self.decisions().await;
        let usage = match &known {
            Ok((facts, _)) if with_usage => self.usage(facts).await,
            _ => None,
        };
        Reading { known, decisions, usage, at: self.begin.elapsed(), now: now() }
    }

    /// Returns the requests of all Envoys by decision.
    async fn decisions(&self) -> Result<BTreeMap<String, u64>> {
        let mut counters = BTreeMap::new();
        for url in &self.top.envoys {
            let text = envoy::metrics(url, self.args.request_timeout).await?;
            for sample in samples(&text, DECISIONS, "") {
                if let (Some(decision), Some(count)) = (sample.label("decision"), sample.count()) {
                    *counters.entry(decision.to_owned()).or_default() += count;
                }
            }
        }
        Ok(counters)
    }

    /// Returns what API servers count; `None` if the user may not read that of all of them.
    async fn usage(&self, facts: &Facts) -> Option<Usage> {
        let mut known = Usage::default();
        usage::read(self.args, facts, &mut known).await.is_empty().then_some(known)
    }
}
