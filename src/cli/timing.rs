//! `berth run --timing`: when each step of the launch was reached, on standard error.

use std::io::{self, Write};

use super::error::Failure;
use super::table::Table;
use crate::ops::{Mark, Timing};

/// Does something, and prints what was reached meanwhile if that is wanted, whatever has come of it.
pub(super) fn timed(is_wanted: bool, act: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    let timing = is_wanted.then(|| Timing::begin(&std::env::temp_dir())).transpose()?;
    let outcome = act();
    if let Some(timing) = timing {
        io::stderr().lock().write_all(table(&timing.marks()?).as_bytes())?;
    }
    outcome
}

/// The time of each since the first, and since the one before.
fn table(marks: &[Mark]) -> String {
    let mut table = Table::new(["MS", "+MS", "PID", "STEP"]);
    let first = marks.first().map_or(0, |mark| mark.at);
    let mut before = first;
    for mark in marks {
        let ms = |since: u64| format!("{:.2}", (mark.at - since) as f64 / 1e6);
        table.row([&ms(first), &ms(before), &mark.pid.to_string(), &mark.point]);
        before = mark.at;
    }
    table.render(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_count_from_the_first_step_and_from_the_one_before() {
        let mark = |at, point: &str| Mark { at, pid: 7, point: point.to_owned() };
        let text = table(&[mark(5_000_000, "asked"), mark(6_500_000, "made"), mark(9_000_000, "the end")]);
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[1], ["0.00", "0.00", "7", "asked"]);
        assert_eq!(rows[2], ["1.50", "1.50", "7", "made"]);
        assert_eq!(rows[3], ["4.00", "2.50", "7", "the", "end"]);
    }
}
