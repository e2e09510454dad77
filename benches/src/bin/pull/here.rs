//! What a task pays for its image when that is here: the step of `berth run` that looks for a task's images, called in this
//! process as `berth run` calls it.

use std::path::Path;

use bench::Failure;

/// How often.
const LOOKS: usize = 1000;

/// Sorted times in ms.
pub struct Here {
    pub times: Vec<f64>,
}

pub fn measure(_program: &Path, _root: &Path, _image: &str) -> Result<Here, Failure> {
    let _ = LOOKS;
    Ok(Here { times: Vec::new() })
}
