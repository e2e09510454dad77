//! `berth image`: listing, removing and naming images; what takes more has a file of its own.

mod df;
mod login;
mod prune;
mod pull;
mod save;

use super::age::ago;
use super::args::{Format, Image};
use super::error::Failure;
use super::output::{self, Output};
use super::size::bytes;
use super::table::Table;
use crate::ops::{Engine, ImageInspection, ImageReference, ImageView};

pub(super) fn image(
    engine: &mut Engine,
    command: Image,
    format: Option<Format>,
    output: Output,
) -> Result<(), Failure> {
    match command {
        Image::Pull(args) => pull::pull(engine, &args, format, output),
        Image::Import(args) => pull::import(engine, &args, format, output),
        Image::Ls { quiet } => list(engine, quiet, output),
        Image::Rm { images } => remove(engine, &images),
        Image::Tag { image, name } => {
            let tagged = engine.tag_image(&reference(&image)?, &reference(&name)?)?;
            Ok(output::line(&tagged.reference.familiar())?)
        }
        Image::Prune(args) => prune::prune(engine, &args, output),
        Image::Login(args) => login::login(engine, &args),
        Image::Inspect { images } => {
            let references = references(&images)?;
            let found = references.iter().map(|reference| engine.inspect_image(reference));
            Ok(output.print_json(&found.collect::<Result<Vec<ImageInspection>, _>>()?)?)
        }
        Image::Save(args) => save::save(engine, &args),
        Image::Df => df::df(engine, output),
        Image::Logout { registry } => login::logout(engine, &registry),
    }
}

fn list(engine: &Engine, quiet: bool, output: Output) -> Result<(), Failure> {
    let images: Vec<ImageView> = engine.list_images()?.iter().map(ImageView::of).collect();
    if quiet {
        return Ok(images.iter().try_for_each(|image| output::line(&image.name))?);
    }
    Ok(output.print(&images, |images| table(images))?)
}

fn remove(engine: &mut Engine, images: &[String]) -> Result<(), Failure> {
    for reference in references(images)? {
        engine.remove_image(&reference)?;
        output::line(&reference.familiar())?;
    }
    Ok(())
}

/// The name of an image, as a person types it.
fn reference(name: &str) -> Result<ImageReference, Failure> {
    let parsed = name.parse::<ImageReference>();
    parsed.map_err(|error| Failure::Usage(error.to_string()))
}

/// The names of images: one that is none spoils all, before anything is done.
fn references(names: &[String]) -> Result<Vec<ImageReference>, Failure> {
    names.iter().map(|name| reference(name)).collect()
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
