//! Safe wrappers around system calls: the only place with `unsafe`. One file per subject, one call per function.
