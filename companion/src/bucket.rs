//! Limits how often something is done: some at once, then one after each pause.

use std::time::Duration;

use tokio::time::Instant;

/// A token bucket on the runtime's clock.
#[derive(Debug)]
pub struct Bucket {
    burst: u32,
    refill: Duration,
    /// When the bucket is full again if nothing is taken.
    full_at: Instant,
}

impl Bucket {
    /// Returns a full bucket of `burst` tokens. One token comes back after each `refill`.
    pub fn full(burst: u32, refill: Duration) -> Self {
        Self { burst, refill, full_at: Instant::now() }
    }

    /// Waits for a token and takes it.
    pub async fn take(&mut self) {
        // Each missing token is one refill between now and `full_at`.
        let headroom = self.refill * self.burst.saturating_sub(1);
        let now = Instant::now();
        let ready = self.full_at.checked_sub(headroom).unwrap_or(now);
        tokio::time::sleep_until(ready).await;
        self.full_at = self.full_at.max(Instant::now()) + self.refill;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFILL: Duration = Duration::from_secs(1);

    async fn take_seconds(bucket: &mut Bucket) -> u64 {
        let before = Instant::now();
        bucket.take().await;
        (before.elapsed() + Duration::from_millis(500)).as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn three_at_once_then_one_a_second() {
        let mut bucket = Bucket::full(3, REFILL);
        let mut waited = Vec::new();
        for _ in 0..6 {
            waited.push(take_seconds(&mut bucket).await);
        }
        assert_eq!(waited, [0, 0, 0, 1, 1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_bucket_refills_over_time() {
        let mut bucket = Bucket::full(3, REFILL);
        for _ in 0..4 {
            bucket.take().await;
        }
        tokio::time::advance(Duration::from_secs(10)).await;
        let mut waited = Vec::new();
        for _ in 0..4 {
            waited.push(take_seconds(&mut bucket).await);
        }
        assert_eq!(waited, [0, 0, 0, 1]);
    }
}
