//! How long to wait before the API is asked again.

use std::time::Duration;

use rand::RngExt;
use tokio::time::Instant;

/// Grows with each failure that soon follows the one before.
#[derive(Debug)]
pub(super) struct Pause {
    shortest: Duration,
    longest: Duration,
    next: Duration,
    /// When the last pause was over.
    over: Option<Instant>,
}

impl Pause {
    pub(super) fn new([shortest, longest]: [Duration; 2]) -> Self {
        Self { shortest, longest, next: shortest, over: None }
    }

    /// Waits. The pauses of many companions differ, so that they do not ask in step.
    pub(super) async fn wait(&mut self) {
        // What worked for longer than any pause has recovered.
        if self.over.is_some_and(|over| over.elapsed() > self.longest) {
            self.next = self.shortest;
        }
        let spread = rand::rng().random_range(0.8..1.2);
        tokio::time::sleep(self.next.mul_f64(spread)).await;
        self.next = self.longest.min(self.next * 2);
        self.over = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    async fn waited(pause: &mut Pause) -> Duration {
        let begun = Instant::now();
        pause.wait().await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_grows_up_to_a_bound_and_begins_anew_after_a_time_without_failures() {
        let mut pause = Pause::new([SECOND, SECOND * 4]);
        for expected in [1.0, 2.0, 4.0, 4.0] {
            let waited = waited(&mut pause).await.as_secs_f64();
            assert!((0.79..1.21).contains(&(waited / expected)), "{waited} for {expected}");
        }
        tokio::time::sleep(SECOND * 3).await;
        assert!(waited(&mut pause).await > SECOND * 3);
        tokio::time::sleep(SECOND * 5).await;
        assert!(waited(&mut pause).await < SECOND * 2);
    }
}
