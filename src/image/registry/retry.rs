//! How often, and after which wait, something is tried again. Each document and each blob has one of these.

use std::time::{Duration, Instant};

use super::error::RequestError;
use super::limits::{RESUMPTIONS_MAX, RETRIES_MAX, Timing};
use crate::image::request::Progress;

/// The retries of one thing.
pub(super) struct Retries {
    timing: Timing,
    until: Option<Instant>,
    /// Since the last progress.
    fruitless: u32,
    total: u32,
}

impl Retries {
    /// For a stream, which has no end as long as it makes progress.
    pub(super) fn of_stream(timing: &Timing) -> Self {
        Self { timing: timing.clone(), until: None, fruitless: 0, total: 0 }
    }

    /// For a document: everything ends at that time.
    pub(super) fn until(timing: &Timing, until: Instant) -> Self {
        Self { until: Some(until), ..Self::of_stream(timing) }
    }

    /// How often it was tried again.
    pub(super) fn count(&self) -> u32 {
        self.total
    }

    /// When everything ends.
    pub(super) fn end(&self) -> Option<Instant> {
        self.until
    }

    /// Something came: the count begins anew, but not the count of all.
    pub(super) fn progressed(&mut self) {
        self.fruitless = 0;
    }

    /// Waits and gives back nothing, or gives the error back that nothing more is tried after.
    pub(super) fn again(&mut self, error: RequestError, told: &dyn Fn(Progress)) -> Result<(), RequestError> {
        let wait = self.wait(error.after());
        let late = self.until.is_some_and(|until| Instant::now() + wait >= until);
        if !error.is_transient() || self.fruitless >= RETRIES_MAX || self.total >= RESUMPTIONS_MAX || late {
            return Err(error);
        }
        self.fruitless += 1;
        self.total += 1;
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        told(Progress::Retrying { reason: chain(&error), attempt: self.total, wait: wait_ms });
        std::thread::sleep(wait);
        Ok(())
    }

    /// Doubling, with half of it left to chance, so that many hosts do not come back at the same moment; or what the
    /// server asks for, within bounds.
    fn wait(&self, asked: Option<u64>) -> Duration {
        if let Some(seconds) = asked {
            return Duration::from_secs(seconds).clamp(self.timing.wait, self.timing.asked_max);
        }
        let doubled = self.timing.wait.saturating_mul(1 << self.fruitless.min(16)).min(self.timing.wait_max);
        doubled.mul_f64(rand::random_range(0.5..=1.0))
    }
}

/// An error with all its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| (*error).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, after: Option<u64>) -> RequestError {
        let status = ureq::http::StatusCode::from_u16(status).unwrap();
        RequestError::Status { method: "GET", url: String::new(), status, message: String::new(), after }
    }

    fn quick() -> Timing {
        Timing { wait: Duration::from_micros(1), asked_max: Duration::from_micros(1), ..Timing::default() }
    }

    #[test]
    fn waits_double_and_are_bounded_whatever_a_server_asks_for() {
        let timing = Timing::default();
        let mut retries = Retries::of_stream(&timing);
        for fruitless in 0..40 {
            retries.fruitless = fruitless;
            let most = timing.wait_max.min(timing.wait.saturating_mul(1 << fruitless.min(16)));
            let wait = retries.wait(None);
            assert!(wait <= most && wait >= most / 2, "{fruitless}: {wait:?}");
        }
        assert_eq!(retries.wait(Some(2)), Duration::from_secs(2));
        assert_eq!(retries.wait(Some(u64::MAX)), timing.asked_max);
    }

    #[test]
    fn three_retries_without_progress_and_twenty_in_all() {
        let mut retries = Retries::of_stream(&quick());
        let again = |retries: &mut Retries| retries.again(error(503, Some(1000)), &|_| ()).is_ok();
        assert!((0..3).all(|_| again(&mut retries)));
        assert!(!again(&mut retries));
        for _ in 3..20 {
            retries.progressed();
            assert!(again(&mut retries));
        }
        retries.progressed();
        assert!(!again(&mut retries));
    }

    #[test]
    fn what_will_not_change_is_not_tried_again() {
        for status in [400, 401, 403, 404, 416] {
            assert!(Retries::of_stream(&quick()).again(error(status, None), &|_| ()).is_err(), "{status}");
        }
        for status in [408, 429, 500, 502, 503, 504] {
            assert!(Retries::of_stream(&quick()).again(error(status, None), &|_| ()).is_ok(), "{status}");
        }
    }
}
