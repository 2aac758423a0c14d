//! Named tasks that run until one of them ends.

use std::future::Future;

use tokio::task::JoinSet;
use tracing::Instrument;

/// Dropping it aborts the tasks.
#[derive(Default)]
pub struct Tasks {
    set: JoinSet<(&'static str, Result<(), String>)>,
}

impl Tasks {
    /// Starts a task that cannot fail, in the present span of the log.
    pub fn add(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.add_fallible(name, async {
            task.await;
            Ok(())
        });
    }

    /// Starts a task that can fail, in the present span of the log.
    pub fn add_fallible(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), String>> + Send + 'static,
    ) {
        self.set.spawn(async move { (name, task.await) }.in_current_span());
    }

    /// Waits until one ends, and returns which one and why. Pending if there is none.
    pub async fn ended(&mut self) -> String {
        let Some(ended) = self.set.join_next().await else { return std::future::pending().await };
        let (task, problem) = match ended {
            Ok((task, Ok(()))) => (task, "unexpectedly".to_owned()),
            Ok((task, Err(problem))) => (task, problem),
            Err(error) => ("unknown", error.to_string()),
        };
        format!("the task \"{task}\" ended: {problem}")
    }

    /// Aborts all tasks, and waits until they have ended.
    pub async fn shutdown(&mut self) {
        self.set.shutdown().await;
    }
}
