//! The one table of what ECS knows and what berth does with it: every member of a task definition, its JSON shape, and
//! whether it is supported, accepted with a warning, or refused. `convert` reads shapes from it, `support` refuses by it,
//! so that neither can drift from the other. Members and shapes are those of the ECS service model.

/// What berth does with a member, or with a word that it can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// What ECS does.
    Supported,
    /// The task runs without it; the remark says what is missing.
    AcceptedWithWarning(&'static str),
    /// The task would be wrong without it.
    Refused(Refusal),
}

/// Who refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// This version of berth.
    Berth,
    /// ECS, in these words.
    Ecs(&'static str),
    /// ECS, in these words, for Fargate; this version of berth for all others.
    Fargate(&'static str),
}

/// The JSON shape of a member.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// A string.
    Text,
    /// One of these strings.
    Word(&'static [Word]),
    /// A number without decimals, of 32 bits.
    Integer,
    /// true or false.
    Boolean,
    /// Not looked into.
    Any,
    /// A list.
    List(&'static Shape),
    /// An object of strings with names of the user's own.
    Map,
    /// An object with these members.
    Structure(&'static [Field]),
}

/// A string that a member can be.
#[derive(Debug, Clone, Copy)]
pub struct Word {
    /// The string.
    pub text: &'static str,
    /// What berth does with it.
    pub support: Support,
}

/// A member of an object.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name in JSON.
    pub name: &'static str,
    /// Its shape.
    pub shape: Shape,
    /// What berth does with it.
    pub support: Support,
    /// Whether the object around it means nothing without it. (What else ECS demands is the rules' part.)
    pub required: bool,
}

use Shape::{Any, Boolean, Integer, List, Map, Structure, Text};

const fn yes(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, support: Support::Supported, required: false }
}

const fn must(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, support: Support::Supported, required: true }
}

const fn warn(name: &'static str, shape: Shape, remark: &'static str) -> Field {
    Field { name, shape, support: Support::AcceptedWithWarning(remark), required: false }
}

const fn no(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, support: Support::Refused(Refusal::Berth), required: false }
}

const fn ecs(name: &'static str, shape: Shape, words: &'static str) -> Field {
    Field { name, shape, support: Support::Refused(Refusal::Ecs(words)), required: false }
}

const fn fargate(name: &'static str, shape: Shape, words: &'static str) -> Field {
    Field { name, shape, support: Support::Refused(Refusal::Fargate(words)), required: false }
}

const fn word(text: &'static str) -> Word {
    Word { text, support: Support::Supported }
}

const fn no_word(text: &'static str) -> Word {
    Word { text, support: Support::Refused(Refusal::Berth) }
}

const fn fargate_word(text: &'static str, words: &'static str) -> Word {
    Word { text, support: Support::Refused(Refusal::Fargate(words)) }
}

const TEXTS: Shape = List(&Text);
const ONLY_AWSVPC: &str = "Fargate only supports network mode 'awsvpc'.";
const NO_CREDENTIALS: &str = "containers are given no credentials";

/// What RegisterTaskDefinition takes: 19 members.
pub const TASK_DEFINITION: &[Field] = &[
    yes("family", Text),
    warn("taskRoleArn", Text, NO_CREDENTIALS),
    warn("executionRoleArn", Text, "images come from the local store, output stays here: the role is not used"),
    yes("networkMode", Shape::Word(NETWORK_MODES)),
    yes("containerDefinitions", List(&Structure(CONTAINER_DEFINITION))),
    no("volumes", List(&Structure(VOLUME))),
    fargate("placementConstraints", Any, "Fargate compatible task definitions do not support constraints"),
    yes("requiresCompatibilities", List(&Shape::Word(COMPATIBILITIES))),
    yes("cpu", Text),
    yes("memory", Text),
    warn("tags", List(&Structure(TAG)), "tags are kept, and nothing is selected by them"),
    yes("pidMode", Shape::Word(PID_MODES)),
    fargate("ipcMode", Shape::Word(IPC_MODES), "Fargate compatible task definitions do not support ipcMode"),
    no("proxyConfiguration", Any),
    ecs("inferenceAccelerators", Any, "Unsupported field 'inferenceAccelerators'"),
    warn("ephemeralStorage", Structure(&[must("sizeInGiB", Integer)]), "the size is not held to"),
    yes("runtimePlatform", Structure(RUNTIME_PLATFORM)),
    warn("enableFaultInjection", Boolean, "there are no fault endpoints"),
    no("trustedExecutionConfiguration", Any),
];

/// What describe-task-definition returns beside these; it is passed over when pasted back.
pub const READ_ONLY: &[&str] = &[
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
    "deleteRequestedAt",
];

/// A container definition: 42 members.
pub const CONTAINER_DEFINITION: &[Field] = &[
    yes("name", Text),
    yes("image", Text),
    yes("repositoryCredentials", Structure(&[must("credentialsParameter", Text)])),
    yes("cpu", Integer),
    yes("memory", Integer),
    yes("memoryReservation", Integer),
    ecs("links", TEXTS, "Links are not supported when networkMode=awsvpc"),
    yes("portMappings", List(&Structure(PORT_MAPPING))),
    yes("essential", Boolean),
    warn("restartPolicy", Structure(RESTART_POLICY), "the container is not restarted"),
    yes("entryPoint", TEXTS),
    yes("command", TEXTS),
    yes("environment", List(&Structure(&[yes("name", Text), yes("value", Text)]))),
    no("environmentFiles", List(&Structure(&[must("value", Text), must("type", Text)]))),
    no("mountPoints", List(&Structure(MOUNT_POINT))),
    no("volumesFrom", List(&Structure(&[yes("sourceContainer", Text), yes("readOnly", Boolean)]))),
    yes("linuxParameters", Structure(LINUX_PARAMETERS)),
    no("secrets", List(&Structure(SECRET))),
    yes("dependsOn", List(&Structure(CONTAINER_DEPENDENCY))),
    warn("startTimeout", Integer, "dependents wait for the start without a limit"),
    yes("stopTimeout", Integer),
    yes("versionConsistency", Shape::Word(&[word("enabled"), word("disabled")])),
    ecs("hostname", Text, "hostname is not supported on container when networkMode=awsvpc"),
    yes("user", Text),
    yes("workingDirectory", Text),
    ecs("disableNetworking", Boolean, "Disable Networking is not supported on container when networkMode=awsvpc"),
    fargate("privileged", Boolean, "Fargate requires that the 'privileged' setting be 'false'"),
    yes("readonlyRootFilesystem", Boolean),
    ecs("dnsServers", TEXTS, "DNS servers are not supported on container when networkMode=awsvpc"),
    ecs("dnsSearchDomains", TEXTS, "DNS search domains are not supported on container when networkMode=awsvpc"),
    ecs(
        "extraHosts",
        List(&Structure(&[must("hostname", Text), must("ipAddress", Text)])),
        "Extra hosts are not supported on container when networkMode=awsvpc",
    ),
    fargate("dockerSecurityOptions", TEXTS, "Fargate compatible task definitions do not support dockerSecurityOptions"),
    warn("interactive", Boolean, "standard input is empty"),
    warn("pseudoTerminal", Boolean, "the container has no terminal"),
    yes("dockerLabels", Map),
    yes("ulimits", List(&Structure(ULIMIT))),
    warn("logConfiguration", Structure(LOG_CONFIGURATION), "output is kept here, the log driver is not used"),
    warn("healthCheck", Structure(HEALTH_CHECK), "the check is not run, health stays UNKNOWN"),
    no("systemControls", List(&Structure(&[yes("namespace", Text), yes("value", Text)]))),
    no("resourceRequirements", Any),
    no("firelensConfiguration", Any),
    no("credentialSpecs", TEXTS),
];

const NETWORK_MODES: &[Word] = &[
    word("awsvpc"),
    fargate_word("bridge", ONLY_AWSVPC),
    fargate_word("host", ONLY_AWSVPC),
    fargate_word("none", ONLY_AWSVPC),
];

const COMPATIBILITIES: &[Word] = &[word("EC2"), word("FARGATE"), no_word("EXTERNAL"), no_word("MANAGED_INSTANCES")];

const PID_MODES: &[Word] =
    &[fargate_word("host", "Tasks using the Fargate launch type do not support pidMode 'host'"), no_word("task")];

const IPC_MODES: &[Word] = &[word("host"), word("task"), word("none")];

const RUNTIME_PLATFORM: &[Field] = &[
    yes("cpuArchitecture", Shape::Word(&[word("X86_64"), no_word("ARM64")])),
    yes(
        "operatingSystemFamily",
        Shape::Word(&[
            word("LINUX"),
            no_word("WINDOWS_SERVER_2016_FULL"),
            no_word("WINDOWS_SERVER_2019_FULL"),
            no_word("WINDOWS_SERVER_2019_CORE"),
            no_word("WINDOWS_SERVER_2004_CORE"),
            no_word("WINDOWS_SERVER_20H2_CORE"),
            no_word("WINDOWS_SERVER_2022_FULL"),
            no_word("WINDOWS_SERVER_2022_CORE"),
            no_word("WINDOWS_SERVER_2025_FULL"),
            no_word("WINDOWS_SERVER_2025_CORE"),
        ]),
    ),
];

const TAG: &[Field] = &[yes("key", Text), yes("value", Text)];

const VOLUME: &[Field] = &[
    yes("name", Text),
    yes("host", Structure(&[yes("sourcePath", Text)])),
    yes("dockerVolumeConfiguration", Any),
    yes("efsVolumeConfiguration", Any),
    yes("s3filesVolumeConfiguration", Any),
    yes("fsxWindowsFileServerVolumeConfiguration", Any),
    yes("configuredAtLaunch", Boolean),
];

const PORT_MAPPING: &[Field] = &[
    yes("containerPort", Integer),
    yes("hostPort", Integer),
    // Not a Word: ECS takes any other word as tcp.
    yes("protocol", Text),
    yes("name", Text),
    yes("appProtocol", Shape::Word(&[word("http"), word("http2"), word("grpc")])),
    yes("containerPortRange", Text),
];

const RESTART_POLICY: &[Field] =
    &[must("enabled", Boolean), yes("ignoredExitCodes", List(&Integer)), yes("restartAttemptPeriod", Integer)];

const MOUNT_POINT: &[Field] = &[yes("sourceVolume", Text), yes("containerPath", Text), yes("readOnly", Boolean)];

const SECRET: &[Field] = &[must("name", Text), must("valueFrom", Text)];

const LINUX_PARAMETERS: &[Field] = &[
    yes("capabilities", Structure(&[yes("add", TEXTS), yes("drop", TEXTS)])),
    fargate("devices", List(&Structure(DEVICE)), "Fargate compatible task definitions do not support devices"),
    warn("initProcessEnabled", Boolean, "the container's own first process is process 1"),
    fargate("sharedMemorySize", Integer, "Fargate compatible task definitions do not support sharedMemorySize"),
    no("tmpfs", List(&Structure(&[must("containerPath", Text), must("size", Integer), yes("mountOptions", TEXTS)]))),
    fargate("maxSwap", Integer, "Fargate compatible task definitions do not support maxSwap"),
    fargate("swappiness", Integer, "Fargate compatible task definitions do not support swappiness"),
];

const DEVICE: &[Field] = &[must("hostPath", Text), yes("containerPath", Text), yes("permissions", TEXTS)];

const CONTAINER_DEPENDENCY: &[Field] = &[
    must("containerName", Text),
    Field {
        name: "condition",
        shape: Shape::Word(&[word("START"), no_word("COMPLETE"), no_word("SUCCESS"), no_word("HEALTHY")]),
        support: Support::Supported,
        required: true,
    },
];

const ULIMIT: &[Field] = &[must("name", Shape::Word(ULIMITS)), must("softLimit", Integer), must("hardLimit", Integer)];

const ULIMITS: &[Word] = &[
    word("core"),
    word("cpu"),
    word("data"),
    word("fsize"),
    word("locks"),
    word("memlock"),
    word("msgqueue"),
    word("nice"),
    word("nofile"),
    word("nproc"),
    word("rss"),
    word("rtprio"),
    word("rttime"),
    word("sigpending"),
    word("stack"),
];

const LOG_CONFIGURATION: &[Field] = &[
    must(
        "logDriver",
        Shape::Word(&[
            word("awslogs"),
            word("awsfirelens"),
            word("splunk"),
            word("json-file"),
            word("journald"),
            word("syslog"),
            word("gelf"),
            word("fluentd"),
        ]),
    ),
    yes("options", Map),
    yes("secretOptions", List(&Structure(SECRET))),
];

const HEALTH_CHECK: &[Field] = &[
    must("command", TEXTS),
    yes("interval", Integer),
    yes("timeout", Integer),
    yes("retries", Integer),
    yes("startPeriod", Integer),
];

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::ecs::{ContainerDefinition, TaskDefinition};

    /// A value of every shape, with every member.
    fn full(shape: &Shape) -> Value {
        match shape {
            Text => json!("x"),
            Shape::Word(words) => json!(words[0].text),
            Integer => json!(1),
            Boolean => json!(true),
            Any => json!({"a": [1, "b"]}),
            List(of) => json!([full(of)]),
            Map => json!({"a.b": "c"}),
            Structure(fields) => fields.iter().map(|field| (field.name.to_owned(), full(&field.shape))).collect(),
        }
    }

    fn sorted(value: Value) -> Value {
        match value {
            Value::Object(members) => {
                let mut members: Vec<_> = members.into_iter().map(|(name, value)| (name, sorted(value))).collect();
                members.sort_by(|a, b| a.0.cmp(&b.0));
                Value::Object(members.into_iter().collect())
            }
            Value::Array(elements) => elements.into_iter().map(sorted).collect(),
            value => value,
        }
    }

    #[test]
    fn the_table_has_all_members_of_the_service_model() {
        assert_eq!((TASK_DEFINITION.len(), READ_ONLY.len(), CONTAINER_DEFINITION.len()), (19, 9, 42));
    }

    #[test]
    fn the_vocabulary_has_all_members_of_the_table() {
        let value = full(&Structure(TASK_DEFINITION));
        let definition: TaskDefinition = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(sorted(serde_json::to_value(&definition).unwrap()), sorted(value));
    }

    #[test]
    fn the_table_has_all_members_of_the_vocabulary() {
        let known = |fields: &[Field], value: Value| {
            let Value::Object(members) = value else { panic!("an object") };
            members.keys().all(|name| fields.iter().any(|field| field.name == name) || READ_ONLY.contains(&&**name))
        };
        let container: ContainerDefinition = serde_json::from_value(full(&Structure(CONTAINER_DEFINITION))).unwrap();
        assert!(known(CONTAINER_DEFINITION, serde_json::to_value(container).unwrap()));
        let definition: TaskDefinition = serde_json::from_value(full(&Structure(TASK_DEFINITION))).unwrap();
        assert!(known(TASK_DEFINITION, serde_json::to_value(definition).unwrap()));
    }
}
