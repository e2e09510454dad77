//! Where a task can be: what it takes, what an instance has left, the constraints that must hold and the strategies that
//! order what remains. Used for services and for single tasks (RunTask).

use serde::{Deserialize, Serialize};

use super::PlacementRules;
use crate::validate::ports::HostPort;
use crate::validate::{Expression, FACT, fact};

/// A property of an instance, `ecs.instance-type` = `t2.micro`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// Its value; some have none.
    pub value: Option<String>,
}

impl Attribute {
    /// Something that is so of an instance, and is none of its attributes: `agentConnected`, `task:group`.
    pub fn fact(name: &str, value: String) -> Self {
        Self { name: fact(name), value: Some(value) }
    }

    /// Whether it is such a thing.
    pub fn is_fact(&self) -> bool {
        self.name.starts_with(FACT)
    }
}

/// A container instance and what is left on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// Its availability zone.
    pub zone: String,
    /// CPU units that nobody has.
    pub cpu: u64,
    /// MiB of memory that nobody has.
    pub memory: u64,
    /// GPUs that nobody has.
    pub gpus: usize,
    /// Host ports that somebody has.
    pub ports: Vec<HostPort>,
    /// What it is.
    pub attributes: Vec<Attribute>,
    /// Whether it is DRAINING: nothing more is placed on it, and what belongs to a service goes elsewhere.
    pub draining: bool,
    /// Task definitions (`FAMILY:REVISION`) that want something of it which its owner does not grant.
    pub refuses: Vec<String>,
}

impl Instance {
    /// Counts a task as being on it.
    pub fn take(&mut self, needs: &Requirements) {
        self.cpu = self.cpu.saturating_sub(needs.cpu);
        self.memory = self.memory.saturating_sub(needs.memory);
        self.gpus = self.gpus.saturating_sub(needs.gpus);
        self.ports.extend(&needs.ports);
    }

    /// Whether it is as an expression wants it.
    pub fn meets(&self, expression: &Expression) -> bool {
        expression.holds(&|name, test| self.properties(name).any(test))
    }

    /// The value of a property: of `attribute:` fields, and of its zone and its id.
    pub(super) fn property<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.properties(name).next()
    }

    /// All values of a property: there are as many groups of tasks on an instance as there are.
    pub(super) fn properties<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let own = match name {
            "ecs.availability-zone" => Some(self.zone.as_str()),
            "host" | "instanceId" => Some(self.id.as_str()),
            _ => None,
        };
        let named = self.attributes.iter().filter(move |attribute| own.is_none() && attribute.name == name);
        own.into_iter().chain(named.map(|attribute| attribute.value.as_deref().unwrap_or_default()))
    }
}

/// What a task takes of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirements {
    /// CPU units.
    pub cpu: u64,
    /// MiB of memory.
    pub memory: u64,
    /// GPUs.
    pub gpus: usize,
    /// Host ports.
    pub ports: Vec<HostPort>,
    /// What the instance must be: constraints of the task definition.
    pub constraints: Vec<Constraint>,
}

impl Requirements {
    /// Whether the definition's own constraints allow an instance.
    pub(super) fn allow(&self, instance: &Instance) -> bool {
        allow(&self.constraints, instance)
    }
}

/// What must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Constraint {
    /// Every task of the service on an instance of its own.
    DistinctInstance,
    /// The instance must be such.
    MemberOf(Expression),
}

/// What is preferred.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Strategy {
    /// Nothing.
    Random,
    /// Instances with different values of this property, evenly.
    Spread(String),
    /// The instance with the least CPU left.
    BinpackCpu,
    /// The instance with the least memory left.
    BinpackMemory,
}

/// Why a task fits nowhere; of several instances the one that came nearest is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    instance: Option<String>,
    lacks: Lack,
}

/// What an instance lacks, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lack {
    /// Its owner does not grant what the definition wants of it.
    Attribute,
    /// It is not as a `memberOf` constraint wants it.
    Member,
    /// A task is on it already, and each wants an instance of its own.
    Distinct,
    /// A port of the host is taken.
    Port,
    /// Too few GPUs are free.
    Gpu,
    /// Too little memory is free.
    Memory,
    /// Too little CPU is free.
    Cpu,
}

impl Shortage {
    /// ECS's service event, without its first words.
    pub fn event(&self) -> String {
        let start = " was unable to place a task because no container instance met all of its requirements.";
        let Some(instance) = &self.instance else {
            return format!("{start} Reason: No Container Instances were found in your cluster.");
        };
        let what = match self.lacks {
            Lack::Attribute => "is missing an attribute required by your task",
            Lack::Member => "encountered error \"MemberOf placement constraint unsatisfied.\"",
            Lack::Distinct => "encountered error \"DistinctInstance placement constraint unsatisfied.\"",
            Lack::Gpu => "encountered error \"RESOURCE:GPU\"",
            Lack::Port => "is already using a port required by your task",
            Lack::Memory => "has insufficient memory available",
            Lack::Cpu => "has insufficient CPU units available",
        };
        format!("{start} The closest matching (container-instance {instance}) {what}.")
    }

    /// The reason of a failure of RunTask.
    pub fn reason(&self) -> &'static str {
        match self.lacks {
            Lack::Attribute => "ATTRIBUTE",
            Lack::Member => "MemberOf placement constraint unsatisfied.",
            Lack::Distinct => "DistinctInstance placement constraint unsatisfied.",
            Lack::Port => "RESOURCE:PORTS",
            Lack::Gpu => "RESOURCE:GPU",
            Lack::Memory => "RESOURCE:MEMORY",
            Lack::Cpu => "RESOURCE:CPU",
        }
    }
}

impl PlacementRules {
    /// Whether tasks may be on an instance at all.
    pub fn allows(&self, instance: &Instance) -> bool {
        allow(&self.constraints, instance)
    }

    /// Whether each task wants an instance of its own.
    pub fn is_distinct(&self) -> bool {
        self.constraints.contains(&Constraint::DistinctInstance)
    }
}

fn allow(constraints: &[Constraint], instance: &Instance) -> bool {
    constraints.iter().all(|constraint| match constraint {
        Constraint::DistinctInstance => true,
        Constraint::MemberOf(expression) => instance.meets(expression),
    })
}

/// The place in `instances` where a task had best be. `others` says how many tasks of its service an instance has, or why it
/// may not have one more.
pub fn place(
    instances: &[Instance],
    needs: &Requirements,
    rules: &PlacementRules,
    others: &dyn Fn(&Instance) -> Result<usize, Lack>,
) -> Result<usize, Shortage> {
    let mut fitting: Vec<(usize, &Instance, usize)> = Vec::new();
    let mut nearest: Option<(Lack, &Instance)> = None;
    for (place, instance) in instances.iter().enumerate().filter(|(_, instance)| !instance.draining) {
        match (lack(instance, needs, rules), others(instance)) {
            (None, Ok(others)) => fitting.push((place, instance, others)),
            (lack, others) => {
                let lack = lack.into_iter().chain(others.err()).min().unwrap_or(Lack::Attribute);
                nearest = nearest.filter(|(best, _)| *best >= lack).or(Some((lack, instance)));
            }
        }
    }
    for strategy in &rules.strategies {
        prefer(&mut fitting, strategy);
    }
    let best = fitting.iter().min_by_key(|(place, _, others)| (*others, *place));
    best.map(|(place, ..)| *place).ok_or_else(|| Shortage {
        instance: nearest.map(|(_, instance)| instance.id.clone()),
        lacks: nearest.map_or(Lack::Attribute, |(lack, _)| lack),
    })
}

fn lack(instance: &Instance, needs: &Requirements, rules: &PlacementRules) -> Option<Lack> {
    let allowed = rules.allows(instance) && needs.allow(instance);
    let port = needs.ports.iter().any(|port| instance.ports.contains(port));
    [
        (!allowed, Lack::Member),
        (port, Lack::Port),
        (instance.gpus < needs.gpus, Lack::Gpu),
        (instance.memory < needs.memory, Lack::Memory),
        (instance.cpu < needs.cpu, Lack::Cpu),
    ]
    .into_iter()
    .find_map(|(lacks, what)| lacks.then_some(what))
}

/// Keeps those that a strategy likes best.
fn prefer(fitting: &mut Vec<(usize, &Instance, usize)>, strategy: &Strategy) {
    let all = fitting.clone();
    let load = |field: &str, value: Option<&str>| -> usize {
        all.iter().filter(|(_, one, _)| one.property(field) == value).map(|(.., others)| *others).sum()
    };
    let cost = |(_, instance, others): &(usize, &Instance, usize)| -> u64 {
        match strategy {
            Strategy::Random => 0,
            Strategy::Spread(field) if field == "instanceId" || field == "host" => *others as u64,
            Strategy::Spread(field) => {
                let field = field.strip_prefix("attribute:").unwrap_or(field);
                load(field, instance.property(field)) as u64
            }
            Strategy::BinpackCpu => instance.cpu,
            Strategy::BinpackMemory => instance.memory,
        }
    };
    let least = fitting.iter().map(cost).min();
    fitting.retain(|one| Some(cost(one)) == least);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::ports::Protocol;

    const MEMBER: &str = "MemberOf placement constraint unsatisfied.";

    fn port(port: u16, protocol: Protocol) -> HostPort {
        HostPort { protocol, port }
    }

    fn instance(id: &str, zone: &str, cpu: u64, memory: u64) -> Instance {
        let attributes = vec![Attribute { name: "ecs.instance-type".into(), value: Some("t2.micro".into()) }];
        Instance {
            id: id.into(),
            zone: zone.into(),
            cpu,
            memory,
            ports: vec![port(80, Protocol::Tcp)],
            attributes,
            gpus: 1,
            refuses: Vec::new(),
            draining: false,
        }
    }

    fn needs(cpu: u64, memory: u64, ports: &[HostPort]) -> Requirements {
        Requirements { cpu, memory, ports: ports.to_vec(), ..Requirements::default() }
    }

    fn rules(strategies: &[Strategy]) -> PlacementRules {
        PlacementRules { constraints: Vec::new(), strategies: strategies.to_vec() }
    }

    #[test]
    fn what_is_short_is_named_with_the_instance_that_came_nearest() {
        let instances = [instance("a", "z1", 512, 100), instance("b", "z1", 100, 1024)];
        let placed = |needs: Requirements| place(&instances, &needs, &rules(&[]), &|_| Ok(0));
        let short = placed(needs(512, 512, &[])).unwrap_err();
        assert_eq!(short.reason(), "RESOURCE:CPU");
        assert!(short.event().ends_with("(container-instance b) has insufficient CPU units available."));
        assert_eq!(placed(needs(1, 2000, &[])).unwrap_err().reason(), "RESOURCE:MEMORY");
        let ports = |number, protocol| [port(number, protocol)];
        assert_eq!(placed(needs(1, 1, &ports(80, Protocol::Tcp))).unwrap_err().reason(), "RESOURCE:PORTS");
        assert_eq!(placed(needs(200, 1, &ports(81, Protocol::Tcp))), Ok(0));
        assert_eq!(placed(needs(200, 1, &ports(80, Protocol::Udp))), Ok(0), "another protocol is another port");
    }

    #[test]
    fn strategies_choose_one_after_the_other() {
        let instances = [
            instance("a", "z1", 900, 100),
            instance("b", "z1", 300, 300),
            instance("c", "z2", 500, 200),
            instance("d", "z2", 400, 900),
        ];
        let placed = |strategies: &[Strategy], busy: &str| {
            let others = |one: &Instance| Ok(usize::from(one.id == busy));
            instances[place(&instances, &needs(10, 10, &[]), &rules(strategies), &others).unwrap()].id.clone()
        };
        let zones = || Strategy::Spread("attribute:ecs.availability-zone".into());
        assert_eq!(placed(&[Strategy::BinpackCpu], ""), "b");
        assert_eq!(placed(&[Strategy::BinpackMemory], ""), "a");
        assert_eq!(placed(&[zones(), Strategy::BinpackCpu], "a"), "d");
        assert_eq!(placed(&[Strategy::Spread("instanceId".into())], "a"), "b");
        assert_eq!(placed(&[], "a"), "b");
    }

    #[test]
    fn constraints_of_definition_and_service_both_hold() {
        let instances = [instance("a", "z1", 900, 900), instance("b", "z2", 900, 900)];
        let member = |text: &str| Constraint::MemberOf(text.parse().unwrap());
        let mut needs = needs(1, 1, &[]);
        needs.constraints.push(member("attribute:ecs.availability-zone == z2"));
        assert_eq!(place(&instances, &needs, &rules(&[]), &|_| Ok(0)), Ok(1));
        let rules = PlacementRules { constraints: vec![member("attribute:gpu exists")], strategies: Vec::new() };
        assert_eq!(place(&instances, &needs, &rules, &|_| Ok(0)).unwrap_err().reason(), MEMBER);
        let shortage = place(&instances, &needs, &PlacementRules::default(), &|_| Err(Lack::Distinct)).unwrap_err();
        let text = "encountered error \"DistinctInstance placement constraint unsatisfied.\".";
        assert!(shortage.event().ends_with(&format!("(container-instance b) {text}")), "{}", shortage.event());
    }

    #[test]
    fn what_the_owner_does_not_grant_is_an_attribute_and_gpus_are_counted() {
        let instances = [instance("a", "z1", 900, 900)];
        let refused = place(&instances, &needs(1, 1, &[]), &rules(&[]), &|_| Err(Lack::Attribute)).unwrap_err();
        assert_eq!(refused.reason(), "ATTRIBUTE");
        assert!(refused.event().ends_with("(container-instance a) is missing an attribute required by your task."));
        let with = |gpus| Requirements { gpus, ..needs(1, 1, &[]) };
        let short = place(&instances, &with(2), &rules(&[]), &|_| Ok(0)).unwrap_err();
        assert_eq!(short.reason(), "RESOURCE:GPU");
        let mut instances = instances;
        instances[0].take(&with(1));
        assert!(place(&instances, &with(1), &rules(&[]), &|_| Ok(0)).is_err());
    }
}
