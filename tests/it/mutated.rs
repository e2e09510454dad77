//! Mutated task definitions, which are read and checked in process. `make fuzz` takes a million, `make test` a few.

#[path = "../support/mutate.rs"]
mod mutate;

use berth::validate::{Strictness, parse, validate};

#[test]
fn no_mutated_definition_does_harm() {
    let examples = [
        include_str!("../../examples/webserver.json"),
        include_str!("../../examples/two-containers.json"),
        include_str!("../../examples/three-containers.json"),
    ];
    mutate::fuzz(&examples.map(|text| text.as_bytes().to_vec()), |bytes| match std::str::from_utf8(bytes) {
        Ok(text) => validate(parse(text, Strictness::Lenient)).is_ok(),
        Err(_) => false,
    });
}
