//! The programs that pull, each with a store of its own in the scratch directory.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bench::Failure;
use bench::host::{has, podman_settings};

/// One way to bring the image here.
pub struct Case {
    pub name: String,
    /// Empties the store. It fails when there is nothing in it.
    pub forget: Box<dyn Fn() -> Command>,
    /// Fills it.
    pub pull: Box<dyn Fn() -> Command>,
}

/// BERTH_BIN, or the release build.
pub fn berth_program(top: &Path) -> Result<PathBuf, Failure> {
    let program = std::env::var_os("BERTH_BIN").map_or_else(|| top.join("target/release/berth"), PathBuf::from);
    Ok(program.canonicalize().map_err(|error| format!("{}: {error}", program.display()))?)
}

/// berth, which unpacks.
pub fn berth(program: &Path, root: &Path, image: &str) -> Case {
    let (program, root, image) = (program.to_owned(), root.to_owned(), image.to_owned());
    let command = move |act: &str| {
        let mut command = Command::new(&program);
        command.arg("--root").arg(&root).args(["image", act, &image]).env("DOCKER_CONFIG", &root);
        command
    };
    let other = command.clone();
    Case {
        name: "berth image pull".to_owned(),
        forget: Box::new(move || command("rm")),
        pull: Box::new(move || other("pull")),
    }
}

/// podman, which unpacks.
pub fn podman(image: &str, scratch: &Path) -> Result<Case, Failure> {
    if !has("podman") {
        return Err("podman is not installed".into());
    }
    let settings = podman_settings(&scratch.join("podman"))?;
    let image = image.to_owned();
    let command = move |args: &[&str]| {
        let mut command = Command::new("podman");
        command.envs(settings.clone()).arg("--log-level=error").args(args).arg(&image);
        command
    };
    let other = command.clone();
    Ok(Case {
        name: "podman pull".to_owned(),
        forget: Box::new(move || command(&["rmi"])),
        pull: Box::new(move || other(&["pull", "--quiet", "--tls-verify=false"])),
    })
}

/// skopeo, which copies the blobs as they are.
pub fn skopeo(image: &str, scratch: &Path) -> Result<Case, Failure> {
    if !has("skopeo") {
        return Err("skopeo is not installed".into());
    }
    let directory = scratch.join("skopeo");
    fs::create_dir_all(&directory)?;
    let (from, to) = (format!("docker://{image}"), format!("dir:{}/image", directory.display()));
    Ok(Case {
        name: "skopeo copy to dir:".to_owned(),
        forget: Box::new(move || {
            let mut command = Command::new("rm");
            command.args([OsStr::new("-r"), directory.join("image").as_os_str()]);
            command
        }),
        pull: Box::new(move || {
            let mut command = Command::new("skopeo");
            command.args(["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false", &from, &to]);
            command
        }),
    })
}
