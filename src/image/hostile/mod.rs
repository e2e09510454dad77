//! The hostile corpus: layers that try to leave their root, to lie, or to be too much, made by code, as tables. Each is
//! unpacked beside a canary tree that must come out as it went in, and each has a control that shows that its check can
//! fail: an extractor that does what the layer asks for, or a twin of the layer without its fault.

mod bombs;
mod ground;
mod hardlinks;
mod headers;
mod honest;
mod kinds;
mod links;
mod mutations;
mod naive;
mod paths;
mod settling;
mod streams;
mod whiteouts;

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::digest::Digest;
use super::rules::{Limits, Rule};
use super::testing::Tar;
use super::unpack::UnpackError;
use ground::Ground;

/// Limits that a case can be over without much work.
const SMALL: Limits = Limits { bytes: 4 << 20, entries: 150, ratio: 50, ratio_from: 256 << 10, settle: 1 << 20 };

/// What is found in the root.
type Check = Box<dyn Fn(&Path) -> bool>;

/// What must become of a layer.
enum Expected {
    /// It breaks this rule.
    Refused(Rule),
    /// Its archive is not valid.
    Archive,
    /// It has too many entries.
    Entries,
    /// It unpacks, and what stands in the root afterwards is this.
    Unpacked(Check),
}

/// What shows that the check can fail.
enum Control {
    /// The naive extractor leaves the root, or makes what the check does not accept.
    Naive,
    /// This layer is unpacked; if its original is too, what the check wants is not in it.
    Twin(Vec<u8>),
}

struct Case {
    name: String,
    layer: Vec<u8>,
    expected: Expected,
    control: Control,
}

impl Case {
    fn new(name: impl Into<String>, expected: Expected, layer: impl Into<Vec<u8>>, control: Control) -> Self {
        Self { name: name.into(), layer: layer.into(), expected, control }
    }

    fn refused(name: impl Into<String>, rule: Rule, layer: impl Into<Vec<u8>>, control: Control) -> Self {
        Self::new(name, Expected::Refused(rule), layer, control)
    }

    fn archive(name: impl Into<String>, layer: impl Into<Vec<u8>>, twin: impl Into<Vec<u8>>) -> Self {
        Self::new(name, Expected::Archive, layer, Control::Twin(twin.into()))
    }

    fn unpacked(
        name: impl Into<String>,
        check: impl Fn(&Path) -> bool + 'static,
        layer: impl Into<Vec<u8>>,
        control: Control,
    ) -> Self {
        Self::new(name, Expected::Unpacked(Box::new(check)), layer, control)
    }

    /// Unpacks the layer; what differs from what is expected of it, inside and outside.
    fn run(&self, ground: &Ground) -> Result<(), String> {
        ground.renew();
        let before = ground.outside();
        let result = ground.unpack(&self.layer, &SMALL);
        if ground.outside() != before {
            return Err("something outside changed".into());
        }
        if !devices(&ground.root).is_empty() {
            return Err(format!("there are devices: {:?}", devices(&ground.root)));
        }
        match (&self.expected, result) {
            (Expected::Refused(rule), Err(UnpackError::Refused { rule: found, .. })) if found == *rule => {}
            (Expected::Archive, Err(UnpackError::Archive(_))) => {}
            (Expected::Entries, Err(UnpackError::Entries(entries))) if entries == SMALL.entries => {}
            (Expected::Unpacked(check), Ok(_)) if check(&ground.root) => {}
            (_, result) => return Err(format!("{result:?}, {:?}", tree(&ground.root))),
        }
        // What is left of a refused layer is removed, and that does not get out either.
        ground.empty_root();
        if ground.outside() != before {
            return Err("something outside changed when the root was removed".into());
        }
        Ok(())
    }

    /// Shows that `run` would have noticed.
    fn control(&self, ground: &Ground) -> Result<(), String> {
        ground.renew();
        let before = ground.outside();
        let as_wanted = |check: &Check| check(&ground.root) && devices(&ground.root).is_empty();
        match &self.control {
            Control::Naive => {
                naive::unpack(ground, &self.layer);
                let noticed = ground.outside() != before
                    || matches!(&self.expected, Expected::Unpacked(check) if !as_wanted(check));
                if noticed { Ok(()) } else { Err("the check does not notice the naive extractor".into()) }
            }
            Control::Twin(twin) => match (ground.unpack(twin, &SMALL), &self.expected) {
                (Ok(_), Expected::Unpacked(check)) if as_wanted(check) => Err("the check accepts the twin".into()),
                (Ok(_), _) => Ok(()),
                (Err(error), _) => Err(format!("the twin is refused: {error:?}")),
            },
        }
    }
}

/// Makes the cases of a group, for a directory outside the root.
type Cases = fn(&Path) -> Vec<Case>;

/// Every layer of the corpus, by its group. `out` is a directory outside the root.
const GROUPS: [(&str, Cases); 7] = [
    ("paths", paths::cases),
    ("links", links::cases),
    ("hard links", hardlinks::cases),
    ("whiteouts", whiteouts::cases),
    ("kinds", kinds::cases),
    ("headers", headers::cases),
    ("bombs", bombs::cases),
];

fn all_of(group: &str) {
    let ground = Ground::new();
    let cases = GROUPS.iter().find(|(name, _)| *name == group).unwrap().1;
    let both = |case: &Case| case.run(&ground).and_then(|()| case.control(&ground));
    let cases = cases(&ground.canary);
    let failed = |case: &Case| both(case).err().map(|why| format!("{}: {why}", case.name));
    let failed: Vec<_> = cases.iter().filter_map(failed).collect();
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

#[test]
fn no_path_leads_out() {
    all_of("paths");
}

#[test]
fn no_symbolic_link_leads_out() {
    all_of("links");
}

#[test]
fn no_hard_link_leads_out() {
    all_of("hard links");
}

#[test]
fn no_whiteout_hides_what_is_not_the_images() {
    all_of("whiteouts");
}

#[test]
fn of_modes_devices_and_attributes_only_what_the_rules_keep_is_there() {
    all_of("kinds");
}

#[test]
fn no_header_is_believed_when_it_lies() {
    all_of("headers");
}

#[test]
fn no_layer_is_more_than_its_limits() {
    all_of("bombs");
}

#[test]
fn the_corpus_has_at_least_two_hundred_layers_and_no_two_are_the_same() {
    let mut layers = std::collections::BTreeSet::new();
    let mut said = String::new();
    for (group, cases) in GROUPS {
        let cases = cases(Path::new("/out/canary"));
        said.push_str(&format!("{group} {}, ", cases.len()));
        for case in cases {
            assert!(layers.insert(case.layer), "{group}: {} is there twice", case.name);
        }
    }
    let streams = streams::cases();
    println!("{said}streams {}", streams.len());
    for case in streams {
        let layer = format!("{:?} {:?}", case.described, Digest::of(&case.blob)).into_bytes();
        assert!(layers.insert(layer), "streams: {} is there twice", case.name);
    }
    println!("hostile layers: {}", layers.len());
    assert!(layers.len() >= 200, "{}", layers.len());
}

fn t() -> Tar {
    Tar::default()
}

fn twin(layer: impl Into<Vec<u8>>) -> Control {
    Control::Twin(layer.into())
}

/// The names below a directory, for messages and counts.
fn tree(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.symlink_metadata().unwrap().is_dir() {
            all.extend(tree(&path));
        }
        all.push(path);
    }
    all
}

/// Device nodes in the root, whiteouts apart.
fn devices(root: &Path) -> Vec<std::path::PathBuf> {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &std::path::PathBuf| {
        let m = path.symlink_metadata().unwrap();
        m.file_type().is_block_device() || m.file_type().is_char_device() && m.rdev() != 0
    };
    tree(root).into_iter().filter(device).collect()
}

impl From<Tar> for Vec<u8> {
    fn from(tar: Tar) -> Self {
        tar.end()
    }
}
