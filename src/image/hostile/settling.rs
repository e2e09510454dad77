//! Lists of what is left to do for a layer, as an unpacking process that somebody took over would write them, in trees
//! that it could have made: what settles them has every capability, and must touch nothing but the root's directories.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use super::super::rules::Limits;
use super::super::settle::SettleError;
use super::super::settle_list::ListError;
use super::SMALL;
use super::ground::{Ground, xattrs};

/// Whether the list is read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Settled,
    Refused,
}

use End::{Refused, Settled};

/// Lists, and what becomes of them. Nothing in them names what may be settled but `real`.
fn lists(out: &Path) -> Vec<(String, End)> {
    let absolute = out.join("dir").to_str().unwrap().to_owned();
    let mut all = Vec::new();
    for record in ["o", "i", "e 0 0 4095", "e 7 7 511"] {
        for outside in ["../canary", "../canary/dir", "real/../../canary", "..", "real/..", "/..", "a/\n/../.."] {
            all.push((format!("{record} {outside}\0"), Refused));
        }
        for link in ["absolute", "relative", "absolute/dir", "relative/dir", "chain/dir", "loop", "loop/x", "up/canary"]
        {
            all.push((format!("{record} {link}\0"), Settled));
        }
        for other in ["file", "file/x", "fifo", "missing", "missing/x", "tofile", "hard"] {
            all.push((format!("{record} {other}\0"), Settled));
        }
        // An absolute path is meant below the root.
        all.push((format!("{record} {absolute}\0"), Settled));
        for root in ["/", ".", "./", "", "//./"] {
            all.push((format!("{record} {root}\0"), Refused));
        }
        all.push((format!("{record} {}\0", "n".repeat(256)), Refused));
        all.push((format!("{record} {}\0", "d/".repeat(200)), Refused));
        all.push((format!("{record} {}\0", "d/".repeat(3000)), Refused));
        all.push((format!("{record} real"), Refused));
    }
    for record in [
        "",
        "x real",
        "O real",
        "o",
        "i",
        "e 1 2 real",
        "e -1 0 0 real",
        "e 0 0 4096 real",
        "e 0 0 99999999999 real",
        "e 4294967296 0 0 real",
        "e 0x0 0 0 real",
        "e  0 0 0 real",
        "real",
        " o real",
        "o\treal",
    ] {
        all.push((format!("{record}\0"), Refused));
    }
    all
}

/// A tree that no honest unpacking would have left.
fn prepare(ground: &Ground) {
    ground.renew();
    let root = &ground.root;
    fs::create_dir(root.join("real")).unwrap();
    symlink(&ground.canary, root.join("absolute")).unwrap();
    symlink("../canary", root.join("relative")).unwrap();
    symlink("relative", root.join("chain")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    symlink("..", root.join("up")).unwrap();
    symlink("../canary/file", root.join("tofile")).unwrap();
    fs::write(root.join("file"), "").unwrap();
    fs::hard_link(ground.canary.join("file"), root.join("hard")).unwrap();
    nix::unistd::mkfifo(&root.join("fifo"), nix::sys::stat::Mode::S_IRUSR).unwrap();
}

fn state(path: &Path) -> (u32, u32, u32, usize) {
    let m = path.metadata().unwrap();
    (m.mode(), m.uid(), m.gid(), xattrs(path).len())
}

#[test]
fn no_list_leads_out_of_the_root_or_to_anything_but_directories() {
    let ground = Ground::new();
    let lists = lists(&ground.canary);
    for (list, end) in &lists {
        prepare(&ground);
        let before =
            (ground.outside(), state(&ground.root), state(&ground.root.join("file")), state(&ground.root.join("real")));
        let result = ground.settle(list.as_bytes(), &SMALL);
        let after =
            (ground.outside(), state(&ground.root), state(&ground.root.join("file")), state(&ground.root.join("real")));
        assert_eq!(after, before, "{list:?}");
        assert_eq!(if result.is_ok() { Settled } else { Refused }, *end, "{list:?}: {result:?}");
        // The control: the same list of what may be settled is.
        let before = state(&ground.root.join("real"));
        ground.settle(&b"e 7 7 511 real\0"[..], &SMALL).unwrap();
        assert_ne!(state(&ground.root.join("real")), before);
    }
    println!("hostile lists: {}", lists.len());
    assert!(lists.len() >= 100, "{}", lists.len());
}

#[test]
fn a_list_of_too_many_records_or_bytes_is_not_read_to_its_end() {
    let ground = Ground::new();
    prepare(&ground);
    let records = |count: usize| {
        (0..count).fold(String::new(), |mut list, at| {
            write!(list, "o real/{at}\0").unwrap();
            list
        })
    };
    let most = usize::try_from(SMALL.entries).unwrap() * 2;
    ground.settle(records(most).as_bytes(), &SMALL).unwrap();
    assert!(matches!(ground.settle(records(most + 1).as_bytes(), &SMALL), Err(SettleError::Records(_))));
    let generous = Limits { entries: u64::MAX, ..SMALL };
    ground.settle(records(10_000).as_bytes(), &generous).unwrap();
    let long = ground.settle(records(100_000).as_bytes(), &generous);
    assert!(matches!(long, Err(SettleError::List(ListError::TooLong(_)))), "{long:?}");
    let endless = std::io::Read::take(std::io::repeat(b'o'), 1 << 40);
    assert!(ground.settle(endless, &generous).is_err());
}
