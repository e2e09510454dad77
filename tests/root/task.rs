//! One task from outside: what `berth run` answers, how it ends, and that it can be reached.

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::support::root::Root;
use crate::support::{definition, eventually};

#[test]
fn the_exit_code_of_a_run_in_the_foreground_is_the_essential_containers() {
    let root = Root::with_images(&["probe"]);
    assert_eq!(root.run(&definition(&[("web", &["exit", "7"])])).code(), 7);
    let finished = root.run(&definition(&[("web", &["exit", "0"])]));
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
}

#[test]
fn a_run_in_the_foreground_shows_the_output_of_every_container() {
    let root = Root::with_images(&["probe"]);
    let finished = root.run(&definition(&[("web", &["print", "hello"]), ("db", &["print", "there"])]));
    assert!(finished.took < Duration::from_secs(5), "{finished:#?}");
    let text = finished.ok();
    let has = |name: &str, word: &str| text.lines().any(|line| line.contains(name) && line.contains(word));
    assert!(has("web", "hello") && has("db", "there"), "{text}");
}

#[test]
fn a_task_answers_at_its_own_address_until_it_is_stopped() {
    let root = Root::with_images(&["probe"]);
    let task = root.run_detached(&definition(&[("web", &["listen", "80", "hello"])]));
    let address = format!("{}:80", task.address());
    let mut stream = eventually(Duration::from_secs(10), "it answers", || TcpStream::connect(&address).ok());
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello\n");
    root.stop(&task);
    let record = eventually(Duration::from_secs(10), "it is STOPPED", || {
        let record = root.describe(&task);
        (record["lastStatus"] == "STOPPED").then_some(record)
    });
    assert_eq!(record["stopCode"], json!("UserInitiated"), "{record:#}");
}
