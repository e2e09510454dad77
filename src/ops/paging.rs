//! Pages of a list: so many things at once, and an opaque token for the rest. The token names the last thing that was seen, by
//! what the list is in the order of: whatever comes and goes between two pages, nothing else is lost or seen twice.

use std::fmt::Display;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::ecs::error::EcsError;

/// How many bytes of a token tell whether it was altered, or is another list's.
const CHECK: usize = 8;

/// What a request asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    /// How many it wants; `sizes` decides where it does not say.
    max_results: Option<i32>,
    /// Where the last page ended.
    token: Option<&'a str>,
    /// How many there are where it does not say, and how many it may ask for.
    sizes: (usize, usize),
}

impl<'a> Asked<'a> {
    /// What the members of a request say.
    pub(super) fn by(max_results: Option<i32>, token: Option<&'a str>, sizes: (usize, usize)) -> Self {
        Self { max_results, token, sizes }
    }
}

/// The page that a request asks for, and the token of the next one. `list` names what is listed, `key` is what it is in the
/// order of: no two of them have the same.
pub(super) fn page<T, K: Ord + Serialize + DeserializeOwned>(
    list: &impl Display,
    all: Vec<T>,
    key: impl Fn(&T) -> K,
    asked: Asked,
) -> Result<(Vec<T>, Option<String>), EcsError> {
    let (default, most) = asked.sizes;
    let size = match asked.max_results {
        None => default,
        Some(size) => usize::try_from(size)
            .ok()
            .filter(|size| (1..=most).contains(size))
            .ok_or_else(|| EcsError::invalid_parameter(format!("maxResults must be between 1 and {most}.")))?,
    };
    cut(list, all, key, asked.token, size).ok_or_else(|| EcsError::invalid_parameter("Invalid token."))
}

/// The same for lists with rules of their own for sizes; `None` if the token is none of this list's.
pub(super) fn cut<T, K: Ord + Serialize + DeserializeOwned>(
    list: &impl Display,
    mut all: Vec<T>,
    key: impl Fn(&T) -> K,
    token: Option<&str>,
    size: usize,
) -> Option<(Vec<T>, Option<String>)> {
    all.sort_by_cached_key(&key);
    if let Some(token) = token {
        let seen = opened(list, token)?;
        all.drain(..all.partition_point(|one| key(one) <= seen));
    }
    let is_last = all.len() <= size;
    all.truncate(size);
    let next = all.last().filter(|_| !is_last).map(|last| sealed(list, &key(last)));
    Some((all, next))
}

fn sealed(list: &impl Display, key: &impl Serialize) -> String {
    let key = serde_json::to_vec(key).expect("what lists are in the order of are texts and numbers");
    URL_SAFE_NO_PAD.encode([check(list, &key).as_slice(), &key].concat())
}

fn opened<K: DeserializeOwned>(list: &impl Display, token: &str) -> Option<K> {
    let token = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (given, key) = token.split_at_checked(CHECK)?;
    (given == check(list, key)).then(|| serde_json::from_slice(key).ok())?
}

fn check(list: &impl Display, key: &[u8]) -> Vec<u8> {
    let hash = Sha256::new().chain_update(format!("{list}\n")).chain_update(key).finalize();
    hash.iter().copied().take(CHECK).collect()
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;

    use super::*;

    fn asked(token: Option<&str>) -> Asked<'_> {
        Asked { max_results: None, token, sizes: (10, 100) }
    }

    #[test]
    fn pages_together_are_the_list() {
        let all: Vec<u32> = (0..25).collect();
        let (mut seen, mut token) = (Vec::new(), None);
        loop {
            let (names, next) = page(&"list", all.clone(), |n| *n, asked(token.as_deref())).unwrap();
            seen.extend(names);
            token = next;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(seen, all);
        let none = Asked { max_results: Some(0), ..asked(None) };
        assert!(page(&"list", all, |n| *n, none).unwrap_err().message.contains("between 1 and 100"));
    }

    #[test]
    fn what_comes_and_goes_between_pages_neither_hides_nor_repeats_anything_else() {
        let pages = |key: fn(&u32) -> u32| {
            let even: Vec<u32> = (0..30).map(|n| n * 2).collect();
            let (first, token) = page(&"list", even, key, asked(None)).unwrap();
            // The one that the token names is gone, as is one before it; others have come on both sides.
            let later: Vec<u32> = (0..30).map(|n| n * 2).filter(|n| ![4, 18, 40].contains(n)).chain([1, 21]).collect();
            let (second, _) = page(&"list", later, key, asked(token.as_deref())).unwrap();
            (first, second)
        };
        let (first, second) = pages(|n| *n);
        assert_eq!((first.last(), second), (Some(&18), vec![20, 21, 22, 24, 26, 28, 30, 32, 34, 36]));
        let descending = page(&"list", vec![1, 3, 2], |n| Reverse(*n), asked(None)).unwrap();
        assert_eq!(descending, (vec![3, 2, 1], None));
    }

    #[test]
    fn a_token_that_was_altered_or_is_another_lists_is_refused() {
        let all: Vec<u32> = (0..25).collect();
        let (_, token) = page(&"list", all.clone(), |n| *n, asked(None)).unwrap();
        let token = token.unwrap();
        let refused = |list: &str, token: &str| {
            page(&list, all.clone(), |n| *n, asked(Some(token))).map_err(|error| error.message)
                == Err("Invalid token.".to_owned())
        };
        assert!(!refused("list", &token) && refused("other", &token));
        for place in 0..token.len() {
            let other = if token.as_bytes()[place] == b'A' { "B" } else { "A" };
            let altered = format!("{}{other}{}", &token[..place], &token[place + 1..]);
            assert!(refused("list", &altered), "{altered}");
        }
        for made_up in ["", "x", "page-10", "é", "....", &"A".repeat(5000)] {
            assert!(refused("list", made_up), "{made_up}");
        }
    }
}
