//! The suite that needs no root.

mod architecture;
