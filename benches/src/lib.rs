//! What the benchmarks share: a private host, the clock, percentiles. Each of them is a program in `bin/`.

pub mod host;
pub mod measure;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Anything that went wrong, with what it was about in its text.
pub type Failure = Box<dyn Error>;

/// A number from the environment.
pub fn setting(name: &str, default: usize) -> Result<usize, Failure> {
    match std::env::var(name) {
        Ok(text) => Ok(text.parse().map_err(|_| format!("{name}={text} is not a number"))?),
        Err(_) => Ok(default),
    }
}

/// The repository.
pub fn top() -> Result<PathBuf, Failure> {
    Ok(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?)
}

/// Writes `NAME.json` into a directory.
pub fn save(directory: &Path, name: &str, figures: &Value) -> Result<(), Failure> {
    fs::create_dir_all(directory)?;
    let (new, path) = (directory.join(format!("{name}.json.new")), directory.join(format!("{name}.json")));
    fs::write(&new, serde_json::to_string_pretty(figures)? + "\n")?;
    fs::rename(&new, &path)?;
    println!("\nevery sample: {}", path.display());
    Ok(())
}
