//! The bands of the crate as a test: reads every file under `src/` and fails, with file, line and rule, on an import
//! that the bands forbid, on anything impure in band 1, on `unsafe` outside `src/sys`, on a file without a header or of
//! more than 400 lines. `source` reads Rust, `rules` knows the bands.

mod rules;
mod source;

use std::fs;
use std::path::{Path, PathBuf};

use rules::check;

#[test]
fn the_bands_hold() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join("src"), &mut files);
    assert!(files.len() > 10, "found only {} files under src", files.len());
    let mut broken = Vec::new();
    for file in files {
        let name = file.strip_prefix(root).unwrap().to_str().unwrap();
        broken.extend(check(name, &fs::read_to_string(&file).unwrap()));
    }
    assert!(broken.is_empty(), "{} rules broken:\n{}", broken.len(), broken.join("\n"));
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
}

/// The rules that a made-up file breaks, without the file's name.
fn broken(file: &str, source: &str) -> Vec<String> {
    let found = check(file, &format!("//! A file.\n{source}"));
    found.into_iter().map(|line| line.strip_prefix(file).unwrap().to_owned()).collect()
}

#[test]
fn an_import_upwards_is_found_with_its_line() {
    assert_eq!(broken("src/net/nft.rs", "\nuse crate::ops::Engine;"), [":3: net (band 2) may not import ops (band 4)"]);
}

#[test]
fn an_import_downwards_is_allowed() {
    assert!(broken("src/net/nft.rs", "use crate::plan::NetworkPlan;\nuse crate::sys::netns;").is_empty());
    assert!(broken("src/worker/mod.rs", "use crate::{image, net::up, runtime::cgroup};").is_empty());
    assert!(broken("src/plan/mod.rs", "use crate::validate::Valid; use crate::ecs::Task;").is_empty());
}

#[test]
fn nested_groups_are_read() {
    let found = broken(
        "src/store/mod.rs",
        "use crate::{\n  ecs::{self, Task},\n  sys::{flock, \n  file::{a as b}}, net::{self}\n};",
    );
    assert_eq!(found, [":5: store (band 2) may not import net (band 2)"]);
}

#[test]
fn a_path_in_the_middle_of_code_is_an_import_too() {
    assert_eq!(broken("src/image/mod.rs", "fn f() -> u8 { crate::logs::g::<u8>(1) }").len(), 1);
}

#[test]
fn super_does_not_lead_out_of_a_module() {
    assert!(broken("src/net/link/veth.rs", "use super::super::netns;").is_empty());
    assert_eq!(broken("src/net/link/veth.rs", "use super::super::super::image::x;").len(), 1);
    assert_eq!(broken("src/net/mod.rs", "use super::{plan, store};").len(), 1);
    assert_eq!(broken("src/net/mod.rs", "mod inner { use super::super::store; }").len(), 1);
    assert!(broken("src/net/mod.rs", "mod store {} mod tests { use super::store; }").is_empty());
}

#[test]
fn band_2_never_imports_its_own_band() {
    for (file, other) in
        [("store", "image"), ("image", "net"), ("net", "runtime"), ("runtime", "logs"), ("logs", "store")]
    {
        assert_eq!(broken(&format!("src/{file}/mod.rs"), &format!("use crate::{other};")).len(), 1, "{file} {other}");
    }
}

#[test]
fn band_0_imports_nothing_of_ours() {
    assert_eq!(broken("src/ecs/arn.rs", "use crate::sys::file;").len(), 1);
    assert_eq!(broken("src/sys/file.rs", "use crate::ecs::Arn;").len(), 1);
    assert!(broken("src/sys/file.rs", "use crate::sys::pidfd;").is_empty());
}

#[test]
fn the_supervisor_sees_only_the_protocol_of_the_worker() {
    assert!(broken("src/supervisor/loop.rs", "use crate::worker::protocol::Request; use crate::store;").is_empty());
    assert_eq!(broken("src/supervisor/loop.rs", "use crate::worker::start;").len(), 1);
    assert_eq!(broken("src/supervisor/loop.rs", "use crate::worker;").len(), 1);
    for forbidden in ["image", "net", "runtime"] {
        assert_eq!(broken("src/supervisor/loop.rs", &format!("use crate::{forbidden}::x;")).len(), 1);
    }
    assert_eq!(broken("src/worker/mod.rs", "use crate::supervisor::launch;").len(), 1);
}

#[test]
fn callers_know_ops_and_ecs_alone() {
    assert!(
        broken("src/cli/mod.rs", "use crate::ops::Engine; use crate::ecs::Task; use crate::cli::table;").is_empty()
    );
    for forbidden in ["store", "supervisor", "validate", "sys", "api"] {
        assert_eq!(broken("src/cli/mod.rs", &format!("use crate::{forbidden}::x;")).len(), 1, "{forbidden}");
    }
}

#[test]
fn band_1_is_pure() {
    let impure = [
        "use std::fs;",
        "use std::{collections::BTreeMap, fs::File};",
        "use std::net::TcpStream;",
        "fn f() { std::process::id(); }",
        "fn f() { let t = Instant::now(); }",
        "fn f() { jiff::Timestamp::now(); }",
        "fn f(t: Instant) { t.elapsed(); }",
        "use std::env::var;",
        "use std::thread::spawn;",
        "use std::io::Read;",
        "async fn f() {}",
        "fn f() { rand::random::<u8>(); }",
        "use rand::rngs::ThreadRng;",
        "use nix::unistd::getpid;",
        "use crate::sys::file;",
        "fn f() { println!(\"x\"); }",
    ];
    for source in impure {
        assert_eq!(broken("src/plan/mod.rs", source).len(), 1, "{source}");
        let outside = source.replace("crate::sys", "std");
        assert!(broken("src/worker/mod.rs", &outside).is_empty(), "{source}");
    }
}

#[test]
fn band_1_may_have_addresses_times_and_a_source_of_chance_as_arguments() {
    let source = "use std::net::{IpAddr, Ipv4Addr}; use rand::Rng; use std::time::{Duration, Instant};
        fn f(now: Instant, rng: &mut impl Rng) {} fn now() {}";
    assert_eq!(broken("src/plan/mod.rs", source), Vec::<String>::new());
}

#[test]
fn the_unit_tests_of_band_1_may_be_impure_but_not_import_upwards() {
    let source =
        "#[cfg(test)]\nmod tests { use std::fs; use super::*; fn f() { if true { println!(\"\") } } }\nuse std::env;";
    assert_eq!(broken("src/plan/mod.rs", source), [":4: band 1 is pure: std::env"]);
    assert!(broken("src/plan/tests.rs", "use std::fs;").is_empty());
    assert_eq!(broken("src/plan/mod.rs", "#[cfg(test)] mod tests { use crate::ops::run; }").len(), 1);
}

#[test]
fn unsafe_code_stands_in_sys_alone() {
    let source = "// unsafe in a comment\n#[expect(unsafe_code)] fn f() { let s = \"unsafe\"; unsafe { g() } }";
    assert_eq!(broken("src/net/mod.rs", source), [":3: unsafe code outside src/sys"]);
    assert!(broken("src/sys/file.rs", source).is_empty());
}

#[test]
fn what_only_looks_like_an_import_is_none() {
    let source = r##"// use crate::ops::x
        /* crate::ops /* nested */ crate::cli */
        pub(crate) fn f<'a>(x: &'a str) { let s = r#"crate::ops " "#; let c = '"'; let d = '\''; let e = b"crate::ops"; }"##;
    assert!(broken("src/net/mod.rs", source).is_empty());
}

#[test]
fn a_file_has_a_header_and_at_most_400_lines() {
    assert_eq!(check("src/net/mod.rs", "use std::fs;"), ["src/net/mod.rs:1: no `//!` header"]);
    let long = format!("//! Long.\n{}", "\n".repeat(400));
    assert_eq!(check("src/net/mod.rs", &long), ["src/net/mod.rs:401: more than 400 lines"]);
}

#[test]
fn a_module_outside_the_bands_is_found() {
    assert_eq!(broken("src/util.rs", ""), [":1: util stands in no band"]);
    assert_eq!(broken("src/net/mod.rs", "use crate::helper;"), [":2: helper stands in no band"]);
    assert!(broken("src/main.rs", "fn main() { berth::cli::main(); }").is_empty());
    assert!(broken("src/lib.rs", "pub mod ecs;").is_empty());
}
