//! `berth fields`: the table of what berth does with each member of a task definition.

use super::args::Fields;
use super::error::Failure;
use super::output::Output;
use super::table::Table;
use crate::ops::{FieldRow, field_rows};

pub(super) fn fields(args: &Fields, output: Output) -> Result<(), Failure> {
    let rows: Vec<FieldRow> = field_rows().into_iter().filter(|row| is_asked_for(&row.field, &args.names)).collect();
    if rows.is_empty() {
        let names = args.names.join(" or ");
        let words = format!("no member of a task definition has {names} in its name: `berth fields` lists them all");
        return Err(Failure::Failed(words.into()));
    }
    Ok(output.print(&rows, |rows| table(rows))?)
}

/// Each member below the ones that it is in, whether or not these were asked for.
fn table(rows: &[FieldRow]) -> Table {
    let mut table = Table::new(["FIELD", "FARGATE", "BERTH", "REMARK"]);
    let mut above: Vec<&str> = Vec::new();
    for row in rows {
        let steps: Vec<&str> = row.field.split('.').collect();
        let (last, around) = steps.split_last().expect("a name has a part");
        let known = around.iter().zip(&above).take_while(|(step, known)| bare(step) == bare(known)).count();
        for (depth, step) in around.iter().enumerate().skip(known) {
            table.row([&indented(depth, step), "", "", ""]);
        }
        table.row([&indented(around.len(), last), &row.fargate, &row.berth, &row.remark]);
        above = steps;
    }
    table
}

/// A list's name and that of its elements are one in the table.
fn bare(step: &str) -> &str {
    step.trim_end_matches("[]")
}

fn indented(depth: usize, name: &str) -> String {
    format!("{:width$}{name}", "", width = 2 * depth)
}

/// Whether one of the patterns is in the name; without patterns every name is asked for.
fn is_asked_for(field: &str, patterns: &[String]) -> bool {
    let field = field.to_ascii_lowercase();
    patterns.is_empty() || patterns.iter().any(|pattern| contains(&field, &pattern.to_ascii_lowercase()))
}

/// The parts of a pattern between its asterisks, one behind the other.
fn contains(mut text: &str, pattern: &str) -> bool {
    pattern.split('*').all(|part| match text.find(part) {
        Some(at) => {
            text = &text[at + part.len()..];
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stand_below_those_that_they_are_in() {
        let rows: Vec<_> = field_rows().into_iter().filter(|row| row.field.contains("tmpfs")).collect();
        let text = table(&rows).render(None);
        let names: Vec<_> = text.lines().filter_map(|line| line.split("  ").find(|word| !word.is_empty())).collect();
        let expected =
            ["FIELD", "containerDefinitions[]", "linuxParameters", "tmpfs", "containerPath", "size", "mountOptions"];
        assert_eq!(names, expected, "{text}");
        assert!(text.contains("\n    tmpfs ") && text.contains("\n      size "), "{text}");
    }

    #[test]
    fn a_member_is_found_by_a_part_of_its_name() {
        let asked = |pattern: &str| is_asked_for("containerDefinitions[].healthCheck.interval", &[pattern.to_owned()]);
        for pattern in ["healthCheck", "HEALTHCHECK", "health*val", "", "*", "[].health"] {
            assert!(asked(pattern), "{pattern}");
        }
        for pattern in ["intervals", "val*health", "healthcheckk"] {
            assert!(!asked(pattern), "{pattern}");
        }
        assert!(is_asked_for("cpu", &[]));
    }
}
