//! `WWW-Authenticate`, parsed (RFC 9110 sections 11.2 to 11.6): the schemes that a registry takes, and for Bearer where
//! the token is to be had (distribution, "Token Authentication Specification"). Pure text.

/// Why there is nothing to answer a 401 with.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChallengeError {
    #[error("the registry does not say how to authenticate")]
    None,
    #[error("the registry's bearer challenge has no realm")]
    NoRealm,
}

/// How a registry wants to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
    Basic,
}

/// The challenge that is answered: a token before a password, which it would be sent with every request.
pub(super) fn choose(headers: &[String]) -> Result<Challenge, ChallengeError> {
    let all: Vec<_> = headers.iter().flat_map(|header| parse(header)).collect();
    let of = |scheme: &str| all.iter().find(|(name, _)| name.eq_ignore_ascii_case(scheme));
    if let Some((_, parameters)) = of("bearer") {
        let value =
            |key: &str| parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, v)| v.clone());
        let some = |key| value(key).filter(|value| !value.is_empty());
        let realm = some("realm").ok_or(ChallengeError::NoRealm)?;
        return Ok(Challenge::Bearer { realm, service: some("service"), scope: some("scope") });
    }
    of("basic").map(|_| Challenge::Basic).ok_or(ChallengeError::None)
}

type Parameters = Vec<(String, String)>;

/// Scheme and parameters of each challenge in one header. What is malformed ends the header.
fn parse(header: &str) -> Vec<(String, Parameters)> {
    let mut challenges: Vec<(String, Parameters)> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let name = token(rest);
        if name.is_empty() {
            return challenges;
        }
        rest = rest[name.len()..].trim_start_matches([' ', '\t']);
        let Some(value) = rest.strip_prefix('=') else {
            challenges.push((name.into(), Vec::new()));
            continue;
        };
        let Some((value, after)) = self::value(value.trim_start_matches([' ', '\t'])) else { return challenges };
        rest = after;
        if let Some((_, parameters)) = challenges.last_mut() {
            parameters.push((name.into(), value));
        }
    }
}

fn token(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)));
    &text[..end.unwrap_or(text.len())]
}

/// A token or a quoted string, and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let token = token(text);
        return (!token.is_empty()).then(|| (token.into(), &text[token.len()..]));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(headers: &[&str]) -> Result<Challenge, ChallengeError> {
        choose(&headers.iter().map(|header| (*header).to_owned()).collect::<Vec<_>>())
    }

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Result<Challenge, ChallengeError> {
        Ok(Challenge::Bearer { realm: realm.into(), service: service.map(Into::into), scope: scope.map(Into::into) })
    }

    #[test]
    fn bearer_challenges_of_registries_are_read() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/x:pull""#;
        let read =
            bearer("https://auth.docker.io/token", Some("registry.docker.io"), Some("repository:library/x:pull"));
        assert_eq!(chosen(&[hub]), read);
        assert_eq!(chosen(&["bearer realm=https , SERVICE = \"a\\\"b, c\" "]), bearer("https", Some("a\"b, c"), None));
        assert_eq!(chosen(&["Basic realm=\"x\", Bearer realm=\"y\""]), bearer("y", None, None));
        assert_eq!(
            chosen(&["Basic realm=\"x\"", "Bearer realm=\"y\",error=\"invalid_token\""]),
            bearer("y", None, None)
        );
    }

    #[test]
    fn basic_is_second_and_nothing_is_an_error() {
        assert_eq!(chosen(&["Negotiate, BASIC realm=\"x\""]), Ok(Challenge::Basic));
        assert_eq!(chosen(&["Bearer service=x"]), Err(ChallengeError::NoRealm));
        for bad in ["", "Negotiate", "=", "\"Basic\"", ", ,", "Digest realm=\"Bear"] {
            assert_eq!(chosen(&[bad]), Err(ChallengeError::None), "{bad}");
        }
    }
}
