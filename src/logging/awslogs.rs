//! `awslogs`: a group and a stream of CloudWatch Logs.

use super::options::{LogOptionError, Options};
use super::pattern::Multiline;

/// The longest name of a group or stream (CloudWatch Logs API reference).
const LONGEST: usize = 512;

/// What `awslogs` was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsLogs {
    /// `awslogs-group`.
    pub group: String,
    /// `awslogs-region`; the task's where it is absent.
    pub region: Option<String>,
    /// `awslogs-stream-prefix`: the stream is `PREFIX/CONTAINER/TASK`.
    pub stream_prefix: Option<String>,
    /// `awslogs-stream`: the stream's whole name.
    pub stream: Option<String>,
    /// `awslogs-create-group`.
    pub creates_group: bool,
    /// `awslogs-create-stream`, true where it is absent.
    pub creates_stream: bool,
    /// `awslogs-endpoint`.
    pub endpoint: Option<String>,
    /// What begins an event of several lines.
    pub multiline: Option<Multiline>,
    /// `awslogs-force-flush-interval-seconds`: how long an event waits for others.
    pub flush_seconds: Option<u32>,
    /// `awslogs-max-buffered-events`: how many events wait for each other.
    pub buffered_events: Option<u32>,
    /// `awslogs-format` is `json/emf`: the events are in the embedded metric format.
    pub is_emf: bool,
}

impl AwsLogs {
    pub(super) fn read(options: &mut Options) -> Result<Self, LogOptionError> {
        let group = options.required("awslogs-group")?.to_owned();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/#".contains(&byte);
        if group.len() > LONGEST || !group.bytes().all(fits) {
            let why =
                "a group's name is 1 to 512 letters, digits, periods, hyphens, underscores, slashes and number signs";
            return Err(options.invalid("awslogs-group", why));
        }
        let multiline = multiline(options)?;
        let stream = stream(options, "awslogs-stream")?;
        let creates_stream =
            options.text("awslogs-create-stream").is_none() || options.flag("awslogs-create-stream")?;
        let is_emf = emf(options, multiline.is_some())?;
        Ok(Self {
            group,
            region: options.owned("awslogs-region"),
            stream_prefix: stream_prefix(options)?,
            stream,
            creates_group: options.flag("awslogs-create-group")?,
            creates_stream,
            endpoint: options.owned("awslogs-endpoint"),
            multiline,
            flush_seconds: positive(options, "awslogs-force-flush-interval-seconds")?,
            buffered_events: positive(options, "awslogs-max-buffered-events")?,
            is_emf,
        })
    }

    /// The stream of a container.
    pub fn stream_name(&self, container: &str, task: &str, otherwise: &str) -> String {
        match (&self.stream_prefix, &self.stream) {
            (Some(prefix), _) => format!("{prefix}/{container}/{task}"),
            (None, Some(stream)) => stream.clone(),
            (None, None) => otherwise.to_owned(),
        }
    }
}

fn stream_prefix(options: &mut Options) -> Result<Option<String>, LogOptionError> {
    stream(options, "awslogs-stream-prefix")
}

fn stream(options: &mut Options, name: &'static str) -> Result<Option<String>, LogOptionError> {
    let stream = options.owned(name);
    match &stream {
        Some(text) if text.len() > LONGEST || text.contains([':', '*']) || text.contains(char::is_control) => {
            Err(options.invalid(name, "a stream's name is 1 to 512 characters without colon and asterisk"))
        }
        _ => Ok(stream),
    }
}

fn positive(options: &mut Options, name: &'static str) -> Result<Option<u32>, LogOptionError> {
    match options.number(name)? {
        Some(0) => Err(options.invalid(name, "it is a positive number")),
        number => Ok(number),
    }
}

fn emf(options: &mut Options, is_multiline: bool) -> Result<bool, LogOptionError> {
    const FORMAT: &str = "awslogs-format";
    match options.text(FORMAT) {
        None => Ok(false),
        Some("json/emf") if is_multiline => {
            Err(options.invalid(FORMAT, "it does not go with awslogs-datetime-format or awslogs-multiline-pattern"))
        }
        Some("json/emf") => Ok(true),
        Some(_) => Err(options.invalid(FORMAT, "it is json/emf")),
    }
}

fn multiline(options: &mut Options) -> Result<Option<Multiline>, LogOptionError> {
    const FORMAT: &str = "awslogs-datetime-format";
    const PATTERN: &str = "awslogs-multiline-pattern";
    match (options.text(FORMAT), options.regex(PATTERN)?) {
        (Some(_), Some(_)) => Err(LogOptionError::Both(FORMAT, PATTERN)),
        (Some(format), None) => Multiline::of_datetime(format).map(Some).map_err(|why| options.invalid(FORMAT, &why)),
        (None, Some(pattern)) => {
            Multiline::of_pattern(&pattern).map(Some).map_err(|why| options.invalid(PATTERN, &why))
        }
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::options;
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<AwsLogs, String> {
        let all = options(pairs);
        AwsLogs::read(&mut Options::new("awslogs", &all)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_stream_is_prefix_container_and_task() {
        let logs = read(&[("awslogs-group", "/ecs/web"), ("awslogs-stream-prefix", "prod")]).unwrap();
        assert_eq!(logs.stream_name("app", "0123", "id"), "prod/app/0123");
        let logs = read(&[("awslogs-group", "g"), ("awslogs-stream", "all")]).unwrap();
        assert_eq!(logs.stream_name("app", "0123", "id"), "all");
        assert_eq!(read(&[("awslogs-group", "g")]).unwrap().stream_name("app", "0123", "id"), "id");
    }

    #[test]
    fn names_and_patterns_that_cloudwatch_would_refuse_are_refused() {
        assert!(read(&[("awslogs-group", "a group")]).unwrap_err().contains("awslogs-group"));
        let long = "x".repeat(513);
        assert!(read(&[("awslogs-group", &long)]).is_err());
        assert!(read(&[("awslogs-group", "g"), ("awslogs-stream", "a:b")]).unwrap_err().contains("awslogs-stream"));
        assert!(
            read(&[("awslogs-group", "g"), ("awslogs-multiline-pattern", "(")])
                .unwrap_err()
                .contains("multiline-pattern")
        );
        let both = [("awslogs-group", "g"), ("awslogs-multiline-pattern", "^x"), ("awslogs-datetime-format", "%Y")];
        assert!(read(&both).unwrap_err().ends_with("at the same time"));
    }
}
