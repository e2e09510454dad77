//! The process that a task belongs to: holder, poll loop, control socket.
