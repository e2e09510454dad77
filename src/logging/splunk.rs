//! `splunk`: an HTTP event collector (HEC).

use super::options::{LogOptionError, Options};

/// What `splunk` was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Splunk {
    /// `splunk-url`: scheme, host and port.
    pub url: String,
    /// `splunk-token`.
    pub token: String,
    /// `splunk-source`.
    pub source: Option<String>,
    /// `splunk-sourcetype`.
    pub source_type: Option<String>,
    /// `splunk-index`.
    pub index: Option<String>,
    /// `splunk-format`.
    pub format: SplunkFormat,
    /// `splunk-gzip`, and its level: none where the library chooses.
    pub gzip: Gzip,
    /// `splunk-verify-connection`, true where it is absent: the collector is asked before the container starts.
    pub verifies: bool,
    /// `splunk-insecureskipverify`.
    pub trusts_anybody: bool,
    /// `splunk-capath`: a file with the server's authority.
    pub authority: Option<String>,
}

/// `splunk-gzip` and `splunk-gzip-level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gzip {
    /// Requests go as they are.
    Off,
    /// They are compressed as the library likes it.
    Default,
    /// They are compressed at this level, 0 to 9.
    Level(u32),
}

/// `splunk-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplunkFormat {
    /// The line as a string.
    Inline,
    /// The line as JSON where it is JSON.
    Json,
    /// Tag, attributes and line as one text.
    Raw,
}

impl Splunk {
    pub(super) fn read(options: &mut Options) -> Result<Self, LogOptionError> {
        let url = options.required("splunk-url")?.trim_end_matches('/').to_owned();
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        if rest.is_none_or(|host| host.is_empty() || host.contains(['/', '?', '#', '@'])) {
            return Err(options.invalid("splunk-url", "it is scheme://host:port, http or https, without a path"));
        }
        let format = match options.text("splunk-format") {
            None | Some("inline") => SplunkFormat::Inline,
            Some("json") => SplunkFormat::Json,
            Some("raw") => SplunkFormat::Raw,
            Some(_) => return Err(options.invalid("splunk-format", "it is inline, json or raw")),
        };
        let level: Option<i32> = options.number("splunk-gzip-level")?;
        if level.is_some_and(|level| !(-1..=9).contains(&level)) {
            return Err(options.invalid("splunk-gzip-level", "it is -1 to 9"));
        }
        let gzip = match (options.flag("splunk-gzip")?, level.map(u32::try_from)) {
            (false, _) => Gzip::Off,
            (true, Some(Ok(level))) => Gzip::Level(level),
            (true, Some(Err(_)) | None) => Gzip::Default,
        };
        let verifies =
            options.text("splunk-verify-connection").is_none() || options.flag("splunk-verify-connection")?;
        if options.flag("splunk-index-acknowledgment")? {
            return Err(options.invalid("splunk-index-acknowledgment", "acknowledgements are not supported"));
        }
        if options.text("splunk-caname").is_some() {
            return Err(options.invalid("splunk-caname", "another name than the URL's is not supported"));
        }
        Ok(Self {
            url,
            token: options.required("splunk-token")?.to_owned(),
            source: options.owned("splunk-source"),
            source_type: options.owned("splunk-sourcetype"),
            index: options.owned("splunk-index"),
            format,
            gzip,
            verifies,
            trusts_anybody: options.flag("splunk-insecureskipverify")?,
            authority: options.owned("splunk-capath"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::options;
    use super::*;

    #[test]
    fn a_url_has_no_path_and_a_token_is_needed() {
        let read = |pairs: &[(&str, &str)]| {
            let all = options(pairs);
            Splunk::read(&mut Options::new("splunk", &all)).map_err(|error| error.to_string())
        };
        let token = ("splunk-token", "t");
        assert_eq!(read(&[token, ("splunk-url", "https://h:8088/")]).unwrap().url, "https://h:8088");
        assert!(read(&[token, ("splunk-url", "https://h:8088/services")]).is_err());
        assert!(read(&[token, ("splunk-url", "ftp://h")]).is_err());
        let missing = read(&[("splunk-url", "https://h:8088")]).unwrap_err();
        assert_eq!(missing, "must specify a value for log opt 'splunk-token'");
    }
}
