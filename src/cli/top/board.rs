//! What `berth top` shows, and what keys do to it. No terminal and no clock here.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::cli::args::Order;

/// What was read of a task at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) id: String,
    /// The service, or the family of a task without one.
    pub(super) group: String,
    pub(super) status: String,
    pub(super) health: String,
    pub(super) created_at: i64,
    pub(super) restarts: u32,
    /// CPU time in nanoseconds, and the limit in CPU units.
    pub(super) cpu_ns: u64,
    pub(super) cpu_limit: Option<u32>,
    pub(super) memory: u64,
    pub(super) memory_peak: Option<u64>,
    pub(super) memory_limit: Option<u64>,
    /// Bytes that came and went.
    pub(super) network: (u64, u64),
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) of: Reading,
    /// CPUs in use.
    pub(super) cpus: f64,
    /// Bytes a second that come and go.
    pub(super) rates: (f64, f64),
}

impl Line {
    /// The share of the CPU limit; of one CPU where there is none.
    pub(super) fn cpu_share(&self) -> f64 {
        self.cpus / self.of.cpu_limit.map_or(1.0, |units| f64::from(units) / 1024.0)
    }

    /// The share of the memory limit.
    pub(super) fn memory_share(&self) -> f64 {
        self.of.memory_limit.map_or(0.0, |limit| self.of.memory as f64 / limit as f64)
    }
}

/// A key, as far as it means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Letter(char),
    Up,
    Down,
    Enter,
    Escape,
    Erase,
}

/// What is to be done after a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Do {
    Nothing,
    /// Show the logs of this task.
    Logs(String),
    End,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Board {
    all: Vec<Line>,
    before: HashMap<String, (u64, (u64, u64))>,
    pub(super) order: Order,
    pub(super) reversed: bool,
    pub(super) filter: String,
    /// Whether letters go into the filter.
    pub(super) typing: bool,
    selected: Option<String>,
}

impl Board {
    pub(super) fn new(order: Order, filter: &str) -> Self {
        Self {
            all: Vec::new(),
            before: HashMap::new(),
            order,
            reversed: false,
            filter: filter.to_owned(),
            typing: false,
            selected: None,
        }
    }

    /// Takes new readings, so many seconds after the last ones.
    pub(super) fn update(&mut self, readings: Vec<Reading>, seconds: f64) {
        let before = std::mem::take(&mut self.before);
        let line = |of: Reading| {
            let (cpu, network) = before.get(&of.id).copied().unwrap_or((of.cpu_ns, of.network));
            let rate =
                |now: u64, then: u64| if seconds > 0.0 { now.saturating_sub(then) as f64 / seconds } else { 0.0 };
            let cpus = rate(of.cpu_ns, cpu) / 1e9;
            let rates = (rate(of.network.0, network.0), rate(of.network.1, network.1));
            Line { of, cpus, rates }
        };
        self.before = readings.iter().map(|of| (of.id.clone(), (of.cpu_ns, of.network))).collect();
        self.all = readings.into_iter().map(line).collect();
    }

    /// The lines that are shown, in their order.
    pub(super) fn lines(&self) -> Vec<&Line> {
        let wanted = self.filter.to_lowercase();
        let fits = |line: &&Line| {
            let Reading { id, group, status, health, .. } = &line.of;
            [id, group, status, health].iter().any(|text| text.to_lowercase().contains(&wanted))
        };
        let mut lines: Vec<&Line> = self.all.iter().filter(fits).collect();
        lines.sort_by(|one, two| {
            let order = compare(self.order, one, two);
            let order = if self.reversed { order.reverse() } else { order };
            order.then_with(|| one.of.id.cmp(&two.of.id))
        });
        lines
    }

    /// The place of the line that is selected.
    pub(super) fn selected(&self) -> Option<usize> {
        let lines = self.lines();
        let found = lines.iter().position(|line| Some(&line.of.id) == self.selected.as_ref());
        found.or_else(|| (!lines.is_empty()).then_some(0))
    }

    pub(super) fn press(&mut self, key: Key) -> Do {
        match key {
            Key::Up => self.step(-1),
            Key::Down => self.step(1),
            Key::Enter if self.typing => self.typing = false,
            Key::Escape if self.typing => (self.typing, self.filter) = (false, String::new()),
            Key::Erase if self.typing => drop(self.filter.pop()),
            Key::Letter(letter) if self.typing => self.filter.push(letter),
            Key::Enter | Key::Letter('l') => {
                let lines = self.lines();
                let line = self.selected().and_then(|place| lines.get(place));
                return line.map_or(Do::Nothing, |line| Do::Logs(line.of.id.clone()));
            }
            Key::Escape | Key::Letter('q') => return Do::End,
            Key::Letter('/') => self.typing = true,
            Key::Letter('c') => self.sort(Order::Cpu),
            Key::Letter('m') => self.sort(Order::Memory),
            Key::Letter('n') => self.sort(Order::Network),
            Key::Letter('r') => self.sort(Order::Restarts),
            Key::Letter('a') => self.sort(Order::Age),
            Key::Letter(_) | Key::Erase => {}
        }
        Do::Nothing
    }

    fn sort(&mut self, order: Order) {
        self.reversed = self.order == order && !self.reversed;
        self.order = order;
    }

    fn step(&mut self, by: isize) {
        let lines = self.lines();
        let place = self.selected().unwrap_or_default().saturating_add_signed(by).min(lines.len().saturating_sub(1));
        self.selected = lines.get(place).map(|line| line.of.id.clone());
    }
}

/// The most first; of ages the youngest.
fn compare(order: Order, one: &Line, two: &Line) -> Ordering {
    let rate = |line: &Line| line.rates.0 + line.rates.1;
    match order {
        Order::Cpu => two.cpu_share().total_cmp(&one.cpu_share()),
        Order::Memory => two.memory_share().total_cmp(&one.memory_share()),
        Order::Network => rate(two).total_cmp(&rate(one)),
        Order::Restarts => two.of.restarts.cmp(&one.of.restarts),
        Order::Age => two.of.created_at.cmp(&one.of.created_at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(id: &str, group: &str, cpu_ns: u64, memory: u64) -> Reading {
        Reading {
            id: id.into(),
            group: group.into(),
            status: "RUNNING".into(),
            cpu_ns,
            cpu_limit: Some(512),
            memory,
            memory_limit: Some(1000),
            ..Reading::default()
        }
    }

    fn board() -> Board {
        let mut board = Board::new(Order::Cpu, "");
        board.update(vec![reading("a", "service:web", 0, 100), reading("b", "family:job", 0, 900)], 0.0);
        board.update(vec![reading("a", "service:web", 1_000_000_000, 100), reading("b", "family:job", 0, 900)], 2.0);
        board
    }

    fn ids(board: &Board) -> Vec<&str> {
        board.lines().iter().map(|line| line.of.id.as_str()).collect()
    }

    #[test]
    fn shares_are_of_the_limit_and_over_the_time_between_two_readings() {
        let board = board();
        let lines = board.lines();
        assert_eq!((lines[0].cpus, lines[0].cpu_share(), lines[1].memory_share()), (0.5, 1.0, 0.9));
    }

    #[test]
    fn a_key_sorts_and_again_turns_round() {
        let mut board = board();
        assert_eq!(ids(&board), ["a", "b"]);
        board.press(Key::Letter('m'));
        assert_eq!(ids(&board), ["b", "a"]);
        board.press(Key::Letter('m'));
        assert_eq!(ids(&board), ["a", "b"]);
    }

    #[test]
    fn a_filter_is_typed_and_what_is_selected_stays_selected() {
        let mut board = board();
        board.press(Key::Down);
        assert_eq!(board.press(Key::Letter('l')), Do::Logs("b".into()));
        board.press(Key::Letter('m'));
        assert_eq!(board.selected(), Some(0), "the same task, at another place");
        "/web".chars().for_each(|letter| drop(board.press(Key::Letter(letter))));
        assert_eq!(ids(&board), ["a"]);
        assert_eq!(board.press(Key::Enter), Do::Nothing, "it ends the typing");
        assert_eq!(board.press(Key::Enter), Do::Logs("a".into()));
        board.press(Key::Letter('/'));
        board.press(Key::Erase);
        board.press(Key::Letter('x'));
        assert!(ids(&board).is_empty() && board.selected().is_none());
        board.press(Key::Escape);
        assert_eq!(ids(&board).len(), 2);
        assert_eq!(board.press(Key::Escape), Do::End);
    }
}
