//! `berth image pull` and `import`: how images come here, and what is shown of it.

use std::path::PathBuf;

use serde::Serialize;

use super::super::args::{Format, Import, Pull};
use super::super::error::Failure;
use super::super::input::Input;
use super::super::output::{self, Output};
use super::super::progress::{Event, Shown};
use super::{reference, references, table};
use crate::ops::{Engine, ImageView};

/// The last event of an image that was pulled.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "pulled")]
struct Pulled<'a> {
    /// The image, as `ls` has it.
    result: &'a ImageView,
}

pub(super) fn pull(engine: &Engine, args: &Pull, format: Option<Format>, output: Output) -> Result<(), Failure> {
    let references = references(&args.images)?;
    let mut shown = if args.quiet { Shown::Nobody } else { Shown::as_results(format) };
    let mut images = Vec::new();
    for reference in &references {
        let name = reference.familiar();
        let image = engine.pull_image(reference, &mut |step| shown.show(&name, &step))?;
        images.push(ImageView::of(&image));
        match (&shown, images.last()) {
            (Shown::Events, Some(image)) => {
                let event = Event { image: &name, event: &Pulled { result: image } };
                output::line(&serde_json::to_string(&event)?)?;
            }
            (Shown::Nobody, Some(image)) => output::line(&image.digest)?,
            _ => {}
        }
    }
    match shown {
        Shown::Events | Shown::Nobody => Ok(()),
        Shown::Bars(_) | Shown::Lines(_) | Shown::Errors => Ok(output.print(&images, |images| table(images))?),
    }
}

pub(super) fn import(engine: &Engine, args: &Import, format: Option<Format>, output: Output) -> Result<(), Failure> {
    let name = args.name.as_deref().map(reference).transpose()?;
    let path = match &args.path {
        Input::Path(path) => path.clone(),
        Input::Stdin => PathBuf::from("/dev/stdin"),
    };
    let mut shown = Shown::beside_results(format);
    // Its own names are not known before it is read.
    let source = args.path.to_string();
    let images = engine.import_image(&path, name, &mut |step| shown.show(&source, &step))?;
    drop(shown);
    let images: Vec<ImageView> = images.iter().map(ImageView::of).collect();
    Ok(output.print(&images, |images| table(images))?)
}
