//! The rows of a container definition, 42 members, and of the objects below them.

use super::Shape::{Boolean, Integer, List, Map, Structure, Text};
use super::{Field, Shape, TEXTS, Word, must, no, word, yes};

/// A container definition: 42 members.
pub const CONTAINER_DEFINITION: &[Field] = &[
    must("name", Text).ruled().remark("1 to 255 letters, digits, hyphens and underscores, once in a task"),
    must("image", Text)
        .ruled()
        .remark("any OCI registry, or what was imported; when a registry is asked is [image] pull-behavior"),
    yes("repositoryCredentials", Structure(&[must("credentialsParameter", Text)]))
        .remark("a secret of `berth secret`, or of AWS's: {\"username\": ..., \"password\": ...}"),
    yes("cpu", Integer).remark("a weight within the task, never a cap; 0, 1 and absent mean 2 shares"),
    yes("memory", Integer).remark("a hard limit of the container's control group, from 6 MiB"),
    yes("memoryReservation", Integer).remark("a soft limit: what the kernel leaves it when memory is short"),
    yes("links", TEXTS)
        .off_fargate("Links are not supported when networkMode=awsvpc")
        .remark("bridge mode: the other container's address in /etc/hosts, and it starts first; no environment variables"),
    yes("portMappings", List(&Structure(PORT_MAPPING)))
        .remark("opens nothing in awsvpc and host mode, where all ports are reachable; in bridge mode the host's port leads here"),
    yes("essential", Boolean).remark("absent means true: its end is the task's end"),
    yes("restartPolicy", Structure(RESTART_POLICY)).remark(
        "started again only if it ran for restartAttemptPeriod (300 s if absent) and its exit code is not ignored; it keeps its \
         writable layer",
    ),
    yes("entryPoint", TEXTS).remark("replaces the image's ENTRYPOINT, and drops its CMD"),
    yes("command", TEXTS).remark("replaces the image's CMD"),
    yes("environment", List(&Structure(&[yes("name", Text), yes("value", Text)])))
        .remark("of two variables with one name the last wins; AWS_REGION and the like are set by berth"),
    yes("environmentFiles", List(&Structure(ENVIRONMENT_FILE)))
        .remark("from a directory that stands for the bucket ([environment-files] in config.toml), or from S3"),
    yes("mountPoints", List(&Structure(MOUNT_POINT))),
    yes("volumesFrom", List(&Structure(&[yes("sourceContainer", Text), yes("readOnly", Boolean)]))),
    yes("linuxParameters", Structure(LINUX_PARAMETERS)),
    yes("secrets", List(&Structure(SECRET)))
        .remark("from `berth secret`, or from AWS ([secrets] in config.toml); the values stand in no record"),
    yes("dependsOn", List(&Structure(CONTAINER_DEPENDENCY))).remark("stops go in the reverse order"),
    yes("startTimeout", Integer)
        .remark("seconds from its start in which it must be COMPLETE, SUCCESS or HEALTHY for others, else the task stops"),
    yes("stopTimeout", Integer)
        .remark("seconds from the stop signal to SIGKILL, 30 if absent; above 120 with a warning only"),
    yes("versionConsistency", Shape::Word(&[word("enabled"), word("disabled")]))
        .remark("whether the tag is resolved once for all tasks of a deployment, or by each task"),
    yes("hostname", Text).off_fargate("hostname is not supported on container when networkMode=awsvpc"),
    yes("user", Text).remark("looked up in the image's /etc/passwd and /etc/group, without running code of the image"),
    yes("workingDirectory", Text).remark("absolute; made if the image has none"),
    yes("disableNetworking", Boolean)
        .off_fargate("Disable Networking is not supported on container when networkMode=awsvpc")
        .remark("the container has nothing but lo"),
    yes("privileged", Boolean)
        .remark("only where [instance] privileged allows it: all capabilities and devices, no filter, nothing masked")
        .off_fargate("Fargate requires that the 'privileged' setting be 'false'"),
    yes("readonlyRootFilesystem", Boolean).remark("`berth exec` works all the same"),
    yes("dnsServers", TEXTS).off_fargate("DNS servers are not supported on container when networkMode=awsvpc"),
    yes("dnsSearchDomains", TEXTS)
        .off_fargate("DNS search domains are not supported on container when networkMode=awsvpc"),
    yes("extraHosts", List(&Structure(&[must("hostname", Text), must("ipAddress", Text)])))
        .off_fargate("Extra hosts are not supported on container when networkMode=awsvpc"),
    yes("dockerSecurityOptions", TEXTS)
        .remark("no-new-privileges; apparmor:unconfined, which every container is; others are refused by name")
        .off_fargate("Fargate compatible task definitions do not support dockerSecurityOptions"),
    yes("interactive", Boolean).remark("standard input stays open, and nobody writes to it; otherwise it is empty"),
    yes("pseudoTerminal", Boolean).remark("a terminal, whose output is the container's log"),
    yes("dockerLabels", Map).remark("kept with the task, with the five com.amazonaws.ecs.* ones"),
    yes("ulimits", List(&Structure(ULIMIT))).remark("nofile is 65535 if absent, core is 0"),
    yes("logConfiguration", Structure(LOG_CONFIGURATION))
        .remark("without one output is kept here all the same: `berth logs` shows it, whatever the driver but none"),
    yes("healthCheck", Structure(HEALTH_CHECK)).remark(
        "run with the container's user, capabilities and filter, killed with all that it started when it has ended or taken \
         too long; the image's HEALTHCHECK is ignored",
    ),
    yes("systemControls", List(&Structure(&[yes("namespace", Text), yes("value", Text)]))).remark(
        "net.* is the task's: of two containers the one that starts last wins; those of IPC are the container's",
    ),
    yes("resourceRequirements", List(&Structure(RESOURCE_REQUIREMENT)))
        .remark("GPU: the device nodes that [instance] gpus names, each GPU for one container at a time")
        .off_fargate("Tasks using the Fargate launch type do not support GPU resource requirements"),
    yes("firelensConfiguration", Structure(FIRELENS_CONFIGURATION))
        .remark("the router's configuration is made as the ECS agent makes it; config-file-type file only"),
    no("credentialSpecs", TEXTS),
];

const PORT_MAPPING: &[Field] = &[
    yes("containerPort", Integer),
    yes("hostPort", Integer).remark("equal to containerPort in awsvpc and host mode; in bridge mode 0 or absent means any free one of 49153 to 65535"),
    // Not a Word: ECS takes any other word as tcp.
    yes("protocol", Text).remark("tcp or udp; any other word means tcp"),
    yes("name", Text),
    yes("appProtocol", Shape::Word(&[word("http"), word("http2"), word("grpc")])),
    yes("containerPortRange", Text),
];

const RESTART_POLICY: &[Field] =
    &[must("enabled", Boolean), yes("ignoredExitCodes", List(&Integer)), yes("restartAttemptPeriod", Integer)];

pub(super) const ENVIRONMENT_FILE: &[Field] = &[must("value", Text), must("type", Shape::Word(&[word("s3")]))];

const MOUNT_POINT: &[Field] = &[yes("sourceVolume", Text), yes("containerPath", Text), yes("readOnly", Boolean)];

const SECRET: &[Field] = &[must("name", Text), must("valueFrom", Text)];

const LINUX_PARAMETERS: &[Field] = &[
    yes("capabilities", Structure(&[yes("add", TEXTS), yes("drop", TEXTS)])).remark(
        "Docker's default set, without those dropped, with those added: on Fargate SYS_PTRACE, else as [instance] says",
    ),
    yes("devices", List(&Structure(DEVICE)))
        .remark("those that [instance] devices names; a directory stands for all devices in it")
        .off_fargate("Fargate compatible task definitions do not support devices"),
    yes("initProcessEnabled", Boolean).remark("berth's own init reaps orphans and passes signals on"),
    yes("sharedMemorySize", Integer)
        .remark("the size of /dev/shm in MiB; 64 if absent")
        .off_fargate("Fargate compatible task definitions do not support sharedMemorySize"),
    yes("tmpfs", List(&Structure(&[must("containerPath", Text), must("size", Integer), yes("mountOptions", TEXTS)]))),
    yes("maxSwap", Integer)
        .remark("MiB beside the container's memory, as far as the host has swap; absent means none")
        .off_fargate("Fargate compatible task definitions do not support maxSwap"),
    yes("swappiness", Integer)
        .remark("where the host has cgroup v1, which alone knows it; ignored without maxSwap")
        .off_fargate("Fargate compatible task definitions do not support swappiness"),
];

const DEVICE: &[Field] = &[
    must("hostPath", Text),
    yes("containerPath", Text),
    yes("permissions", List(&Shape::Word(&[word("read"), word("write"), word("mknod")]))),
];

const CONTAINER_DEPENDENCY: &[Field] = &[
    must("containerName", Text),
    must("condition", Shape::Word(&[word("START"), word("COMPLETE"), word("SUCCESS"), word("HEALTHY")])),
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
            word("none"),
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

pub(super) const RESOURCE_REQUIREMENT: &[Field] = &[
    yes("value", Text),
    must("type", Shape::Word(&[word("GPU"), word("InferenceAccelerator"), word("NeuronDevice")])),
    yes(
        "sharingStrategy",
        Structure(&[yes("nvidiaMps", Structure(&[must("memory", Integer), yes("maxComputePercent", Integer)]))]),
    ),
];

const FIRELENS_CONFIGURATION: &[Field] =
    &[must("type", Shape::Word(&[word("fluentd"), word("fluentbit")])), yes("options", Map)];
