//! A program that runs until a signal says to stop: the companion, or a mirror.

mod endpoint;
mod host;
mod http;
mod tasks;

use std::fmt::Display;

use tokio::signal::unix::{Signal, SignalKind, signal};

pub use endpoint::Endpoints;
pub use tasks::Tasks;

/// Why the program could not start, or had to end.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ProgramError(pub String);

/// Returns a function that converts an error, and puts what failed in front.
pub fn failed<E: Display>(what: &'static str) -> impl Fn(E) -> ProgramError {
    move |error| ProgramError(format!("{what}{error}"))
}

/// Permits as many open files as the system grants. Every peer has some connections, and so has every
/// client of the endpoints and of ADS.
pub fn raise_file_limit() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => tracing::info!(limit, "limit of open files"),
        Err(error) => tracing::warn!(%error, "cannot raise the limit of open files"),
    }
}

/// The signals that say to stop.
pub struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// Registers them. From now on, they do not end the process.
    ///
    /// # Errors
    /// The system reports an error.
    pub fn new() -> Result<Self, ProgramError> {
        let on = |kind| signal(kind).map_err(failed("signals: "));
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
        })
    }

    /// Waits for one of them, and ends the tasks.
    ///
    /// # Errors
    /// A task ended earlier.
    pub async fn wait(mut self, mut tasks: Tasks) -> Result<(), ProgramError> {
        let signal = tokio::select! {
            _ = self.terminate.recv() => Ok("SIGTERM"),
            _ = self.interrupt.recv() => Ok("SIGINT"),
            ended = tasks.ended() => Err(ProgramError(ended)),
        };
        if let Ok(signal) = signal {
            tracing::info!(signal, "stopping");
        }
        tasks.shutdown().await;
        signal.map(drop)
    }
}
