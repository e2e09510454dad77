//! The order in which the containers of a task start, from `dependsOn` and links; they stop in its reverse. Pure.

use crate::ecs::ContainerDefinition;

/// The containers by index, each behind those that it depends on, otherwise as they are listed. Dependencies on
/// containers that do not exist are passed over. A cycle is the error: the containers along it, by index.
pub(super) fn start_order(containers: &[ContainerDefinition]) -> Result<Vec<usize>, Vec<usize>> {
    let needs: Vec<Vec<usize>> = containers.iter().map(|container| needs(container, containers)).collect();
    let mut order: Vec<usize> = Vec::new();
    while order.len() < containers.len() {
        let ready = |index: &usize| !order.contains(index) && needs[*index].iter().all(|need| order.contains(need));
        match (0..containers.len()).find(ready) {
            Some(next) => order.push(next),
            None => return Err(cycle(&needs, &order)),
        }
    }
    Ok(order)
}

fn needs(container: &ContainerDefinition, containers: &[ContainerDefinition]) -> Vec<usize> {
    let names = container.depends_on.iter().flatten().map(|dependency| dependency.container_name.as_str());
    let links =
        container.links.iter().flatten().map(|link| link.split_once(':').map_or(link.as_str(), |(name, _)| name));
    names.chain(links).filter_map(|name| containers.iter().position(|other| other.name == name)).collect()
}

/// Of the containers that cannot be ordered each needs another such one: going from need to need comes round.
fn cycle(needs: &[Vec<usize>], order: &[usize]) -> Vec<usize> {
    let mut way: Vec<usize> = (0..needs.len()).filter(|index| !order.contains(index)).take(1).collect();
    while let Some(next) = way.last().and_then(|last| needs[*last].iter().find(|need| !order.contains(need))).copied() {
        if let Some(start) = way.iter().position(|index| *index == next) {
            return way.split_off(start);
        }
        way.push(next);
    }
    way
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecs::container_definition::{ContainerCondition, ContainerDependency};

    fn containers(edges: &[(&str, &[&str])]) -> Vec<ContainerDefinition> {
        let dependency = |name: &&str| ContainerDependency {
            container_name: (*name).to_owned(),
            condition: ContainerCondition::Start,
        };
        edges
            .iter()
            .map(|(name, needs)| ContainerDefinition {
                name: (*name).to_owned(),
                depends_on: Some(needs.iter().map(dependency).collect()),
                ..ContainerDefinition::default()
            })
            .collect()
    }

    #[test]
    fn dependencies_come_first_and_the_rest_stays_as_listed() {
        let order = |edges: &[_]| start_order(&containers(edges));
        assert_eq!(order(&[("a", &[]), ("b", &[]), ("c", &[])]), Ok(vec![0, 1, 2]));
        assert_eq!(order(&[("a", &["c"]), ("b", &[]), ("c", &["b"])]), Ok(vec![1, 2, 0]));
        assert_eq!(order(&[("a", &["nobody"])]), Ok(vec![0]));
    }

    #[test]
    fn a_cycle_is_named_without_what_merely_leads_to_it() {
        let order = |edges: &[_]| start_order(&containers(edges));
        assert_eq!(order(&[("a", &["b"]), ("b", &["c"]), ("c", &["d"]), ("d", &["b"])]), Err(vec![1, 2, 3]));
        assert_eq!(order(&[("a", &["a"])]), Err(vec![0]));
    }
}
