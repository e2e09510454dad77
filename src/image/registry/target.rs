//! The address of a request: an `http:` or `https:` URL, parsed once, and where a `Location` leads from it. Pure text.

use std::fmt;
use std::net::IpAddr;

use ureq::http::Uri;

/// Whether a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Why a text is not the address of a request.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("{0:?} is not an http: or https: address")]
    Url(String),
    #[error("{0:?} has a user name in it")]
    User(String),
    #[error("{0:?} is not the name or the address of a host")]
    Host(String),
}

/// What is asked, and of whom. Displays without its query, which may be a secret (signed addresses of object stores).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    uri: Uri,
    scheme: Scheme,
    host: String,
    port: u16,
}

impl Target {
    pub(super) fn parse(text: &str) -> Result<Self, TargetError> {
        let wrong = || TargetError::Url(shown(text));
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        if authority.as_str().contains('@') {
            return Err(TargetError::User(uri.host().unwrap_or_default().into()));
        }
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => scheme.port(),
            Some(_) => authority.port_u16().filter(|port| *port != 0).ok_or_else(wrong)?,
            None => return Err(wrong()),
        };
        let host = host(authority.host()).ok_or_else(|| TargetError::Host(shown(authority.host())))?;
        Ok(Self { scheme, host, port, uri })
    }

    /// Where a `Location` of this address leads (RFC 3986 section 5.2, without dot segments, which servers do not send).
    pub(super) fn join(&self, location: &str) -> Result<Self, TargetError> {
        let location = location.split('#').next().unwrap_or_default();
        let head = location.split(['/', '?']).next().unwrap_or_default();
        if head.contains(':') {
            return Self::parse(location);
        }
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        if location.starts_with("//") {
            return Self::parse(&format!("{scheme}:{location}"));
        }
        let authority = self.uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
        let path = self.uri.path();
        let folder = match location.chars().next() {
            Some('/') => "",
            Some('?') | None => path,
            Some(_) => &path[..path.rfind('/').map_or(0, |slash| slash + 1)],
        };
        Self::parse(&format!("{scheme}://{authority}{folder}{location}"))
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    pub(super) fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host in lower case, without brackets and without a dot at its end.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The host, if it is written as an address.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Whether credentials for the one may go to the other.
    pub(super) fn same_origin(&self, other: &Self) -> bool {
        (self.scheme, &self.host, self.port) == (other.scheme, &other.host, other.port)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.uri.to_string();
        f.write_str(text.split('?').next().unwrap_or_default())
    }
}

/// A host in the form that hosts are compared in. What other resolvers would take for an address though it is not
/// written as one (`127.1`, `0x7f000001`; WHATWG URL, "ends in a number") is none.
fn host(text: &str) -> Option<String> {
    if let Some(inner) = text.strip_prefix('[') {
        let address: std::net::Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        return Some(address.to_string());
    }
    let host = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if host.parse::<std::net::Ipv4Addr>().is_ok() {
        return Some(host);
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    let number = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    (host.len() <= 253 && !number && host.split('.').all(label)).then_some(host)
}

/// A stranger's text without its query, for a message.
fn shown(text: &str) -> String {
    text.split('?').next().unwrap_or_default().chars().take(super::limits::MESSAGE_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_read_from_where_it_was_said() {
        let base = Target::parse("https://Registry.Example:8443/v2/a/blobs/x?y=z").unwrap();
        let cases = [
            ("https://cdn.example/b?sig=1#f", "https://cdn.example/b?sig=1"),
            ("//cdn.example/b", "https://cdn.example/b"),
            ("/b?c", "https://Registry.Example:8443/b?c"),
            ("b", "https://Registry.Example:8443/v2/a/blobs/b"),
            ("?q", "https://Registry.Example:8443/v2/a/blobs/x?q"),
        ];
        for (location, uri) in cases {
            assert_eq!(base.join(location).unwrap().uri().to_string(), uri);
        }
        assert_eq!((base.host(), base.port()), ("registry.example", 8443));
        assert_eq!(base.to_string(), "https://Registry.Example:8443/v2/a/blobs/x");
    }

    #[test]
    fn other_schemes_user_names_and_disguised_addresses_are_refused() {
        let base = Target::parse("http://registry.example/").unwrap();
        for bad in ["file:///etc/passwd", "ftp://x/", "javascript:x", "https://", "https://h:0/", "https://h:99999/"] {
            assert!(base.join(bad).is_err(), "{bad}");
        }
        assert_eq!(Target::parse("https://me:secret@h.example/"), Err(TargetError::User("h.example".into())));
        for bad in ["127.1", "2130706433", "0x7f.0x1", "0177.0.0.1.", "a..b", "a%41.example", "[fe80::1%25lo]"] {
            assert!(Target::parse(&format!("http://{bad}/")).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let target = |text| Target::parse(text).unwrap();
        assert!(target("https://a.example/x").same_origin(&target("https://A.example.:443/y")));
        for other in ["http://a.example/", "https://b.example/", "https://a.example:444/"] {
            assert!(!target("https://a.example/").same_origin(&target(other)), "{other}");
        }
    }
}
