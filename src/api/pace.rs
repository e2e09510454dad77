//! How many requests a key may make: one bucket of tokens for each, filled at an even rate. Time is an argument.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// A bucket holds what comes in within so many seconds: a burst of that size passes.
const BURST_SECONDS: f64 = 2.0;

/// The buckets of all keys. Only keys that have been verified have one.
#[derive(Debug)]
pub(super) struct Pace {
    rate: f64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Pace {
    pub(super) fn new(rate: NonZeroU32) -> Self {
        Self { rate: rate.get().into(), buckets: Mutex::default() }
    }

    /// Takes a token; whether there was one.
    pub(super) fn allows(&self, key: &str, now: Instant) -> bool {
        let full = self.rate * BURST_SECONDS;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(bucket) = buckets.get_mut(key) else {
            buckets.insert(key.to_owned(), Bucket { tokens: full - 1.0, at: now });
            return true;
        };
        let came = now.saturating_duration_since(bucket.at).as_secs_f64() * self.rate;
        bucket.at = bucket.at.max(now);
        bucket.tokens = (bucket.tokens + came).min(full);
        let allowed = bucket.tokens >= 1.0;
        if allowed {
            bucket.tokens -= 1.0;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_and_keys_do_not_share() {
        let pace = Pace::new(NonZeroU32::new(10).unwrap());
        let start = Instant::now();
        let passed =
            |key: &str, at: Duration, asked: usize| (0..asked).filter(|_| pace.allows(key, start + at)).count();
        assert_eq!(passed("one", Duration::ZERO, 100), 20);
        assert_eq!(passed("two", Duration::ZERO, 100), 20);
        assert_eq!(passed("one", Duration::from_secs(1), 100), 10);
        assert_eq!(passed("one", Duration::from_secs(60), 100), 20);
    }
}
