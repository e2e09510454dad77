//! Sizes and shares as people read them: `1.5 MiB`, `12.3%`.

/// Bytes in binary units with at most one decimal, four characters of number at most: `0 B`, `1023 B`, `1.5 KiB`, `512 MiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    // From 1023.95 on, a number of a unit would be shown as 1024.0.
    let mut amount = count as f64 / 1024.0;
    let mut unit = 0;
    while amount >= 1023.95 {
        amount /= 1024.0;
        unit += 1;
    }
    let text = format!("{amount:.1}");
    format!("{} {}", text.strip_suffix(".0").unwrap_or(&text), UNITS[unit])
}

/// Bytes of a limit: `12.5 MiB / 512 MiB`; without one `12.5 MiB / -`.
pub fn of_limit(used: u64, limit: Option<u64>) -> String {
    format!("{} / {}", bytes(used), limit.map_or_else(|| "-".to_owned(), bytes))
}

/// A share in percent: 1.0 is `100.0%`.
pub fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units_and_one_decimal_at_most() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (1024 * 1024 - 1, "1 MiB"),
            (512 << 20, "512 MiB"),
            (u64::MAX, "16 EiB"),
        ];
        for (count, text) in cases {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn a_share_of_a_limit_names_both() {
        assert_eq!(of_limit(1 << 20, Some(512 << 20)), "1 MiB / 512 MiB");
        assert_eq!(of_limit(1 << 20, None), "1 MiB / -");
        assert_eq!(percent(0.25), "25.0%");
    }
}
