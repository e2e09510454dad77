//! Makes `probe_start` (src/stamp.rs) the program's entry point, ahead of the C library's own.

fn main() {
    println!("cargo::rustc-link-arg-bins=-Wl,--entry=probe_start");
    println!("cargo::rerun-if-changed=build.rs");
}
