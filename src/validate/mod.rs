//! From a task definition as people have it to one that can run, or every violation at once. Pure.
