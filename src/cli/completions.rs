//! Completion scripts and manual pages, made from the same description of the command line that parses it.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::args::Cli;

/// Writes the script for a shell.
pub fn write(shell: Shell, out: &mut impl Write) -> io::Result<()> {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "berth", &mut script);
    out.write_all(&script)
}

/// Writes a page for each command into a directory, `berth-service-create.1`.
pub fn write_manual(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    clap_mangen::generate_to(Cli::command(), directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_that_is_shown_has_a_page() {
        let directory = tempfile::tempdir().unwrap();
        write_manual(directory.path()).unwrap();
        let page = |name: &str| fs::read_to_string(directory.path().join(format!("{name}.1"))).unwrap_or_default();
        assert!(page("berth").contains("after a boot or a crash") || page("berth").contains("After a boot or a crash"));
        assert!(page("berth-service-create").contains("desired\\-count"));
        assert!(!directory.path().join("berth-man.1").exists() && !directory.path().join("berth-help.1").exists());
        let command = Cli::command();
        for shown in command.get_subcommands().filter(|one| !one.is_hide_set()) {
            assert!(page(&format!("berth-{}", shown.get_name())).len() > 100, "{}", shown.get_name());
        }
    }

    #[test]
    fn every_shell_has_a_script_that_knows_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            write(shell, &mut script).unwrap();
            let script = String::from_utf8(script).unwrap();
            assert!(["describe", "doctor", "no-stream"].iter().all(|word| script.contains(word)), "{shell}");
        }
    }
}
