//! Pages of a list: so many names at once, and an opaque token for the rest.

use crate::ecs::error::EcsError;

/// The page that a request asks for, and the token of the next one. `default` names are on a page where the request does not
/// say; `most` is what it may say.
pub(super) fn page<T: Clone>(
    all: &[T],
    max_results: Option<i32>,
    token: Option<&str>,
    (default, most): (usize, usize),
) -> Result<(Vec<T>, Option<String>), EcsError> {
    let size = match max_results {
        None => default,
        Some(size) => usize::try_from(size)
            .ok()
            .filter(|size| (1..=most).contains(size))
            .ok_or_else(|| EcsError::invalid_parameter(format!("maxResults must be between 1 and {most}.")))?,
    };
    let bad = || EcsError::invalid_parameter("Invalid token.");
    let start = match token {
        None => 0,
        Some(token) => token.strip_prefix("page-").and_then(|from| from.parse().ok()).ok_or_else(bad)?,
    };
    let rest = all.get(start..).ok_or_else(bad)?;
    let next = (rest.len() > size).then(|| format!("page-{}", start + size));
    Ok((rest.iter().take(size).cloned().collect(), next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_together_are_the_list() {
        let all: Vec<u32> = (0..25).collect();
        let (mut seen, mut token) = (Vec::new(), None);
        loop {
            let (names, next) = page(&all, None, token.as_deref(), (10, 100)).unwrap();
            seen.extend(names);
            token = next;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(seen, all);
        assert!(page(&all, Some(0), None, (10, 100)).is_err() && page(&all, None, Some("x"), (10, 100)).is_err());
    }
}
