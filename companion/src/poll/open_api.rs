//! When to read the index of OpenAPI v3. It has no `ETag`, so each read transfers
//! it as a whole: rarely, if it is large.

/// In which rounds the index of OpenAPI v3 is read.
#[derive(Debug, Default)]
pub(super) struct OpenApiSchedule {
    /// Rounds until the next one.
    wait: usize,
    /// Rounds in which it is read because discovery changed; the index follows a moment later.
    eager: usize,
}

impl OpenApiSchedule {
    /// Rounds in which it is read after a change.
    const EAGER: usize = 3;
    /// Bytes to read in each round on average.
    const BUDGET: usize = 32 << 10;
    /// Rounds to wait after a peer did not answer.
    const LEFT_ALONE: usize = 30;

    /// Returns whether the index is due in this round. `news`: discovery changed.
    pub(super) fn is_due(&mut self, news: bool) -> bool {
        if news {
            self.eager = Self::EAGER;
        }
        if self.eager > 0 {
            self.eager -= 1;
            return true;
        }
        self.wait = self.wait.saturating_sub(1);
        self.wait == 0
    }

    /// Records that the index was requested. `size`: its size in bytes, if the peer has one.
    pub(super) fn asked(&mut self, size: Option<usize>) {
        match size {
            Some(size) => self.wait = size.div_ceil(Self::BUDGET),
            None => *self = Self { wait: Self::LEFT_ALONE, eager: 0 },
        }
    }
}
