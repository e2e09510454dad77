//! `berth service`: services made, changed, listed, watched and removed.

use std::time::{Duration, Instant};

use super::args::{CreateService, DeleteService, Events, Format, OneService, Protect, Services, UpdateService, Wait};
use super::deployment::{Watched, watch};
use super::error::Failure;
use super::output::{self, Output, note};
use super::plain::plain;
use super::table::Table;
use crate::ecs::service::{DeleteServiceRequest, DescribeServicesRequest, ListServicesRequest, Service};
use crate::ecs::service_deployment::{ListServiceDeploymentsRequest, StopServiceDeploymentRequest};
use crate::ops::{Engine, Preview, Timestamp};

mod requests;

/// How often a service is looked at that somebody waits for.
const PACE: Duration = Duration::from_millis(200);

pub(super) fn service(engine: &mut Engine, command: Services, output: Output) -> Result<(), Failure> {
    match command {
        Services::Create(args) => create(engine, &args, output),
        Services::Update(args) => update(engine, &args, output),
        Services::Ls(args) => ls(engine, args.cluster.as_deref(), output),
        Services::Describe(args) => describe(engine, &args, output),
        Services::Delete(args) => delete(engine, &args, output),
        Services::Events(args) => events(engine, &args, output),
        Services::Deployments(args) => deployments(engine, &args, output),
        Services::Rollback(args) => rollback(engine, &args, output),
        Services::Protect(args) => protect(engine, &args, output),
        Services::Wait(args) => wait(engine, &args),
    }
}

fn create(engine: &mut Engine, args: &CreateService, output: Output) -> Result<(), Failure> {
    args.rollout.time_scale.into_iter().for_each(|scale| engine.set_time_scale(scale));
    let request = requests::create(engine, args)?;
    let made = engine.create_service(&request)?.service;
    until_steady(engine, &made, args.detach, output)
}

fn update(engine: &mut Engine, args: &UpdateService, output: Output) -> Result<(), Failure> {
    args.rollout.time_scale.into_iter().for_each(|scale| engine.set_time_scale(scale));
    let old = find(engine, args.within.cluster.as_deref(), &args.service)?;
    let request = requests::update(args, old.deployment_configuration)?;
    let preview = engine.preview_update(&request)?;
    if args.dry_run && output.format() == Format::Json {
        return Ok(output.print_json(&preview)?);
    }
    let text = told(&preview);
    if args.dry_run {
        return Ok(output::write(&text)?);
    }
    note(text.trim_end());
    let made = engine.update_service(&request)?.service;
    until_steady(engine, &made, args.detach, output)
}

/// `berth service protect`: all tasks are looked up first, so that a wrong name changes nothing.
fn protect(engine: &mut Engine, args: &Protect, output: Output) -> Result<(), Failure> {
    let records = args.tasks.iter().map(|name| engine.find(name.as_str())).collect::<Result<Vec<_>, _>>()?;
    let now = jiff::Timestamp::now().as_millisecond();
    let until = (!args.off).then_some(Timestamp(now + args.minutes * 60_000));
    let mut protected = Vec::new();
    for record in &records {
        engine.protect(record, until)?;
        let expires = until.map(|until| crate::ecs::Timestamp::from_millis(until.0));
        let task_arn = record.view().task_arn.to_string();
        protected.push(ProtectedTask { task_arn, protection_enabled: !args.off, expiration_date: expires });
    }
    Ok(output.print(&protected, |all| {
        let mut table = Table::new(["TASK", "PROTECTED UNTIL"]);
        for one in all {
            let until =
                one.expiration_date.map(|at| jiff::Timestamp::from_millisecond(at.millis()).unwrap_or_default());
            let until = until.map_or_else(|| "-".to_owned(), |at| format!("{at:.0}"));
            table.row([one.task_arn.rsplit('/').next().unwrap_or_default(), &until]);
        }
        table
    })?)
}

/// As UpdateTaskProtection lists it.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct ProtectedTask {
    task_arn: String,
    protection_enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_date: Option<crate::ecs::Timestamp>,
}

/// A preview for people.
fn told(preview: &Preview) -> String {
    let mut text = match (preview.new_deployment, preview.because_of.as_slice()) {
        (true, reasons) => format!("a new deployment, because of {}\n", reasons.join(", ")),
        (false, []) => "no new deployment: nothing changes\n".to_owned(),
        (false, reasons) => format!("no new deployment: {} holds for what comes\n", reasons.join(", ")),
    };
    let pairs = [
        ("task definition", preview.task_definition.0.clone(), preview.task_definition.1.clone()),
        ("desired count", preview.desired_count.0.to_string(), preview.desired_count.1.to_string()),
    ];
    for (what, old, new) in pairs.into_iter().filter(|(_, old, new)| old != new) {
        text.push_str(&format!("  {what}: {old} -> {new}\n"));
    }
    for (number, step) in preview.steps.iter().enumerate() {
        let stop: Vec<String> = step.stop.iter().map(|id| format!("{id:.12}")).collect();
        let stop = if stop.is_empty() { String::new() } else { format!("stop {}", stop.join(", ")) };
        let start = if step.start == 0 { String::new() } else { format!("start {}", step.start) };
        let both: Vec<String> = [stop, start].into_iter().filter(|part| !part.is_empty()).collect();
        text.push_str(&format!("  {}. {}\n", number + 1, both.join(", then ")));
    }
    if preview.blocked {
        text.push_str(
            "  and then nothing: the healthy minimum and the maximum leave no task to stop and none to start; change \
             --minimum-healthy-percent or --maximum-percent\n",
        );
    }
    plain(&text).replace("\\n", "\n")
}

/// Shows a deployment until the service is steady.
fn until_steady(engine: &mut Engine, made: &Service, detach: bool, output: Output) -> Result<(), Failure> {
    let watched = if detach { Watched::Left } else { watch(engine, made, Duration::MAX)? };
    let now = find(engine, None, &made.service_arn.to_string())?;
    match watched {
        Watched::Steady | Watched::Left => Ok(output.print(&now, |one| table(std::slice::from_ref(one)))?),
        Watched::Failed(reason) => Err(Failure::Failed(reason.into())),
        Watched::TooLong => Err(Failure::Failed("the service is not steady yet".into())),
    }
}

/// The one service that a name means, with its events.
pub(super) fn find(engine: &Engine, cluster: Option<&str>, name: &str) -> Result<Service, Failure> {
    let cluster = match name.rsplit_once(":service/").and_then(|(_, tail)| tail.split_once('/')) {
        Some((cluster, _)) => Some(cluster.to_owned()),
        None => cluster.map(str::to_owned),
    };
    let request = DescribeServicesRequest { cluster, services: vec![name.to_owned()], include: Vec::new() };
    let found = engine.describe_services(&request)?.services.pop();
    found.ok_or_else(|| Failure::Failed(format!("there is no service {name}: `berth service ls` lists them").into()))
}

fn table(services: &[Service]) -> Table {
    let mut table = Table::new(["SERVICE", "STATUS", "DESIRED", "RUNNING", "PENDING", "DEFINITION", "DEPLOYMENT"]);
    for one in services {
        let definition = one.task_definition.as_ref().map(|arn| format!("{}:{}", arn.family, arn.revision));
        let definition = definition.unwrap_or_default();
        let primary = one.deployments.first();
        let state = primary.map(|primary| primary.rollout_state.clone()).unwrap_or_default();
        table.row([
            &one.service_name,
            &one.status,
            &one.desired_count.to_string(),
            &one.running_count.to_string(),
            &one.pending_count.to_string(),
            &definition,
            &state,
        ]);
    }
    table
}

fn ls(engine: &mut Engine, cluster: Option<&str>, output: Output) -> Result<(), Failure> {
    let mut services = Vec::new();
    let mut request = ListServicesRequest {
        cluster: cluster.map(str::to_owned),
        max_results: Some(10),
        ..ListServicesRequest::default()
    };
    loop {
        let page = engine.list_services(&request)?;
        if !page.service_arns.is_empty() {
            let cluster = request.cluster.clone();
            let describe = DescribeServicesRequest { cluster, services: page.service_arns, include: Vec::new() };
            services.extend(engine.describe_services(&describe)?.services);
        }
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            break;
        }
    }
    Ok(output.print(&services, |all| table(all))?)
}

fn describe(engine: &mut Engine, args: &OneService, output: Output) -> Result<(), Failure> {
    let cluster = args.within.cluster.clone();
    let services = vec![args.service.clone()];
    let answer =
        engine.describe_services(&DescribeServicesRequest { cluster, services, include: vec!["TAGS".into()] })?;
    output.print_json(&answer)?;
    if answer.failures.is_empty() {
        return Ok(());
    }
    Err(Failure::Failed("the service is missing: `berth service ls` lists those that are known".into()))
}

fn delete(engine: &mut Engine, args: &DeleteService, output: Output) -> Result<(), Failure> {
    let request = DeleteServiceRequest {
        cluster: args.within.cluster.clone(),
        service: args.service.clone(),
        force: args.force.then_some(true),
    };
    let made = engine.delete_service(&request)?.service;
    let arn = made.service_arn.to_string();
    let mut now = made;
    while !args.detach && now.status == "DRAINING" {
        std::thread::sleep(PACE);
        now = find(engine, None, &arn)?;
    }
    Ok(output.print(&now, |one| table(std::slice::from_ref(one)))?)
}

fn events(engine: &mut Engine, args: &Events, output: Output) -> Result<(), Failure> {
    let (cluster, name) = (args.one.within.cluster.as_deref(), &args.one.service);
    let mut last: Option<String> = None;
    loop {
        let now = find(engine, cluster, name)?;
        let new: Vec<_> = now.events.iter().take_while(|event| Some(&event.id) != last.as_ref()).collect();
        last = new.first().map(|event| event.id.clone()).or(last);
        for event in new.into_iter().rev() {
            match output.format() {
                Format::Json => output::line(&serde_json::to_string(event)?)?,
                Format::Table => {
                    let at = jiff::Timestamp::from_millisecond(event.created_at.millis()).unwrap_or_default();
                    output::line(&format!("{at:.0}  {}", plain(&event.message)))?;
                }
            }
        }
        if !args.follow || now.status == "INACTIVE" {
            return Ok(());
        }
        std::thread::sleep(PACE);
    }
}

fn list_deployments(
    engine: &Engine,
    args: &OneService,
) -> Result<Vec<crate::ecs::service_deployment::ServiceDeploymentBrief>, Failure> {
    let request = ListServiceDeploymentsRequest {
        service: args.service.clone(),
        cluster: args.within.cluster.clone(),
        max_results: Some(100),
        ..ListServiceDeploymentsRequest::default()
    };
    Ok(engine.list_service_deployments(&request)?.service_deployments)
}

fn deployments(engine: &mut Engine, args: &OneService, output: Output) -> Result<(), Failure> {
    let all = list_deployments(engine, args)?;
    Ok(output.print(&all, |all| {
        let mut table = Table::new(["DEPLOYMENT", "STATUS", "CREATED", "FINISHED", "REASON"]);
        let time = |at: crate::ecs::Timestamp| {
            let at = jiff::Timestamp::from_millisecond(at.millis()).unwrap_or_default();
            format!("{at:.0}")
        };
        for one in all {
            let id = one.target_service_revision_arn.rsplit('/').next().unwrap_or_default();
            table.row([
                &format!("ecs-svc/{id}"),
                &one.status,
                &time(one.created_at),
                &one.finished_at.map_or_else(|| "-".to_owned(), time),
                one.status_reason.as_deref().unwrap_or_default(),
            ]);
        }
        table
    })?)
}

fn rollback(engine: &mut Engine, args: &OneService, output: Output) -> Result<(), Failure> {
    let all = list_deployments(engine, args)?;
    let Some(last) = all.first().filter(|one| one.finished_at.is_none()) else {
        return Err(Failure::Failed(
            "no deployment is under way: to return to an earlier task definition, update the service to it".into(),
        ));
    };
    let service_deployment_arn = last.service_deployment_arn.clone();
    engine.stop_service_deployment(&StopServiceDeploymentRequest { service_deployment_arn, stop_type: None })?;
    let now = find(engine, args.within.cluster.as_deref(), &args.service)?;
    until_steady(engine, &now, false, output)
}

fn wait(engine: &mut Engine, args: &Wait) -> Result<(), Failure> {
    let one = find(engine, args.one.within.cluster.as_deref(), &args.one.service)?;
    let since = Instant::now();
    match watch(engine, &one, Duration::from_secs(args.timeout))? {
        Watched::Steady | Watched::Left => Ok(()),
        Watched::Failed(reason) => Err(Failure::Failed(reason.into())),
        Watched::TooLong => {
            let seconds = since.elapsed().as_secs();
            Err(Failure::Failed(
                format!("the service is not steady after {seconds} s: `berth service events` tells why").into(),
            ))
        }
    }
}
