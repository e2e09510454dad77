//! `berth image`: what is imported, listed and removed.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use super::age::ago;
use super::args::Image;
use super::error::Failure;
use super::input::Input;
use super::output::{self, Output};
use super::size::bytes;
use super::table::Table;
use crate::ops::{Engine, ImageReference, ImageView, Job, Progress};

pub(super) fn image(engine: &mut Engine, command: Image, output: Output) -> Result<(), Failure> {
    match command {
        Image::Import { name, path } => {
            let path = match path {
                Input::Path(path) => path,
                Input::Stdin => PathBuf::from("/dev/stdin"),
            };
            import(engine, &path, name.as_deref(), output)
        }
        Image::Ls => {
            let images: Vec<ImageView> = engine.list_images()?.iter().map(ImageView::of).collect();
            Ok(output.print(&images, |images| table(images))?)
        }
        Image::Rm { images } => {
            for name in images {
                let reference = reference(&name)?;
                engine.remove_image(&reference)?;
                output::line(&reference.familiar())?;
            }
            Ok(())
        }
    }
}

/// The name of an image, as a person types it.
fn reference(name: &str) -> Result<ImageReference, Failure> {
    let parsed = name.parse::<ImageReference>();
    parsed.map_err(|error| Failure::Usage(error.to_string()))
}

fn import(engine: &Engine, path: &Path, name: Option<&str>, output: Output) -> Result<(), Failure> {
    let name = name.map(reference).transpose()?;
    let bar = io::stderr().is_terminal();
    let job = Job::Import { path: path.to_owned(), name };
    let mut layers = 0;
    let images = engine.fetch_image(&job, &mut |progress| {
        if bar {
            show(&progress, &mut layers);
        }
    })?;
    if bar {
        draw("");
    }
    let images: Vec<ImageView> = images.iter().map(ImageView::of).collect();
    Ok(output.print(&images, |images| table(images))?)
}

/// One line that is written over on a terminal; nothing for programs, for whom the result is enough.
fn show(progress: &Progress, of: &mut usize) {
    let line = match progress {
        Progress::Image { layers, .. } => {
            *of = layers.len();
            format!("{of} layers")
        }
        Progress::Resolving { reference, endpoint } => format!("{reference} at {endpoint}"),
        Progress::Retrying { reason, .. } => format!("trying again: {reason}"),
        Progress::Present { layer } => format!("layer {}/{of}: already here", layer + 1),
        Progress::Waiting { layer } => format!("layer {}/{of}: somebody else is at it", layer + 1),
        Progress::Layer { layer, done } => format!("layer {}/{of}: {}", layer + 1, bytes(*done)),
        Progress::Unpacked { layer, .. } => format!("layer {}/{of}: unpacked", layer + 1),
    };
    draw(&line);
}

/// Writes over the terminal's line. A terminal that is gone needs no progress.
fn draw(line: &str) {
    let _ = io::stderr().write_all(format!("\r\x1b[K{line}").as_bytes());
}

fn table(images: &[ImageView]) -> Table {
    let now = jiff::Timestamp::now().as_millisecond();
    let mut table = Table::new(["IMAGE", "DIGEST", "PLATFORM", "SIZE", "IMPORTED"]);
    for image in images {
        let digest = image.digest.strip_prefix("sha256:").unwrap_or(&image.digest);
        let imported = ago(image.imported_at.as_millisecond(), now);
        table.row([&image.name, &format!("{digest:.12}"), &image.platform, &bytes(image.size), &imported]);
    }
    table
}
