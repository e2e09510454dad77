//! Downloads that are not what was asked for: bits flipped, bytes missing or too many, other sizes, other digests. None becomes
//! an image, and nothing of it is left.

use std::fs;
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::report;
use crate::hostile::served::{Image, file, gzip, layer};
use crate::support::root::Root;
use crate::support::scripted::{Reply, Request, Server};
use crate::support::supervised::tries;

/// How many are pulled, unless `GOAL_DOWNLOADS` says another number.
const DOWNLOADS: u32 = 60;

/// What is done to a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    Flip,
    Cut,
    More,
    Swap,
    Other,
}

const LIES: [Lie; 5] = [Lie::Flip, Lie::Cut, Lie::More, Lie::Swap, Lie::Other];

fn lied(lie: Lie, body: &[u8], random: &mut StdRng) -> Vec<u8> {
    let mut body = body.to_vec();
    let at = random.random_range(0..body.len());
    match lie {
        Lie::Flip => body[at] ^= 1 << random.random_range(0..8),
        Lie::Cut => body.truncate(at),
        Lie::More => body.extend((0..=at % 600).map(|_| random.random::<u8>())),
        Lie::Swap => {
            let other = (at + 1 + random.random_range(0..body.len() - 1)) % body.len();
            if body[at] == body[other] {
                body[at] ^= 1;
            } else {
                body.swap(at, other);
            }
        }
        Lie::Other => body = gzip(&layer(&[file("a", "another file")])),
    }
    body
}

/// What the registry lies about now: the last part of the path, and how.
type Plan = Arc<Mutex<Option<(String, Vec<u8>)>>>;

#[test]
fn every_download_that_was_changed_on_its_way_is_caught() {
    let plain = [layer(&[file("a", "first"), file("c", &"long ".repeat(900))]), layer(&[file("b", "second")])];
    let blobs: Vec<Vec<u8>> = plain.iter().map(|layer| gzip(layer)).collect();
    let image = Image::packed(&plain, &blobs).changed(|manifest| {
        for layer in manifest["layers"].as_array_mut().unwrap() {
            layer["mediaType"] = "application/vnd.oci.image.layer.v1.tar+gzip".into();
        }
    });
    let (contents, plan) = (image.contents(), Plan::default());
    let lies = Arc::clone(&plan);
    let server = Server::start(move |request: &Request| {
        let reply = contents.answer(request);
        match lies.lock().unwrap().as_ref().filter(|(name, _)| request.target.ends_with(name.as_str())) {
            Some((_, body)) => Reply::ok(body.clone()),
            None => reply,
        }
    });
    let root = Root::new();
    let (mut random, count) =
        (StdRng::seed_from_u64(u64::from(tries("GOAL_SEED", 1))), tries("GOAL_DOWNLOADS", DOWNLOADS));
    let targets: Vec<(String, Vec<u8>)> =
        blobs.iter().chain([&image.config]).map(|blob| (sha(blob), blob.clone())).collect();
    let reference = format!("{}/web:1", server.authority());
    for number in 0..count {
        let (digest, body) = &targets[random.random_range(0..targets.len())];
        let lie = LIES[number as usize % LIES.len()];
        let changed = lied(lie, body, &mut random);
        assert_ne!(changed, *body, "{lie:?}");
        *plan.lock().unwrap() = Some((digest.clone(), changed));
        // A layer that was right is kept for the next try, and would not be asked for again.
        fs::remove_dir_all(root.path().join("images/staging/layers")).ok();
        let pulled = root.berth(["image", "pull", &reference]);
        assert_eq!(pulled.status.code(), Some(1), "{number}: {lie:?} of {digest}: {pulled:?}");
        assert_eq!(left(&root), Vec::<String>::new(), "{number}: {lie:?} of {digest}");
    }
    *plan.lock().unwrap() = None;
    root.berth(["image", "pull", &reference]).ok();
    assert_eq!(root.berth(["--format", "json", "image", "ls"]).json().as_array().map(Vec::len), Some(1), "the control");
    report("mutated downloads", &format!("{count} pulled, {count} caught, 0 visible, 0 files left"), "10000 caught");
}

fn sha(bytes: &[u8]) -> String {
    berth::image::Digest::of(bytes).to_string()
}

/// Layers and blobs of the store, but for layers that were right and wait for the next try.
fn left(root: &Root) -> Vec<String> {
    let images = root.path().join("images");
    let names = |directory: &str| {
        let entries = fs::read_dir(images.join(directory)).into_iter().flatten().flatten();
        entries.map(move |entry| entry.file_name().to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    ["layers", "blobs/sha256"].iter().flat_map(|directory| names(directory)).collect()
}
