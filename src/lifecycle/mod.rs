//! The life of one task: state and event in, actions out. Pure: time is an argument, nothing is started here.
