//! How many requests a task may make: 40 a second, 60 at once, as ECS's agent has it. Pure: the time is an argument.

/// Requests a second.
pub const STEADY: u64 = 40;
/// Requests at once, after a pause.
pub const BURST: u64 = 60;

/// What may still be asked, in thousandths of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    left: u64,
    at: u64,
}

impl Pace {
    /// A full measure.
    pub fn new(boot_ms: u64) -> Self {
        Self { left: BURST * 1000, at: boot_ms }
    }

    /// Whether one more request may be answered now.
    pub fn admits(&mut self, boot_ms: u64) -> bool {
        let passed = boot_ms.saturating_sub(self.at);
        self.at = boot_ms;
        self.left = self.left.saturating_add(passed.saturating_mul(STEADY)).min(BURST * 1000);
        match self.left.checked_sub(1000) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_are_answered_at_once_and_forty_in_each_second_after_it() {
        let mut pace = Pace::new(5);
        let mut answered = |ms: u64| (0..200).filter(|_| pace.admits(ms)).count();
        assert_eq!([answered(5), answered(5), answered(1005), answered(1030), answered(100_000)], [60, 0, 40, 1, 60]);
    }
}
