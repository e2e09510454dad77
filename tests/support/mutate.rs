//! Inputs at random that are close to good ones: bytes changed, pieces left out, doubled, swapped, words of the good ones put in
//! other places. The loop behind `make fuzz`; the same seed gives the same inputs. Plain `rand`, so that the stable compiler
//! does; used by the unit tests of everything that reads what others have written.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

/// How many inputs each target gets, unless `FUZZ_INPUTS` says another number.
const INPUTS: usize = 2000;
/// What breaks parsers.
const WORDS: [&[u8]; 18] = [
    b"\0",
    b"\xff",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"\r\n\r\n",
    b"%00",
    b"..",
];

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: a number?")))
}

/// Gives each mutation of the good inputs to a target, which must neither panic nor hang; how many it took (it says so), of how
/// many. The good inputs come first, and are all taken.
pub(crate) fn fuzz(good: &[Vec<u8>], mut target: impl FnMut(&[u8]) -> bool) {
    assert!(good.iter().all(|input| target(input)), "a good input is refused");
    let (count, seed) = (setting("FUZZ_INPUTS", INPUTS), setting("FUZZ_SEED", 1));
    let mut random = StdRng::seed_from_u64(seed as u64);
    let taken = (0..count).filter(|_| target(&mutated(good, &mut random))).count();
    // Neither all nor none: the mutations are neither too weak nor too strong to say anything.
    assert!(taken > 0 && taken < count, "{taken} of {count} inputs were taken");
}

fn mutated(good: &[Vec<u8>], random: &mut StdRng) -> Vec<u8> {
    let mut input = good.choose(random).expect("there are good inputs").clone();
    for _ in 0..=random.random_range(0..3) {
        if input.is_empty() {
            return input;
        }
        let at = random.random_range(0..input.len());
        let end = (at + 1 + random.random_range(0..16)).min(input.len());
        match random.random_range(0..8) {
            0 => input[at] ^= 1 << random.random_range(0..8),
            1 => input[at] = random.random(),
            2 => drop(input.drain(at..end)),
            3 => input.truncate(at),
            4 => {
                let piece = input[at..end].repeat(1 << random.random_range(0..6));
                input.splice(at..at, piece);
            }
            5 => drop(input.splice(at..at, WORDS.choose(random).expect("there are words").iter().copied())),
            6 => {
                let other = good.choose(random).expect("there are good inputs");
                let from = random.random_range(0..=other.len());
                input.splice(at..end, other[from..(from + 16).min(other.len())].iter().copied());
            }
            _ => {
                let other = random.random_range(0..input.len());
                input.swap(at, other);
            }
        }
    }
    input
}
