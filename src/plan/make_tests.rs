//! What a plan is made of, one rule each.

#[path = "make_edges.rs"]
mod edges;
#[path = "../../tests/support/generate.rs"]
mod generate;

use super::*;
use crate::ecs::container_definition::KeyValuePair;
use crate::plan::vpc::Vpc;

fn image() -> ImageFacts {
    ImageFacts {
        entrypoint: vec!["/entry".to_owned()],
        cmd: vec!["serve".to_owned()],
        env: vec![("PATH".to_owned(), "/bin".to_owned()), ("A".to_owned(), "image".to_owned())],
        ..ImageFacts::default()
    }
}

fn strings(list: &[&str]) -> Option<Vec<String>> {
    Some(list.iter().map(|item| (*item).to_owned()).collect())
}

#[test]
fn an_entry_point_of_the_definition_drops_the_images_command() {
    let arguments = |entry_point, command| {
        args(&ContainerDefinition { entry_point, command, ..ContainerDefinition::default() }, &image()).unwrap()
    };
    assert_eq!(arguments(None, None), ["/entry", "serve"]);
    assert_eq!(arguments(None, strings(&["check"])), ["/entry", "check"]);
    assert_eq!(arguments(strings(&["sh"]), None), ["sh"]);
    assert_eq!(arguments(strings(&["sh"]), strings(&["-c", "x"])), ["sh", "-c", "x"]);
    assert_eq!(arguments(Some(Vec::new()), Some(Vec::new())), ["/entry", "serve"]);
    assert!(matches!(args(&ContainerDefinition::default(), &ImageFacts::default()), Err(PlanError::NoCommand { .. })));
}

#[test]
fn stop_signals_are_names_or_numbers() {
    let signals = ["SIGQUIT", "quit", "3", "", "SIGNONE", "0", "65"].map(stop_signal);
    assert_eq!(signals, [3, 3, 3, 15, 15, 15, 15]);
}

/// The plan of a definition whose images were not looked for.
pub(crate) fn planned(text: &str, log: &LogSettings) -> TaskPlan {
    let parsed = crate::validate::parse(text, crate::validate::Strictness::Lenient);
    let (definition, _) = crate::validate::validate(parsed).unwrap();
    let (layout, vpc) = (Layout::system(), Vpc::default_in(Vpc::candidates()[0], "us-east-1"));
    let containers = definition.definition().container_definitions.len();
    let names = Names {
        task: "0".repeat(32),
        attachment: "u".to_owned(),
        credentials: "c".to_owned(),
        containers: vec!["u".to_owned(); containers],
        created_at: 1,
        pulled_at: 2,
        started_by: None,
        group: None,
        service: None,
        asked: Default::default(),
        overrides: crate::ecs::TaskOverride::default(),
    };
    plan_unstarted(&definition, 1, &Place { log, region: "us-east-1", ..place(&layout, &vpc) }, names)
}

/// Settings of logs that nobody looks at.
pub(crate) fn settings() -> &'static LogSettings {
    &SETTINGS
}

static SETTINGS: LogSettings = LogSettings {
    max_bytes: 1,
    max_files: 1,
    mode: crate::logging::Mode::NonBlocking,
    retention: crate::plan::Retention { days: 1, bytes: 1 },
    cloudwatch: None,
    drain: 0,
    journal: std::path::PathBuf::new(),
};

fn place<'a>(layout: &'a Layout, vpc: &'a Vpc) -> Place<'a> {
    Place {
        storage: &crate::plan::volumes::NO_SETTINGS,
        cgroup: "",
        account: "000000000000",
        region: "eu-west-1",
        cluster: "default",
        launch_type: LaunchType::Fargate,
        zone: "eu-west-1a",
        connection: Connection::Awsvpc {
            vpc,
            subnet: &vpc.subnets[0],
            address: std::net::Ipv4Addr::new(172, 31, 0, 9),
        },
        layout,
        resolv_conf: "",
        log: &SETTINGS,
        pids: 10,
        open_files: OPEN_FILES,
        gpus: Vec::new(),
        role: None,
    }
}

fn names(containers: usize) -> Names {
    Names {
        task: "0".repeat(32),
        attachment: "u".to_owned(),
        credentials: "c".to_owned(),
        containers: vec!["u".to_owned(); containers],
        created_at: 1,
        pulled_at: 2,
        started_by: None,
        overrides: TaskOverride::default(),
        group: None,
        service: None,
        asked: Default::default(),
    }
}

#[test]
fn a_task_without_images_has_a_plan_for_its_record() {
    let text = r#"{"family": "f", "networkMode": "awsvpc", "containerDefinitions": [{"name": "a", "image": "x", "memory": 64, "user": "app"}]}"#;
    let parsed = crate::validate::parse(text, crate::validate::Strictness::Lenient);
    let (definition, _) = crate::validate::validate(parsed).unwrap();
    let (layout, vpc) = (Layout::system(), Vpc::default_in(Vpc::candidates()[0], "eu-west-1"));
    let plan = plan_unstarted(&definition, 1, &place(&layout, &vpc), names(1));
    assert_eq!((plan.containers[0].image.as_str(), plan.containers[0].image_digest.as_str()), ("x", ""));
    assert!(plan.containers[0].process.args.is_empty() && plan.containers[0].rootfs.layers.is_empty());
    assert_eq!((plan.created_at, plan.pulled_at), (1, 2));
}

#[test]
fn the_definition_beats_the_image_and_ecs_beats_both() {
    let (layout, vpc) = (Layout::system(), Vpc::default_in(Vpc::candidates()[0], "eu-west-1"));
    let place = place(&layout, &vpc);
    let pair = |name: &str, value: &str| KeyValuePair { name: Some(name.to_owned()), value: Some(value.to_owned()) };
    let environment_of = Some(vec![pair("A", "definition"), pair("AWS_REGION", "mine"), pair("HOME", "/h")]);
    let container = ContainerDefinition { environment: environment_of, ..ContainerDefinition::default() };
    let user = resolve("", "", "").unwrap();
    let (env, fixed) = environment(&container, &image(), &place, "ip", &user);
    assert!(["A", "HOME", "AWS_REGION"].iter().all(|name| fixed.iter().any(|known| known == name)));
    assert!(!fixed.iter().any(|known| known == "PATH"), "a file may change what is only a default");
    let value = |name: &str| env.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!(value("A"), Some("definition"));
    assert_eq!(value("PATH"), Some("/bin"));
    assert_eq!(value("AWS_REGION"), Some("eu-west-1"));
    assert_eq!(value("HOME"), Some("/h"));
}
