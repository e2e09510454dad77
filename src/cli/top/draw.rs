//! The picture of `berth top`.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::widgets::{Paragraph, Row, Table, TableState};

use super::board::{Board, Line};
use crate::cli::age::ago;
use crate::cli::args::Order;
use crate::cli::plain::plain;
use crate::cli::size::{bytes, of_limit, percent};

const HEADING: [&str; 10] = [
    "TASK",
    "GROUP",
    "STATUS",
    "HEALTH",
    "CPU",
    "OF LIMIT",
    "MEMORY / LIMIT (PEAK)",
    "NET IN / OUT",
    "RESTARTS",
    "AGE",
];
const WIDTHS: [Constraint; 10] = [
    Constraint::Length(12),
    Constraint::Min(16),
    Constraint::Length(14),
    Constraint::Length(9),
    Constraint::Length(6),
    Constraint::Length(8),
    Constraint::Length(32),
    Constraint::Length(26),
    Constraint::Length(8),
    Constraint::Length(14),
];

pub(super) fn draw(frame: &mut Frame, board: &Board) {
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)]).areas(frame.area());
    let lines = board.lines();
    frame.render_widget(Paragraph::new(summary(board, &lines)), head);
    let now = jiff::Timestamp::now().as_millisecond();
    let rows = lines.iter().map(|line| row(line, now));
    let strong = Style::new().add_modifier(Modifier::BOLD);
    let table = Table::new(rows, WIDTHS)
        .header(Row::new(HEADING).style(strong))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected(board.selected());
    frame.render_stateful_widget(table, body, &mut state);
    let keys = match board.typing {
        true => format!("filter: {}_   Enter keeps it, Esc clears it", board.filter),
        false => "c cpu  m memory  n network  r restarts  a age  / filter  l logs  q quit".to_owned(),
    };
    frame.render_widget(Paragraph::new(keys), foot);
}

fn summary(board: &Board, lines: &[&Line]) -> String {
    let cpus: f64 = lines.iter().map(|line| line.cpus).sum();
    let memory: u64 = lines.iter().map(|line| line.of.memory).sum();
    let order = match board.order {
        Order::Cpu => "cpu",
        Order::Memory => "memory",
        Order::Network => "network",
        Order::Restarts => "restarts",
        Order::Age => "age",
    };
    let filter = if board.filter.is_empty() { String::new() } else { format!(", with {:?}", board.filter) };
    let turned = if board.reversed { " (turned round)" } else { "" };
    format!("{} tasks{filter}   {cpus:.2} CPUs   {}   by {order}{turned}", lines.len(), bytes(memory))
}

fn row(line: &Line, now: i64) -> Row<'static> {
    let of = &line.of;
    let peak = of.memory_peak.map(|peak| format!(" ({})", bytes(peak))).unwrap_or_default();
    let rate = |rate: f64| format!("{}/s", bytes(rate as u64));
    Row::new([
        format!("{:.12}", of.id),
        plain(&of.group).into_owned(),
        of.status.clone(),
        of.health.clone(),
        format!("{:.2}", line.cpus),
        if of.cpu_limit.is_some() { percent(line.cpu_share()) } else { "-".to_owned() },
        format!("{}{peak}", of_limit(of.memory, of.memory_limit)),
        format!("{} / {}", rate(line.rates.0), rate(line.rates.1)),
        of.restarts.to_string(),
        ago(of.created_at, now),
    ])
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::board::Reading;
    use super::*;

    #[test]
    fn every_figure_is_on_the_picture_and_names_cannot_speak_to_the_terminal() {
        let mut board = Board::new(Order::Cpu, "");
        let reading = Reading {
            id: "3f2a".into(),
            group: "service:w\u{1b}eb".into(),
            status: "RUNNING".into(),
            health: "HEALTHY".into(),
            cpu_limit: Some(256),
            memory: 64 << 20,
            memory_peak: Some(128 << 20),
            memory_limit: Some(512 << 20),
            restarts: 3,
            ..Reading::default()
        };
        board.update(vec![Reading { cpu_ns: 0, ..reading.clone() }], 0.0);
        board.update(vec![Reading { cpu_ns: 250_000_000, network: (2048, 0), ..reading }], 1.0);
        let mut terminal = Terminal::new(TestBackend::new(170, 5)).unwrap();
        terminal.draw(|frame| draw(frame, &board)).unwrap();
        let text: String = terminal.backend().buffer().content().iter().map(|cell| cell.symbol()).collect();
        for part in [
            "3f2a",
            "service:w\\u{1b}eb",
            "RUNNING",
            "HEALTHY",
            "0.25",
            "100.0%",
            "64 MiB / 512 MiB (128 MiB)",
            "0 B/s",
            "1 tasks",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains('\u{1b}'));
    }
}
