//! The suite that needs no root.

#![cfg(test)]

mod actions;
mod answers;
mod architecture;
mod cli;
mod endpoint;
mod fields;
mod mutated;
mod net;
mod refusals;
#[path = "../support/shapes.rs"]
mod shapes;
mod supply;
mod threats;
