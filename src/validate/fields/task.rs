//! The rows of a task definition: what RegisterTaskDefinition takes, 19 members, and the objects below them but the
//! containers.

use super::Shape::{Boolean, Integer, List, Map, Structure, Text};
use super::container::CONTAINER_DEFINITION;
use super::{Field, Shape, Word, ecs, must, no, no_word, warn, word, yes};

const ONLY_AWSVPC: &str = "Fargate only supports network mode 'awsvpc'.";

/// What RegisterTaskDefinition takes: 19 members.
pub const TASK_DEFINITION: &[Field] = &[
    must("family", Text)
        .ruled()
        .remark("1 to 255 letters, digits, hyphens and underscores; a changed definition is a new revision"),
    yes("taskRoleArn", Text)
        .remark("its credentials are those that [roles] of the configuration has for it; without, it has none; \
            awsvpc mode alone"),
    warn("executionRoleArn", Text, "images come with berth's own credentials, output stays here: the role is not used"),
    yes("networkMode", Shape::Word(NETWORK_MODES))
        .remark("awsvpc and bridge: a routed veth for each task, or each container; host; none; absent means bridge; \
            metadata and credentials at 169.254.170.2 in awsvpc mode alone, and no variable of them in the others"),
    must("containerDefinitions", List(&Structure(CONTAINER_DEFINITION)))
        .ruled()
        .remark("1 to 10, at least one of them essential"),
    yes("volumes", List(&Structure(VOLUME))),
    yes("placementConstraints", List(&Structure(PLACEMENT_CONSTRAINT)))
        .remark("memberOf: this host must be such; it has the attributes ecs.os-type, ecs.os-family, ecs.cpu-architecture and its zone")
        .off_fargate("Fargate compatible task definitions do not support constraints"),
    yes("requiresCompatibilities", List(&Shape::Word(COMPATIBILITIES)))
        .remark("FARGATE brings Fargate's rules; without it those of a container instance hold, which is this host"),
    yes("cpu", Text).remark("a hard limit of the task's control group; on Fargate one of the 74 pairs with memory"),
    yes("memory", Text).remark("a hard limit of the task's control group, without swap"),
    warn("tags", List(&Structure(TAG)), "tags are kept, and nothing is selected by them"),
    yes("pidMode", Shape::Word(PID_MODES))
        .remark("absent: one of its own for each container; host only where [instance] host-pid allows it; with task, one that has \
            SYS_PTRACE can take hold of a container that starts after it before that has given up root's rights: trust it so far"),
    yes("ipcMode", Shape::Word(IPC_MODES))
        .remark("host only where [instance] host-ipc allows it; none has no /dev/shm")
        .off_fargate("Fargate compatible task definitions do not support ipcMode"),
    yes("proxyConfiguration", Structure(PROXY_CONFIGURATION))
        .remark("APPMESH: TCP connections are redirected by nftables in the task's own namespace"),
    ecs("inferenceAccelerators", List(&Structure(INFERENCE_ACCELERATOR)), "Unsupported field 'inferenceAccelerators'"),
    yes("ephemeralStorage", Structure(&[must("sizeInGiB", Integer)])).remark(
        "the file system of writable layers and empty volumes, 20 if absent; the images' unpacked layers count, as on \
         Fargate, though they are kept once for all tasks; packed ones are not kept, and do not",
    ),
    yes("runtimePlatform", Structure(RUNTIME_PLATFORM))
        .remark("absent means this host's; a task for another machine is on record as stopped, with ECS's reason"),
    yes("enableFaultInjection", Boolean)
        .remark("faults by ECS_AGENT_URI in the task's own network, in awsvpc mode; network-latency needs netem in the kernel"),
    no("trustedExecutionConfiguration", Structure(TRUSTED_EXECUTION_CONFIGURATION)),
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

const NETWORK_MODES: &[Word] = &[
    word("awsvpc"),
    word("bridge").off_fargate(ONLY_AWSVPC),
    word("host").off_fargate(ONLY_AWSVPC),
    word("none").off_fargate(ONLY_AWSVPC),
];

const COMPATIBILITIES: &[Word] = &[word("EC2"), word("FARGATE"), no_word("EXTERNAL"), no_word("MANAGED_INSTANCES")];

const PID_MODES: &[Word] =
    &[word("host").off_fargate("Tasks using the Fargate launch type do not support pidMode 'host'"), word("task")];

const IPC_MODES: &[Word] = &[word("host"), word("task"), word("none")];

const RUNTIME_PLATFORM: &[Field] = &[
    yes("cpuArchitecture", Shape::Word(&[word("X86_64"), word("ARM64")])),
    yes(
        "operatingSystemFamily",
        Shape::Word(&[
            word("LINUX"),
            word("WINDOWS_SERVER_2016_FULL"),
            word("WINDOWS_SERVER_2019_FULL"),
            word("WINDOWS_SERVER_2019_CORE"),
            word("WINDOWS_SERVER_2004_CORE"),
            word("WINDOWS_SERVER_20H2_CORE"),
            word("WINDOWS_SERVER_2022_FULL"),
            word("WINDOWS_SERVER_2022_CORE"),
            word("WINDOWS_SERVER_2025_FULL"),
            word("WINDOWS_SERVER_2025_CORE"),
        ]),
    ),
];

const TAG: &[Field] = &[yes("key", Text), yes("value", Text)];

const PLACEMENT_CONSTRAINT: &[Field] = &[must("type", Shape::Word(&[word("memberOf")])), yes("expression", Text)];

const VOLUME: &[Field] = &[
    yes("name", Text),
    yes("host", Structure(HOST_VOLUME)),
    yes("dockerVolumeConfiguration", Structure(DOCKER_VOLUME))
        .off_fargate("Fargate compatible task definitions do not support dockerVolumeConfiguration"),
    yes("efsVolumeConfiguration", Structure(EFS_VOLUME))
        .remark("a directory of the host stands for the file system: [efs] in config.toml"),
    no("s3filesVolumeConfiguration", Structure(S3_FILES_VOLUME)),
    no("fsxWindowsFileServerVolumeConfiguration", Structure(FSX_VOLUME)),
    yes("configuredAtLaunch", Boolean).remark("a file of the host, with a file system of the size in it"),
];

const HOST_VOLUME: &[Field] = &[yes("sourcePath", Text)
    .off_fargate("Fargate compatible task definitions do not support sourcePath")
    .remark("below [volumes] host-paths in config.toml alone")];

const DOCKER_VOLUME: &[Field] = &[
    yes("scope", Shape::Word(&[word("task"), word("shared")])),
    yes("autoprovision", Boolean),
    yes("driver", Text),
    no("driverOpts", Map),
    warn("labels", Map, "labels of volumes are kept, and nothing is selected by them"),
];

const SWITCH: Shape = Shape::Word(&[word("ENABLED"), word("DISABLED")]);

const EFS_VOLUME: &[Field] = &[
    must("fileSystemId", Text),
    yes("rootDirectory", Text),
    yes("transitEncryption", SWITCH),
    yes("transitEncryptionPort", Integer),
    yes("authorizationConfig", Structure(&[yes("accessPointId", Text), yes("iam", SWITCH)])),
];

const S3_FILES_VOLUME: &[Field] = &[
    must("fileSystemArn", Text),
    yes("rootDirectory", Text),
    yes("transitEncryptionPort", Integer),
    yes("accessPointArn", Text),
];

const FSX_VOLUME: &[Field] = &[
    must("fileSystemId", Text),
    must("rootDirectory", Text),
    must("authorizationConfig", Structure(&[must("credentialsParameter", Text), must("domain", Text)])),
];

const PROXY_CONFIGURATION: &[Field] = &[
    yes("type", Shape::Word(&[word("APPMESH")])),
    must("containerName", Text),
    yes("properties", List(&Structure(&[yes("name", Text), yes("value", Text)]))),
];

const INFERENCE_ACCELERATOR: &[Field] = &[must("deviceName", Text), must("deviceType", Text)];

const TRUSTED_EXECUTION_CONFIGURATION: &[Field] = &[
    must("isolationMode", Shape::Word(&[word("SHARED"), word("ISOLATED_SANDBOX"), word("CONFIDENTIAL_SANDBOX")])),
    yes("attestationPolicy", Text),
];
