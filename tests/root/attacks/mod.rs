//! What is tried against the host and against other tasks: nothing passes, and each attempt is one that passes without its
//! defence, its control. `make attack` prints the rows and counts them.

mod inside;
mod network;
mod packets;
