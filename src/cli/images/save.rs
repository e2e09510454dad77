//! `berth image save`: images into a file or a pipe.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::Path;

use super::super::args::Save;
use super::super::error::Failure;
use super::references;
use crate::ops::{Engine, ImageReference};

pub(super) fn save(engine: &Engine, args: &Save) -> Result<(), Failure> {
    let references = references(&args.images)?;
    match &args.output {
        Some(path) if !is_special(path) => whole(engine, &references, path),
        Some(path) => Ok(engine.save_images(&references, &mut OpenOptions::new().write(true).open(path)?)?),
        None if io::stdout().is_terminal() => {
            Err(Failure::Usage("standard output is a terminal: give -o FILE".to_owned()))
        }
        None => {
            let mut out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
            Ok(engine.save_images(&references, &mut out)?)
        }
    }
}

/// A FIFO or a device is written to as it is.
fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

/// The file has its name when it is whole.
fn whole(engine: &Engine, references: &[ImageReference], path: &Path) -> Result<(), Failure> {
    let mut new = path.as_os_str().to_owned();
    new.push(".partial");
    let saved = File::create(&new).map_err(Failure::from).and_then(|mut file| {
        engine.save_images(references, &mut file)?;
        file.sync_all()?;
        Ok(fs::rename(&new, path)?)
    });
    if saved.is_err() {
        // Half a file is of no use to anybody.
        let _ = fs::remove_file(&new);
    }
    saved
}
