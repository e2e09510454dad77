//! The probe: one static program whose verbs are all that most tests need inside a container.

fn main() {}
