//! Choosing from a list as EC2 does: by ids, all of which must be there; by filters, all of which must hold; in pages.

use super::super::paging::cut;
use super::Fault;
use super::params::{Filter, Params, is_like};
use super::xml::Node;

/// One of a list: its id, how it is shown, and what filters find it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) id: String,
    pub(super) nodes: Vec<Node>,
    pub(super) facts: Vec<(&'static str, Vec<String>)>,
}

/// How a kind is asked for.
pub(super) struct Asked<'a> {
    /// The parameter that names ids, `VpcId`.
    pub(super) ids: &'a str,
    /// The exception of an id that is not there, and what it calls the thing.
    pub(super) missing: (&'a str, &'a str),
    /// What filters a kind has, even where the list is empty.
    pub(super) filters: &'a [&'static str],
}

/// Those that a request asks for, and the token of the next page.
pub(super) fn choose(all: Vec<Found>, params: &Params, asked: &Asked) -> Result<(Vec<Found>, Option<String>), Fault> {
    let ids = params.list(asked.ids);
    let (code, thing) = asked.missing;
    if let Some(absent) = ids.iter().find(|id| all.iter().all(|one| one.id != **id)) {
        return Err(Fault::new(code, format!("The {thing} ID '{absent}' does not exist")));
    }
    let filters = params.filters();
    let is_known = |filter: &&Filter| asked.filters.contains(&filter.name.as_str()) || filter.name.starts_with("tag");
    if let Some(unknown) = filters.iter().find(|filter| !is_known(filter)) {
        return Err(Fault::new("InvalidParameterValue", format!("The filter '{}' is invalid", unknown.name)));
    }
    let chosen =
        |one: &Found| (ids.is_empty() || ids.contains(&one.id)) && filters.iter().all(|filter| holds(filter, one));
    page(thing, all.into_iter().filter(chosen).collect(), params)
}

/// Nothing here has tags: a filter of tags finds nothing.
fn holds(filter: &Filter, one: &Found) -> bool {
    let facts = one.facts.iter().filter(|(name, _)| *name == filter.name).flat_map(|(_, values)| values);
    facts.into_iter().any(|fact| filter.values.iter().any(|value| is_like(value, fact)))
}

fn page(thing: &str, all: Vec<Found>, params: &Params) -> Result<(Vec<Found>, Option<String>), Fault> {
    let most = match params.get("MaxResults") {
        None => usize::MAX,
        Some(text) => text
            .parse()
            .ok()
            .filter(|most| (5..=1000).contains(most))
            .ok_or_else(|| Fault::new("InvalidParameterValue", "MaxResults must be between 5 and 1000"))?,
    };
    let page = cut(&thing, all, |one| one.id.clone(), params.get("NextToken"), most);
    page.ok_or_else(|| Fault::new("InvalidNextToken", "The token is not valid"))
}
