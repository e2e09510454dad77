//! The one way in: an Engine, and one function per operation.
