//! Tables for people: a heading in capitals, columns without borders, and on a terminal that is too narrow a last column
//! that is broken into lines.

use comfy_table::{ColumnConstraint, ContentArrangement, Width, presets};

use super::plain::plain;

/// The least that a broken column is worth: below it the terminal breaks the lines itself.
const MIN_WIDTH: u16 = 20;

/// Rows below a heading.
#[derive(Debug)]
pub struct Table {
    table: comfy_table::Table,
}

impl Table {
    /// A table without rows.
    pub fn new<const N: usize>(heading: [&str; N]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_header(heading);
        for column in table.column_iter_mut() {
            column.set_padding((0, 3));
        }
        Self { table }
    }

    /// Adds a row. Control characters in it are made visible.
    pub fn row<const N: usize>(&mut self, cells: [&str; N]) {
        self.table.add_row(cells.map(|cell| plain(cell).into_owned()));
    }

    /// The text, with a newline at the end. `width` is the terminal's; without it, lines are as long as they are.
    pub fn render(mut self, width: Option<u16>) -> String {
        let widths = self.table.column_max_content_widths();
        let others: u32 = widths.iter().rev().skip(1).map(|width| u32::from(*width) + 3).sum();
        let room = width.and_then(|width| u16::try_from(u32::from(width).checked_sub(others)?).ok());
        if let (Some(room), Some(last)) = (room.filter(|room| *room >= MIN_WIDTH), self.table.column_iter_mut().last())
        {
            last.set_padding((0, 0)).set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(room)));
            self.table.set_content_arrangement(ContentArrangement::Dynamic);
            self.table.set_width(width.unwrap_or(u16::MAX));
        }
        let mut text = self.table.trim_fmt();
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks() -> Table {
        let mut table = Table::new(["TASK", "STATUS", "REASON"]);
        table.row(["3f2a", "RUNNING", ""]);
        table.row(["77c0d1", "STOPPED", "Essential container in task exited, and this goes on"]);
        table
    }

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        assert_eq!(
            tasks().render(None),
            "TASK     STATUS    REASON\n\
             3f2a     RUNNING\n\
             77c0d1   STOPPED   Essential container in task exited, and this goes on\n"
        );
    }

    #[test]
    fn the_last_column_is_broken_where_the_terminal_ends() {
        let text = tasks().render(Some(50));
        assert!(text.lines().all(|line| line.len() <= 50), "{text}");
        assert!(text.lines().count() > 3 && text.contains("77c0d1   STOPPED   Essential"), "{text}");
    }

    #[test]
    fn a_terminal_that_is_far_too_narrow_breaks_lines_itself() {
        assert_eq!(tasks().render(Some(20)), tasks().render(None));
    }

    #[test]
    fn what_is_in_a_cell_cannot_speak_to_the_terminal() {
        let mut table = Table::new(["A"]);
        table.row(["x\u{1b}[31m\ny"]);
        assert_eq!(table.render(None), "A\nx\\u{1b}[31m\\ny\n");
    }
}
