//! The suite that needs no root.

#![cfg(test)]

mod architecture;
mod cli;
mod fields;
mod net;
mod refusals;
