//! The forms of image references and users: whether a text can be one, not whether the thing exists. Pure text.

/// What is wrong with an image reference, if anything is: `[REGISTRY[:PORT]/]PATH[:TAG][@DIGEST]`, the grammar of the
/// distribution project's reference package.
pub(super) fn image_fault(image: &str) -> Option<&'static str> {
    let (rest, digest) = match image.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (image, None),
    };
    // A colon behind the last slash begins a tag; one before it, a registry's port.
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    let (registry, path) = match name.split_once('/') {
        Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), path),
        _ => (None, name),
    };
    if image.len() > 512 {
        Some("longer than 512 characters")
    } else if name.chars().any(char::is_whitespace) || image.is_empty() {
        Some("empty, or with white space in it")
    } else if name.contains("://") {
        Some("it is a URL: leave out the scheme")
    } else if registry.is_some_and(|registry| !is_registry(registry)) {
        Some("the registry is no host name with an optional port")
    } else if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Some("a repository is written in lower case")
    } else if !path.split('/').all(is_component) {
        Some("a repository is made of a-z, 0-9 and single separators ('.', '_', '__', '-') between them")
    } else if tag.is_some_and(|tag| !is_tag(tag)) {
        Some("a tag is up to 128 letters, digits, '_', '.' and '-', and begins with none of the last two")
    } else if digest.is_some_and(|digest| !is_digest(digest)) {
        Some("a digest is sha256: and 64 hexadecimal digits in lower case")
    } else {
        None
    }
}

fn is_registry(text: &str) -> bool {
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.split('.').all(label)
        && port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

fn is_component(text: &str) -> bool {
    let words = text.split(['.', '_', '-']).filter(|word| !word.is_empty());
    let known = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte));
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let doubled = ["..", "._", "_.", "-.", ".-", "_-", "-_", "___"].iter().any(|pair| text.contains(pair));
    known && !doubled && words.count() > 0 && ends(text.as_bytes().first()) && ends(text.as_bytes().last())
}

fn is_tag(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        && !text.starts_with(['.', '-'])
}

fn is_digest(text: &str) -> bool {
    let hex = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    text.strip_prefix("sha256:").is_some_and(|digits| digits.len() == 64 && hex(digits))
}

/// What is wrong with a user, if anything is: `user`, `uid`, `user:group`, `uid:gid` or `:group`.
pub(super) fn user_fault(user: &str) -> Option<&'static str> {
    let (name, group) = user.split_once(':').map_or((user, None), |(name, group)| (name, Some(group)));
    if group.is_some_and(|group| group.contains(':')) {
        Some("more than one colon")
    } else if (name.is_empty() && group.is_none()) || group.is_some_and(str::is_empty) {
        Some("a name or a number is missing")
    } else {
        [Some(name), group].into_iter().flatten().find_map(id_fault)
    }
}

/// Numbers reach up to the one before the last, which the kernel keeps for "no user" (chown(2)).
fn id_fault(id: &str) -> Option<&'static str> {
    if id.starts_with('-') {
        Some("a name or a number may not begin with '-'")
    } else if id.chars().any(|c| c.is_whitespace() || c.is_control() || c == '/') {
        Some("white space, control characters and slashes are in no name")
    } else if !id.is_empty()
        && id.bytes().all(|byte| byte.is_ascii_digit())
        && id.parse::<u32>().map_or(true, |id| id == u32::MAX)
    {
        Some("a number may be at most 4294967294")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_as_people_write_them_are_taken() {
        let digest = format!("nginx@sha256:{}", "0a".repeat(32));
        let table = [
            "nginx",
            "nginx:1.27-alpine",
            "library/nginx",
            "localhost/app:dev",
            "localhost:5000/a/b_c/d__e:v1",
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app:2026.11.21",
            "public.ecr.aws/docker/library/busybox:latest",
            "ghcr.io/a-b/c.d",
            &digest,
            &format!("registry:80/{digest}"),
        ];
        for image in table {
            assert_eq!(image_fault(image), None, "{image}");
        }
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let table = [
            "",
            " ",
            "ng inx",
            "Nginx",
            "nginx:",
            "nginx:a b",
            "nginx:-x",
            "nginx@sha256:12",
            "https://a.b/c",
            "/nginx",
            "a//b",
            "nginx/",
            "-a",
            "a-",
            "a..b",
            "a:70000/b",
            "x.y:99999999/a",
            "-x.y/a",
            "nginx@",
            "nginx@md5:00",
        ];
        for image in table {
            assert!(image_fault(image).is_some(), "{image}");
        }
        assert!(image_fault(&"a".repeat(600)).is_some());
    }

    #[test]
    fn users_are_names_or_numbers_that_the_kernel_has() {
        for user in ["root", "0", "1000:1000", "www-data:www-data", "4294967294", ":staff", "a.b@c"] {
            assert_eq!(user_fault(user), None, "{user}");
        }
        for user in
            ["", ":", "a:", "a:b:c", "4294967295", "4294967296", "99999999999999999999:0", "0:4294967295", "-1", "a b"]
        {
            assert!(user_fault(user).is_some(), "{user}");
        }
    }
}
