//! `berth top`: what tasks use, on the whole terminal.

mod board;
mod draw;

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};

use self::board::{Board, Do, Key, Reading};
use super::args::{Format, Logs, Look, Top};
use super::error::Failure;
use super::input::TaskName;
use crate::ops::{Engine, LastStatus, TaskRecord};

/// The time between two readings.
const INTERVAL: Duration = Duration::from_secs(1);
/// So many of its last lines are shown of a task's logs.
const LINES: u64 = 200;

pub(super) fn top(engine: &mut Engine, args: &Top) -> Result<(), Failure> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Failure::Failed(
            "top needs a terminal: berth stats --no-stream prints the same figures once".into(),
        ));
    }
    let mut board = Board::new(args.sort, &args.filter);
    board.update(readings(engine)?, 0.0);
    loop {
        let mut terminal = ratatui::init();
        let wish = watch(engine, &mut board, &mut terminal);
        ratatui::restore();
        match wish? {
            Do::Logs(id) => show_logs(engine, &id)?,
            Do::Nothing | Do::End => return Ok(()),
        }
    }
}

/// Shows the board until somebody wants something else.
fn watch(engine: &mut Engine, board: &mut Board, terminal: &mut DefaultTerminal) -> Result<Do, Failure> {
    let mut read_at = Instant::now();
    loop {
        terminal.draw(|frame| draw::draw(frame, board))?;
        if event::poll(INTERVAL.saturating_sub(read_at.elapsed()))? {
            match event::read()? {
                Event::Key(key) if key.kind == KeyEventKind::Press => {
                    let ends = key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c');
                    let wish = key_of(key.code).map_or(Do::Nothing, |key| board.press(key));
                    if ends || wish != Do::Nothing {
                        return Ok(if ends { Do::End } else { wish });
                    }
                }
                _ => {} // another size of the terminal: the next picture has it
            }
        }
        if read_at.elapsed() >= INTERVAL {
            board.update(readings(engine)?, read_at.elapsed().as_secs_f64());
            read_at = Instant::now();
        }
    }
}

fn key_of(code: KeyCode) -> Option<Key> {
    Some(match code {
        KeyCode::Char(letter) => Key::Letter(letter),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Erase,
        _ => return None,
    })
}

/// The logs as `berth logs -f` shows them; Ctrl-C leads back.
fn show_logs(engine: &mut Engine, id: &str) -> Result<(), Failure> {
    let task: TaskName = id.parse().map_err(|_| Failure::Failed(format!("{id} is no task's id").into()))?;
    let args = Logs {
        follow: true,
        tail: Some(LINES),
        since: None,
        container: None,
        look: Look { timestamps: false, raw: false },
        group: None,
        stream: None,
        status: false,
        create: false,
        task: Some(task),
    };
    super::output::write(&format!("logs of {id:.12}; Ctrl-C goes back\n"))?;
    super::logs::logs(engine, &args, Some(Format::Table))
}

fn readings(engine: &mut Engine) -> Result<Vec<Reading>, Failure> {
    let mut all = Vec::new();
    for record in engine.live_tasks()?.iter().filter(|record| record.state.last_status < LastStatus::Deprovisioning) {
        let Some(usage) = engine.usage(record)? else { continue };
        all.push(reading(record, &usage.usage, engine.network_bytes(record)));
    }
    Ok(all)
}

fn reading(record: &TaskRecord, usage: &crate::ops::Usage, network: (u64, u64)) -> Reading {
    let view = record.view();
    let word = |value: serde_json::Result<serde_json::Value>| {
        value.ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    };
    Reading {
        id: record.plan.id.clone(),
        group: view.group.clone().unwrap_or_default(),
        status: word(serde_json::to_value(view.last_status)),
        health: word(serde_json::to_value(view.health_status)),
        created_at: record.plan.created_at,
        restarts: record.state.containers.iter().map(|container| container.restarts).sum(),
        cpu_ns: usage.cpu_ns,
        cpu_limit: record.plan.cpu.as_deref().and_then(|units| units.parse().ok()),
        memory: usage.memory_bytes,
        memory_peak: usage.memory_peak,
        memory_limit: usage.memory_limit,
        network,
    }
}
