//! The nearest known name to an unknown one, for "did you mean". Pure text.

/// Names longer than this are not compared: no member's name is.
const LONGEST: usize = 64;

/// The known name that is most like `name`, if any is like it at all.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LONGEST {
        return None;
    }
    let lower = name.to_ascii_lowercase();
    known
        .into_iter()
        .map(|candidate| (distance(&lower, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(4))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many insertions, deletions, replacements and swaps of neighbours lead from one text to the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(rows[i - 2][j - 2] + 1);
            }
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 5] = ["memory", "memoryReservation", "portMappings", "cpu", "name"];

    #[test]
    fn a_slip_finds_the_name_that_was_meant() {
        for (slip, meant) in [("memroy", "memory"), ("PortMappings", "portMappings"), ("portMapping", "portMappings")] {
            assert_eq!(nearest(slip, KNOWN), Some(meant));
        }
    }

    #[test]
    fn an_unrelated_name_finds_nothing() {
        for name in ["x", "", "restart", "portmapsarefun", &"a".repeat(1000)] {
            assert_eq!(nearest(name, KNOWN), None, "{name}");
        }
    }
}
