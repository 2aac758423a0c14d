//! Limits pushes: three at once, then one a second.
//!
//! A single change goes out at once, with the changes of other peers that follow from it. A control
//! plane that changes all the time costs Envoy one new map a second.

use std::time::Duration;

use tokio::time::Instant;

const BURST: u32 = 3;
const REFILL: Duration = Duration::from_secs(1);

/// A token bucket on the runtime's clock.
#[derive(Debug)]
pub(super) struct Bucket {
    /// When the bucket is full again if nothing is taken.
    full_at: Instant,
}

impl Bucket {
    pub(super) fn full() -> Self {
        Self { full_at: Instant::now() }
    }

    /// Waits for a token and takes it.
    pub(super) async fn take(&mut self) {
        // Each missing token is one refill between now and `full_at`.
        let headroom = REFILL * (BURST - 1);
        let now = Instant::now();
        let ready = self.full_at.checked_sub(headroom).unwrap_or(now);
        tokio::time::sleep_until(ready).await;
        self.full_at = self.full_at.max(Instant::now()) + REFILL;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn take_seconds(bucket: &mut Bucket) -> u64 {
        let before = Instant::now();
        bucket.take().await;
        (before.elapsed() + Duration::from_millis(500)).as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn three_at_once_then_one_a_second() {
        let mut bucket = Bucket::full();
        let mut waited = Vec::new();
        for _ in 0..6 {
            waited.push(take_seconds(&mut bucket).await);
        }
        assert_eq!(waited, [0, 0, 0, 1, 1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_bucket_refills_over_time() {
        let mut bucket = Bucket::full();
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
