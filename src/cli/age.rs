//! Spans of time as people read them: `3 minutes`, `2 days`. One unit is enough for a table.

/// A span in its largest unit, rounded down: `1 second`, `59 minutes`, `2 days`. Weeks begin at two, years at two.
pub fn span(seconds: u64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    const WEEK: u64 = 7 * DAY;
    const YEAR: u64 = 365 * DAY;
    let (count, unit) = match seconds {
        0 => return "less than a second".to_owned(),
        1..MINUTE => (seconds, "second"),
        MINUTE..HOUR => (seconds / MINUTE, "minute"),
        HOUR..DAY => (seconds / HOUR, "hour"),
        _ if seconds < 2 * WEEK => (seconds / DAY, "day"),
        _ if seconds < 2 * YEAR => (seconds / WEEK, "week"),
        _ => (seconds / YEAR, "year"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// How long ago something was, from milliseconds since the epoch. A clock that was set back makes it just now.
pub fn ago(then_ms: i64, now_ms: i64) -> String {
    let millis = now_ms.saturating_sub(then_ms);
    format!("{} ago", span(u64::try_from(millis / 1000).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_one_number_and_one_unit() {
        let cases = [
            (0, "less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "1 minute"),
            (3599, "59 minutes"),
            (7200, "2 hours"),
            (86_400, "1 day"),
            (13 * 86_400, "13 days"),
            (14 * 86_400, "2 weeks"),
            (365 * 86_400, "52 weeks"),
            (730 * 86_400, "2 years"),
        ];
        for (seconds, text) in cases {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn the_future_is_just_now() {
        assert_eq!(ago(10_000, 5_000), "less than a second ago");
        assert_eq!(ago(0, 180_000), "3 minutes ago");
    }
}
