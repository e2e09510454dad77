//! The programs that pull, each time into a new store in the scratch directory. Nothing is removed meanwhile: on ext4
//! a pull right after the removal of as many files can take several times as long.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bench::Failure;
use bench::host::{has, podman_settings};

/// One way to bring the image here.
pub struct Case {
    pub name: String,
    /// Fills the store of this number, which is empty.
    pub pull: Box<dyn Fn(usize) -> Result<Command, Failure>>,
}

/// BERTH_BIN, or the release build.
pub fn berth_program(top: &Path) -> Result<PathBuf, Failure> {
    let program = std::env::var_os("BERTH_BIN").map_or_else(|| top.join("target/release/berth"), PathBuf::from);
    Ok(program.canonicalize().map_err(|error| format!("{}: {error}", program.display()))?)
}

/// berth, which unpacks. The roots are below `roots`, by number.
pub fn berth(program: &Path, roots: &Path, image: &str) -> Case {
    let (program, roots, image) = (program.to_owned(), roots.to_owned(), image.to_owned());
    let pull = move |number: usize| {
        let root = roots.join(number.to_string());
        fs::create_dir_all(&root)?;
        let mut command = Command::new(&program);
        command.arg("--root").arg(&root).args(["image", "pull", &image]).env("DOCKER_CONFIG", &root);
        Ok(command)
    };
    Case { name: "berth image pull".to_owned(), pull: Box::new(pull) }
}

/// podman, which unpacks.
pub fn podman(image: &str, scratch: &Path) -> Result<Case, Failure> {
    if !has("podman") {
        return Err("podman is not installed".into());
    }
    let (image, scratch) = (image.to_owned(), scratch.join("podman"));
    let pull = move |number: usize| {
        let store = scratch.join(number.to_string());
        fs::create_dir_all(&store)?;
        let mut command = Command::new("podman");
        command.envs(podman_settings(&store)?).args([
            "--log-level=error",
            "pull",
            "--quiet",
            "--tls-verify=false",
            &image,
        ]);
        Ok(command)
    };
    Ok(Case { name: "podman pull".to_owned(), pull: Box::new(pull) })
}

/// skopeo, which copies the blobs as they are.
pub fn skopeo(image: &str, scratch: &Path) -> Result<Case, Failure> {
    if !has("skopeo") {
        return Err("skopeo is not installed".into());
    }
    let directory = scratch.join("skopeo");
    fs::create_dir_all(&directory)?;
    let from = format!("docker://{image}");
    let pull = move |number: usize| {
        let to = format!("dir:{}", directory.join(number.to_string()).display());
        let mut command = Command::new("skopeo");
        command.args(["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false", &from, &to]);
        Ok(command)
    };
    Ok(Case { name: "skopeo copy to dir:".to_owned(), pull: Box::new(pull) })
}
