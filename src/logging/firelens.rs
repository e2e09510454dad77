//! The configuration of a task's log router, as the ECS agent writes it: where it listens, what it adds to each record, and
//! where each container's records go. fluent-bit and fluentd have a language of their own each.

use std::collections::BTreeMap;
use std::fmt::Write;

/// The router's socket, in a directory that it shares with the host.
pub const SOCKET: &str = "/var/run/fluent.sock";
/// That directory.
pub const SOCKET_DIRECTORY: &str = "/var/run";
/// `FLUENT_PORT`.
pub const PORT: &str = "24224";
/// Options of `awsfirelens` that are not the router's.
pub(super) const OWN_OPTIONS: [&str; 3] = ["log-driver-buffer-limit", "mode", "max-buffer-size"];
/// How long a line is taken to be where a number of lines is given, in bytes.
pub const LINE: u64 = 1024;

/// The two programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// fluent-bit.
    FluentBit,
    /// fluentd.
    Fluentd,
}

/// What `firelensConfiguration` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Router {
    /// Which program.
    pub kind: Kind,
    /// `enable-ecs-log-metadata`, true where it is absent.
    pub metadata: bool,
    /// A configuration file in the image, included after the filters.
    pub file: Option<String>,
}

/// Why it cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouterError {
    /// Neither of the two.
    #[error("the type of a firelensConfiguration is fluentd or fluentbit, not {0:?}")]
    Kind(String),
    /// An option that there is not.
    #[error(
        "unknown option {0:?} of a firelensConfiguration; there are enable-ecs-log-metadata, config-file-type and config-file-value"
    )]
    Option(String),
    /// An option with a value that it cannot have.
    #[error("the option {name} of a firelensConfiguration is {allowed}, not {value:?}")]
    Value {
        /// The option.
        name: &'static str,
        /// What it can be.
        allowed: &'static str,
        /// What it is.
        value: String,
    },
    /// Half of a pair.
    #[error("config-file-type and config-file-value of a firelensConfiguration go together")]
    Half,
    /// A container's output has options and no name.
    #[error(
        "unable to apply log options of container {container} to firelens config: missing output key {key} which is required for firelens configuration of type {kind}"
    )]
    NoOutput {
        /// The container.
        container: String,
        /// `Name` or `@type`.
        key: &'static str,
        /// `fluentbit` or `fluentd`.
        kind: &'static str,
    },
    /// A value that would change the configuration's structure.
    #[error("log option {option} of container {container} has a line break")]
    LineBreak {
        /// The container.
        container: String,
        /// The option.
        option: String,
    },
}

impl Kind {
    /// ECS's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::FluentBit => "fluentbit",
            Self::Fluentd => "fluentd",
        }
    }

    /// Where the program looks for its configuration.
    pub fn config_path(self) -> &'static str {
        match self {
            Self::FluentBit => "/fluent-bit/etc/fluent-bit.conf",
            Self::Fluentd => "/fluentd/etc/fluent.conf",
        }
    }

    fn output_key(self) -> &'static str {
        match self {
            Self::FluentBit => "Name",
            Self::Fluentd => "@type",
        }
    }
}

impl Router {
    /// Reads type and options.
    pub fn read(kind: &str, options: &BTreeMap<String, String>) -> Result<Self, RouterError> {
        let kind = match kind {
            "fluentbit" => Kind::FluentBit,
            "fluentd" => Kind::Fluentd,
            other => return Err(RouterError::Kind(other.to_owned())),
        };
        let known = ["enable-ecs-log-metadata", "config-file-type", "config-file-value"];
        if let Some(name) = options.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(RouterError::Option(name.clone()));
        }
        let wrong = |name, allowed, value: &String| RouterError::Value { name, allowed, value: value.clone() };
        let metadata = match options.get(known[0]) {
            None => true,
            Some(text) if text == "true" => true,
            Some(text) if text == "false" => false,
            Some(text) => return Err(wrong(known[0], "true or false", text)),
        };
        let file = match (options.get(known[1]), options.get(known[2])) {
            (None, None) => None,
            (Some(kind), Some(path)) if kind == "file" => match path.starts_with('/') && !path.contains(['\n', '\r']) {
                true => Some(path.clone()),
                false => return Err(wrong(known[2], "an absolute path in the image", path)),
            },
            (Some(kind), Some(_)) => return Err(wrong(known[1], "file (s3 cannot be had here, nor on Fargate)", kind)),
            _ => return Err(RouterError::Half),
        };
        Ok(Self { kind, metadata, file })
    }
}

/// What the router is told of its task.
#[derive(Debug, Clone)]
pub struct TaskFacts<'a> {
    /// The cluster's name.
    pub cluster: &'a str,
    /// The task's ARN.
    pub task_arn: &'a str,
    /// `family:revision`.
    pub definition: String,
    /// Where its port listens: the loopback address in awsvpc, every address in bridge mode, nowhere (host mode).
    pub listens: Option<&'static str>,
}

/// One container's way out: its name, and the options of its `awsfirelens`.
pub type Route<'a> = (&'a str, BTreeMap<String, String>);

/// The whole configuration.
pub fn configuration(router: &Router, task: &TaskFacts, routes: &[Route]) -> Result<String, RouterError> {
    for (container, options) in routes {
        if let Some((option, _)) =
            options.iter().find(|(name, value)| (name.to_string() + value).contains(['\n', '\r']))
        {
            return Err(RouterError::LineBreak { container: (*container).to_owned(), option: option.clone() });
        }
    }
    let mut text = String::new();
    match router.kind {
        Kind::FluentBit => fluent_bit(&mut text, router, task, routes),
        Kind::Fluentd => fluentd(&mut text, router, task, routes),
    }
    .map(|()| text)
}

/// The name of a container's output plug-in, and its options.
type Output<'a> = (&'a str, Vec<(&'a str, &'a str)>);

/// The options of a container's output, and the name of its plug-in; none where an included file says it all.
fn output<'a>(kind: Kind, (container, options): &'a Route) -> Result<Option<Output<'a>>, RouterError> {
    let special = |name: &str| {
        OWN_OPTIONS.contains(&name) || [kind.output_key(), "include-pattern", "exclude-pattern"].contains(&name)
    };
    let own: Vec<_> = options
        .iter()
        .filter(|(name, _)| !special(name))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    match options.get(kind.output_key()) {
        Some(plugin) => Ok(Some((plugin, own))),
        None if own.is_empty() => Ok(None),
        None => {
            Err(RouterError::NoOutput { container: (*container).to_owned(), key: kind.output_key(), kind: kind.word() })
        }
    }
}

fn fluent_bit(out: &mut String, router: &Router, task: &TaskFacts, routes: &[Route]) -> Result<(), RouterError> {
    let mut section = |name: &str, lines: &[(&str, &str)]| {
        let _ = write!(out, "\n[{name}]\n");
        for (key, value) in lines {
            let _ = writeln!(out, "    {key} {value}");
        }
    };
    section("INPUT", &[("Name", "forward"), ("unix_path", SOCKET)]);
    if let Some(address) = task.listens {
        section("INPUT", &[("Name", "forward"), ("Listen", address), ("Port", PORT)]);
        let health = [("Name", "tcp"), ("Tag", "firelens-healthcheck"), ("Listen", "127.0.0.1"), ("Port", "8877")];
        section("INPUT", &health);
    }
    for (container, options) in routes {
        let matches = format!("{container}-firelens*");
        for (option, key) in [("include-pattern", "Regex"), ("exclude-pattern", "Exclude")] {
            if let Some(pattern) = options.get(option) {
                section("FILTER", &[("Name", "grep"), ("Match", &matches), (key, &format!("log {pattern}"))]);
            }
        }
    }
    if router.metadata {
        let record = |name: &str, value: &str| format!("{name} {value}");
        let records = [
            record("ecs_cluster", task.cluster),
            record("ecs_task_arn", task.task_arn),
            record("ecs_task_definition", &task.definition),
        ];
        let mut lines = vec![("Name", "record_modifier"), ("Match", "*")];
        lines.extend(records.iter().map(|record| ("Record", record.as_str())));
        section("FILTER", &lines);
    }
    if let Some(file) = &router.file {
        let _ = write!(out, "\n@INCLUDE {file}\n");
    }
    let mut section = |lines: &[(&str, &str)]| {
        out.push_str("\n[OUTPUT]\n");
        for (key, value) in lines {
            let _ = writeln!(out, "    {key} {value}");
        }
    };
    if task.listens.is_some() {
        section(&[("Name", "null"), ("Match", "firelens-healthcheck")]);
    }
    for route in routes {
        if let Some((plugin, own)) = output(router.kind, route)? {
            let matches = format!("{}-firelens*", route.0);
            let mut lines = vec![("Name", plugin), ("Match", &matches)];
            lines.extend(own);
            section(&lines);
        }
    }
    Ok(())
}

fn fluentd(out: &mut String, router: &Router, task: &TaskFacts, routes: &[Route]) -> Result<(), RouterError> {
    let _ = write!(out, "\n<source>\n    @type unix\n    path {SOCKET}\n</source>\n");
    if let Some(address) = task.listens {
        let _ = write!(out, "\n<source>\n    @type forward\n    bind {address}\n    port {PORT}\n</source>\n");
    }
    for (container, options) in routes {
        for (option, tag) in [("include-pattern", "regexp"), ("exclude-pattern", "exclude")] {
            if let Some(pattern) = options.get(option) {
                let inner = format!("    <{tag}>\n        key log\n        pattern {pattern}\n    </{tag}>\n");
                let _ = write!(out, "\n<filter {container}-firelens**>\n    @type grep\n{inner}</filter>\n");
            }
        }
    }
    if router.metadata {
        let (cluster, arn, definition) = (task.cluster, task.task_arn, &task.definition);
        let record = format!(
            "        ecs_cluster {cluster}\n        ecs_task_arn {arn}\n        ecs_task_definition {definition}\n"
        );
        let _ = write!(
            out,
            "\n<filter **>\n    @type record_transformer\n    <record>\n{record}    </record>\n</filter>\n"
        );
    }
    if let Some(file) = &router.file {
        let _ = write!(out, "\n@include {file}\n");
    }
    for route in routes {
        if let Some((plugin, own)) = output(router.kind, route)? {
            let _ = write!(out, "\n<match {}-firelens**>\n    @type {plugin}\n", route.0);
            for (key, value) in own {
                let _ = writeln!(out, "    {key} {value}");
            }
            out.push_str("</match>\n");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::options;
    use super::*;

    fn task() -> TaskFacts<'static> {
        let task_arn = "arn:aws:ecs:us-east-1:000000000000:task/default/3de3";
        TaskFacts { cluster: "default", task_arn, definition: "web:1".to_owned(), listens: Some("127.0.0.1") }
    }

    fn routes() -> Vec<Route<'static>> {
        let pairs =
            [("Name", "firehose"), ("region", "us-west-2"), ("exclude-pattern", "^.*debug"), ("mode", "blocking")];
        vec![("app", options(&pairs))]
    }

    #[test]
    fn fluent_bit_hears_filters_and_sends() {
        let router =
            Router::read("fluentbit", &options(&[("config-file-type", "file"), ("config-file-value", "/x.conf")]));
        let text = configuration(&router.unwrap(), &task(), &routes()).unwrap();
        let expected = "
[INPUT]
    Name forward
    unix_path /var/run/fluent.sock

[INPUT]
    Name forward
    Listen 127.0.0.1
    Port 24224

[INPUT]
    Name tcp
    Tag firelens-healthcheck
    Listen 127.0.0.1
    Port 8877

[FILTER]
    Name grep
    Match app-firelens*
    Exclude log ^.*debug

[FILTER]
    Name record_modifier
    Match *
    Record ecs_cluster default
    Record ecs_task_arn arn:aws:ecs:us-east-1:000000000000:task/default/3de3
    Record ecs_task_definition web:1

@INCLUDE /x.conf

[OUTPUT]
    Name null
    Match firelens-healthcheck

[OUTPUT]
    Name firehose
    Match app-firelens*
    region us-west-2
";
        assert_eq!(text, expected);
    }

    #[test]
    fn fluentd_has_its_own_words() {
        let router = Router::read("fluentd", &options(&[("enable-ecs-log-metadata", "false")])).unwrap();
        let routes = [("app", options(&[("@type", "s3"), ("bucket", "b"), ("include-pattern", "x")]))];
        let text = configuration(&router, &task(), &routes).unwrap();
        assert!(text.contains("<source>\n    @type unix\n    path /var/run/fluent.sock\n</source>"), "{text}");
        assert!(
            text.contains("<filter app-firelens**>\n    @type grep\n    <regexp>\n        key log\n        pattern x")
        );
        assert!(
            text.ends_with("<match app-firelens**>\n    @type s3\n    bucket b\n</match>\n") && !text.contains("ecs_")
        );
    }

    #[test]
    fn options_that_make_no_sense_are_told() {
        let read = |pairs: &[(&str, &str)]| Router::read("fluentbit", &options(pairs)).unwrap_err().to_string();
        assert!(read(&[("config-file-type", "s3"), ("config-file-value", "arn:x")]).contains("s3"));
        assert!(read(&[("config-file-type", "file")]).contains("go together"));
        assert!(read(&[("enable-ecs-log-metadata", "yes")]).contains("true or false"));
        assert!(read(&[("nothing", "x")]).contains("nothing"));
        assert!(Router::read("logstash", &options(&[])).is_err());
        let router = Router::read("fluentbit", &options(&[])).unwrap();
        let configure = |pairs: &[(&str, &str)]| configuration(&router, &task(), &[("app", options(pairs))]);
        assert!(configure(&[("region", "x")]).unwrap_err().to_string().contains("missing output key Name"));
        assert!(configure(&[("Name", "x\n[INPUT]")]).is_err());
        assert!(configure(&[]).is_ok(), "an included file may say where records go");
    }
}
