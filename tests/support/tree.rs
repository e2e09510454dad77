//! A tree of files as one line for each path, in the words of `rootfs-fixtures/expect`: what an image came to, to be
//! compared with what its layers come to by a script that knows nothing of berth.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use berth::image::Image;
use berth::sys::beneath::xattr;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

/// Lines by path.
pub(crate) type Tree = BTreeMap<Vec<u8>, String>;

/// What the layers of a fixture come to.
pub(crate) fn expected(image: &str) -> Tree {
    let file = super::fixture(image).with_extension("tree");
    let text = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}: run `make fixtures`", file.display()));
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let entry = |line: &[u8]| {
        let path = line.split(|byte| *byte == b'\t').nth(6).expect("the seventh field is the path");
        let name = path.split(|byte| *byte == b'=').next().unwrap_or_default().to_vec();
        (name, String::from_utf8_lossy(line).into_owned())
    };
    lines.map(entry).collect()
}

/// Panics with the first differences between what is there and what should be.
pub(crate) fn assert_is(found: &Tree, expected: &Tree) {
    assert!(!expected.is_empty());
    let changed = expected.iter().filter(|(path, line)| found.get(*path) != Some(line));
    let changed = changed.map(|(path, line)| format!("- {line}\n+ {}", found.get(path).map_or("nothing", |line| line)));
    let more = found.iter().filter(|(path, _)| !expected.contains_key(*path)).map(|(_, line)| format!("+ {line}"));
    let differences: Vec<_> = changed.chain(more).take(20).collect();
    assert!(differences.is_empty(), "expected -, found +:\n{}", differences.join("\n"));
}

/// The tree of an image, through overlayfs as a container sees it.
pub(crate) fn of_image(image: &Image) -> Tree {
    mounted(image, of_directory)
}

/// Mounts an image's layers, in a mount namespace of this thread's own, and looks at them.
pub(crate) fn mounted<T: Send>(image: &Image, look: impl FnOnce(&Path) -> T + Send) -> T {
    let scratch = tempfile::tempdir().expect("make a directory");
    let (merged, empty) = (scratch.path().join("merged"), scratch.path().join("empty"));
    [&merged, &empty].iter().for_each(|directory| fs::create_dir(directory).expect("make a directory"));
    // overlayfs wants two directories at least, and a mount's options one page at most: names relative to the store
    let layers = image.layers[0].parent().and_then(Path::parent).expect("layers/CHAIN/fs");
    let relative = |layer: &PathBuf| layer.strip_prefix(layers).expect("beside the others").display().to_string();
    let lower: Vec<_> = image.layers.iter().map(relative).collect();
    let options = format!("lowerdir={}:{}", lower.join(":"), empty.display());
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_FS).expect("this suite needs root");
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
            std::env::set_current_dir(layers).unwrap();
            mount(Some("overlay"), &merged, Some("overlay"), MsFlags::MS_RDONLY, Some(options.as_str())).unwrap();
            let found = look(&merged);
            umount2(&merged, MntFlags::MNT_DETACH).unwrap();
            found
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The tree below a directory, without the directory itself.
pub(crate) fn of_directory(top: &Path) -> Tree {
    let mut paths = Vec::new();
    walk(top, &mut paths);
    paths.sort_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
    let sums = sums(paths.iter().filter(|path| path.symlink_metadata().unwrap().is_file()));
    let mut first: HashMap<(u64, u64), Vec<u8>> = HashMap::new(); // names of one file
    let mut tree = Tree::new();
    for path in &paths {
        let metadata = path.symlink_metadata().unwrap();
        let name = path.strip_prefix(top).unwrap().as_os_str().as_bytes().to_vec();
        let first = match metadata.is_file() {
            true => first.entry((metadata.dev(), metadata.ino())).or_insert_with(|| name.clone()).clone(),
            false => name.clone(),
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let shown = if first == name { text(&name) } else { format!("{}={}", text(&name), text(&first)) };
        let (kind, detail, mtime) = match metadata.file_type() {
            kind if kind.is_file() => ("f", sums[path].clone(), metadata.mtime().to_string()),
            kind if kind.is_dir() => ("d", "-".to_owned(), "-".to_owned()),
            kind if kind.is_symlink() => ("l", fs::read_link(path).unwrap().display().to_string(), "-".to_owned()),
            kind if kind.is_fifo() => ("p", "-".to_owned(), "-".to_owned()),
            kind => panic!("{}: {kind:?}", path.display()),
        };
        let (mode, uid, gid) = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
        let line = format!("{kind}\t{mode:04o}\t{uid}\t{gid}\t{mtime}\t{detail}\t{shown}\t{}", attributes(path, kind));
        tree.insert(name, line);
    }
    tree
}

/// Everything below a directory.
fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for entry in entries.flatten() {
        found.push(entry.path());
        if entry.file_type().unwrap().is_dir() {
            walk(&entry.path(), found);
        }
    }
}

/// The SHA-256 of each file, by coreutils: many files take a test program that is not optimized too long.
fn sums<'a>(files: impl Iterator<Item = &'a PathBuf>) -> HashMap<PathBuf, String> {
    let mut command = Command::new("xargs");
    command.args(["-0", "-r", "sha256sum", "-z"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("xargs is there");
    let mut names = child.stdin.take().expect("it is piped");
    let list: Vec<u8> = files.flat_map(|file| [file.as_os_str().as_bytes(), b"\0"].concat()).collect();
    let writer = std::thread::spawn(move || names.write_all(&list));
    let output = child.wait_with_output().expect("xargs is our child");
    writer.join().unwrap().expect("xargs reads them all");
    assert!(output.status.success(), "sha256sum: {}", output.status);
    let lines = output.stdout.split(|byte| *byte == 0).filter(|line| !line.is_empty());
    let sum = |line: &[u8]| (OsStr::from_bytes(&line[66..]).into(), String::from_utf8_lossy(&line[..64]).into_owned());
    lines.map(sum).collect()
}

/// The attributes that an image can give to a file and that fixtures have, as `NAME=VALUE`.
fn attributes(path: &Path, kind: &str) -> String {
    let mut value = [0; 64];
    let file = (kind == "f").then(|| fs::File::open(path).expect("open"));
    let found = file.as_ref().and_then(|file| xattr(file, c"user.berth", &mut value).ok());
    found.map(|value| format!("user.berth={}", String::from_utf8_lossy(value))).unwrap_or_default()
}
