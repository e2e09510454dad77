//! `berth top` on a real terminal: tmux is the terminal, its screen is read, its keys are typed.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::support::root::Root;
use crate::support::{binary, definition, eventually};

const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal with one program in it. It ends with this.
struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    fn start(root: &Root) -> Self {
        let this = Self { socket: root.path().join("tmux") };
        let (program, place) = (binary(), root.path());
        let command = format!("'{}' --root '{}' top; echo ended: $?; sleep 600", program.display(), place.display());
        this.tmux(&["new-session", "-d", "-x", "180", "-y", "20", &command]);
        this
    }

    fn tmux(&self, args: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command
            .arg("-S")
            .arg(&self.socket)
            .args(["-f", "/dev/null"])
            .args(args)
            .env("TERM", "xterm")
            .env("LC_ALL", "C.UTF-8");
        let output = command.output().expect("tmux is installed: see the packages in the Makefile");
        assert!(output.status.success(), "tmux {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// The screen, when it is as it should be.
    fn until(&self, what: &str, is: impl Fn(&str) -> bool) -> String {
        eventually(PATIENCE, what, || Some(self.tmux(&["capture-pane", "-p"])).filter(|screen| is(screen)))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").arg("-S").arg(&self.socket).arg("kill-server").status();
    }
}

#[test]
fn top_shows_sorts_filters_and_leads_to_the_logs() {
    let root = Root::with_images(&["probe"]);
    let [busy, calm] = [("busy", &["spin"][..]), ("calm", &["trap", "TERM"][..])].map(|(family, command)| {
        let mut definition = definition(&[("app", command)]);
        definition["family"] = family.into();
        definition["containerDefinitions"][0]["stopTimeout"] = 2.into();
        root.run_detached(&definition)
    });
    let short = |id: &str| id[..12].to_owned();
    let (busy, calm_id) = (short(&busy.id), short(&calm.id));
    let first = |screen: &str| screen.lines().nth(2).unwrap_or_default().to_owned();
    let terminal = Terminal::start(&root);
    // By CPU: the one that spins, with its limit beside it.
    let screen = terminal.until("the busy task is on top", |screen| {
        first(screen).starts_with(&busy) && screen.contains(&calm_id) && screen.contains("2 tasks")
    });
    for word in ["OF LIMIT", "MEMORY / LIMIT (PEAK)", "RESTARTS", "family:busy", "RUNNING", "512 MiB"] {
        assert!(screen.contains(word), "{word}: {screen}");
    }
    terminal.press(&["a"]);
    terminal.until("it is sorted by age", |screen| screen.contains("by age"));
    terminal.press(&["/", "c", "a", "l", "m", "Enter"]);
    terminal.until("one is left", |screen| screen.contains("1 tasks") && !screen.contains(&busy));
    terminal.press(&["l"]);
    terminal.until("its logs", |screen| screen.contains(&format!("logs of {calm_id}")));
    terminal.press(&["C-c"]);
    terminal.until("the board is back", |screen| screen.contains("q quit"));
    terminal.press(&["q"]);
    terminal.until("it has ended", |screen| screen.contains("ended: 0"));
}
