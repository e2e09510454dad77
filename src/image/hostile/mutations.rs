//! Layers at random: valid ones with some bytes changed, blocks swapped, left out or doubled. Whatever comes of them, it
//! stays in the root, and nothing panics. The numbers come from a seed, so that every run is the same.

use std::path::Path;

use super::super::rules::Limits;
use super::super::testing::Tar;
use super::ground::Ground;
use super::{SMALL, devices, naive, t};

/// How many mutated layers are unpacked.
const COUNT: usize = 20_000;
/// After how many the root is emptied: layers are unpacked on what others left, which is harder.
const EMPTIED: usize = 50;

/// Knuth's MMIX generator.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// Layers that are close to a way out, in different directions.
fn seeds(out: &Path) -> Vec<Vec<u8>> {
    let dir = out.join("dir");
    let dir = dir.to_str().unwrap();
    let links = t().dir("d").file("d/file", "x").symlink("l", dir).hardlink("h", "d/file").symlink("m", "../canary");
    let names = t().pax("path", b"p/q").file("a", "x").long("l/long").file("a", "y").file("m2/.x/../f", "z");
    let hidden = t().dir("dir").file("dir/.wh.file", "").file("dir/.wh..wh..opq", "").symlink("dir", "../canary/dir");
    let kinds = t().of(b'3', "d").of(b'6', "l").dir("l").symlink("l", dir).hardlink("l2", "l").file("l2", "x");
    let carried = t().pax("SCHILY.xattr.user.hostile", b"y").file("file", "x").pax("linkpath", b"../canary/file");
    [links, names, hidden, kinds, carried.hardlink("h", "x")].into_iter().map(Tar::end).collect()
}

fn mutated(layer: &[u8], random: &mut Random) -> Vec<u8> {
    let mut blocks: Vec<Vec<u8>> = layer.chunks(512).map(<[u8]>::to_vec).collect();
    for _ in 0..=random.below(3) {
        let at = random.below(blocks.len());
        match random.below(6) {
            0 => {
                let other = random.below(blocks.len());
                blocks.swap(at, other);
            }
            1 => drop(blocks.remove(at)),
            2 => blocks.push(blocks[at].clone()),
            3 => blocks[at][156] = *random.of(b"012345679xgLKS"),
            _ => {
                // The name, the mode, the size, the target, or anywhere.
                let anywhere = random.below(500);
                let field = *random.of(&[0, 100, 124, 157, anywhere]);
                blocks[at][field + random.below(12)] = *random.of(b"/..\0dlm127\x80\xff");
            }
        }
    }
    blocks.iter_mut().for_each(|block| with_checksum(block));
    blocks.concat()
}

/// Puts a header's checksum right: else hardly one in a hundred got further than that.
fn with_checksum(block: &mut [u8]) {
    let header = block[257..262] == *b"ustar";
    if header {
        let mut fixed = tar::Header::from_byte_slice(block).clone();
        fixed.set_cksum();
        block.copy_from_slice(fixed.as_bytes());
    }
}

fn each(ground: &Ground, count: usize, mut unpack: impl FnMut(&[u8])) {
    let (seeds, mut random) = (seeds(&ground.canary), Random(1));
    for at in 0..count {
        if at % EMPTIED == 0 {
            ground.empty_root();
        }
        let seed = random.of(&seeds).clone();
        unpack(&mutated(&seed, &mut random));
    }
}

#[test]
fn twenty_thousand_mutated_layers_stay_in_their_root() {
    let ground = Ground::new();
    let before = ground.outside();
    let limits = Limits { entries: 40, ..SMALL };
    let (mut unpacked, mut at) = (0, 0);
    each(&ground, COUNT, |layer| {
        unpacked += usize::from(ground.unpack(layer, &limits).is_ok());
        at += 1;
        if at % EMPTIED == 0 {
            assert_eq!(ground.outside(), before, "one of the {EMPTIED} layers up to number {at}");
            assert!(devices(&ground.root).is_empty());
        }
    });
    println!("mutated layers: {COUNT}, of which {unpacked} were unpacked");
    // Neither all nor none: the mutations are neither too weak nor too strong to say anything.
    assert!((COUNT / 20..COUNT * 19 / 20).contains(&unpacked), "{unpacked}");
}

#[test]
fn mutated_layers_lead_a_naive_extractor_out() {
    let ground = Ground::new();
    let mut out = 0;
    let mut before = ground.outside();
    each(&ground, 500, |layer| {
        naive::unpack(&ground, layer);
        if ground.outside() != before {
            out += 1;
            ground.renew();
            before = ground.outside();
        }
    });
    assert!(out > 20, "{out}");
}
