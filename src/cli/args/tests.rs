//! Command lines, and what they are parsed into.

use clap::CommandFactory;
use clap::error::ErrorKind;

use super::*;

fn parse(words: &str) -> Result<Command, clap::Error> {
    Cli::try_parse_from(words.split_whitespace()).map(|cli| cli.command)
}

fn refused(words: &str) -> ErrorKind {
    parse(words).unwrap_err().kind()
}

#[test]
fn the_description_of_the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn what_follows_the_task_of_an_exec_belongs_to_the_command() {
    for words in ["berth exec -it 3f2a ls -l --root /x", "berth exec -it 3f2a -- ls -l --root /x"] {
        let Ok(Command::Exec(exec)) = parse(words) else { panic!("{words}") };
        assert!(exec.interactive && exec.tty);
        assert_eq!(exec.command, ["ls", "-l", "--root", "/x"]);
    }
    let Ok(Command::Exec(exec)) = parse("berth exec -u app -w /tmp -e A=1 -e B= 3f2a env") else { panic!() };
    assert_eq!(exec.env.len(), 2);
    assert_eq!(refused("berth exec 3f2a"), ErrorKind::MissingRequiredArgument);
}

#[test]
fn a_file_may_be_standard_input_and_a_path_any_bytes() {
    let Ok(Command::Run(run)) = parse("berth run -d -") else { panic!() };
    assert!(run.detach && run.file == Input::Stdin);
    let Ok(Command::Lint(lint)) = parse("berth lint a.json ./-") else { panic!() };
    assert_eq!(lint.files[1], Input::Path("./-".into()));
}

#[test]
fn global_options_stand_before_and_behind_the_command() {
    for words in ["berth --root /x --format json ps", "berth ps --root /x --format json"] {
        let cli = Cli::try_parse_from(words.split_whitespace()).unwrap();
        assert_eq!((cli.root, cli.format), (Some(PathBuf::from("/x")), Some(Format::Json)));
    }
}

#[test]
fn logs_take_a_tail_and_a_time() {
    let Ok(Command::Logs(logs)) = parse("berth logs -f -n 5 --since 10m -c web --timestamps 3f2a") else { panic!() };
    assert!(logs.follow && logs.tail == Some(5) && logs.since.is_some() && logs.look.timestamps && !logs.look.raw);
    assert_eq!(refused("berth logs --since yesterday 3f2a"), ErrorKind::ValueValidation);
}

#[test]
fn removing_needs_tasks_or_the_stopped_ones() {
    assert!(parse("berth rm --stopped").is_ok() && parse("berth rm -f 3f2a 77c0").is_ok());
    assert_eq!(refused("berth rm"), ErrorKind::MissingRequiredArgument);
    assert_eq!(refused("berth rm --stopped 3f2a"), ErrorKind::ArgumentConflict);
}

#[test]
fn images_are_pulled_by_name_and_for_this_host_alone() {
    let Ok(Command::Image(Image::Pull(pull))) = parse("berth image pull -q nginx redis:7") else { panic!() };
    assert!(pull.quiet && pull.images == ["nginx", "redis:7"]);
    assert_eq!(refused("berth image pull"), ErrorKind::MissingRequiredArgument);
    assert_eq!(refused("berth image pull --platform linux/arm64 nginx"), ErrorKind::UnknownArgument);
}

#[test]
fn a_password_is_typed_or_read_and_never_an_argument() {
    let Ok(Command::Image(Image::Login(login))) = parse("berth image login -u me --password-stdin ghcr.io") else {
        panic!()
    };
    assert!(login.password_stdin && login.username.as_deref() == Some("me") && login.registry == "ghcr.io");
    assert_eq!(refused("berth image login --password-stdin ghcr.io"), ErrorKind::MissingRequiredArgument);
    assert_eq!(refused("berth image login -u me -p secret ghcr.io"), ErrorKind::UnknownArgument);
}

#[test]
fn a_task_that_cannot_be_one_is_refused_at_once() {
    assert_eq!(refused("berth stop web"), ErrorKind::ValueValidation);
}

#[test]
fn every_command_and_option_has_a_help_text() {
    fn check(command: &clap::Command) {
        assert!(command.get_about().is_some(), "{}", command.get_name());
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
        }
        command.get_subcommands().for_each(check);
    }
    check(&Cli::command());
}
