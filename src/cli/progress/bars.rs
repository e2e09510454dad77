//! Progress as bars on a terminal: one line for each image, and below it one bar for each of its layers.

use std::collections::HashMap;
use std::fmt;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::super::plain::plain;
use super::lines::{seconds, unpacked};
use super::short;
use crate::ops::Progress;

/// How often a second the terminal is written to, at most.
const DRAWS: u8 = 10;

/// A layer of which there is only something to say.
const WORDS: &str = "  {prefix} {wide_msg}";

/// The bars of all images.
pub(in crate::cli) struct Bars {
    all: MultiProgress,
    images: HashMap<String, ImageBars>,
}

struct ImageBars {
    head: ProgressBar,
    layers: Vec<ProgressBar>,
}

impl Default for Bars {
    fn default() -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(DRAWS));
        Self { all, images: HashMap::new() }
    }
}

impl fmt::Debug for Bars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bars")
    }
}

impl Bars {
    /// Moves the bars.
    pub(super) fn show(&mut self, image: &str, progress: &Progress) {
        let known = self.images.entry(image.to_owned()).or_insert_with(|| {
            let head = self.all.add(ProgressBar::no_length().with_style(style("{prefix}: {wide_msg}")));
            head.set_prefix(plain(image).into_owned());
            ImageBars { head, layers: Vec::new() }
        });
        match progress {
            Progress::Resolving { endpoint, .. } => known.head.set_message(format!("asking {}", plain(endpoint))),
            Progress::Retrying { reason, attempt, wait } => {
                let reason = plain(reason);
                known.head.set_message(format!("attempt {attempt} failed, next in {}: {reason}", seconds(*wait)));
            }
            Progress::Image { digest, layers } => {
                known.head.set_message(digest.to_string());
                // What is imported may be several images.
                let mut last = known.layers.last().unwrap_or(&known.head).clone();
                known.layers.drain(..).filter(|bar| !bar.is_finished()).for_each(|bar| bar.abandon());
                for layer in layers {
                    let bar = ProgressBar::new(layer.size).with_style(style(WORDS));
                    last = self.all.insert_after(&last, bar);
                    last.set_prefix(short(&layer.digest));
                    last.set_message("waiting");
                    known.layers.push(last.clone());
                }
            }
            Progress::Present { layer } => known.over(*layer, "already here".to_owned()),
            Progress::Waiting { layer } => known.say(*layer, "another pull is fetching it"),
            Progress::Layer { layer, done } => known.move_to(*layer, *done),
            Progress::Unpacked { layer, size, devices } => known.over(*layer, unpacked(*size, *devices)),
        }
    }
}

impl ImageBars {
    fn say(&self, layer: usize, what: &'static str) {
        if let Some(bar) = self.layers.get(layer) {
            bar.set_style(style(WORDS));
            bar.set_message(what);
        }
    }

    fn move_to(&self, layer: usize, done: u64) {
        let Some(bar) = self.layers.get(layer) else { return };
        if bar.position() == 0 {
            bar.set_style(
                style("  {prefix} [{bar:16}] {bytes:>10}/{total_bytes:<10} {bytes_per_sec:>11} {eta:>4} left")
                    .progress_chars("=> "),
            );
            bar.reset_elapsed();
        }
        bar.set_position(done);
    }

    fn over(&self, layer: usize, what: String) {
        if let Some(bar) = self.layers.get(layer) {
            bar.set_style(style(WORDS));
            bar.finish_with_message(what);
        }
    }
}

impl Drop for Bars {
    /// What is on the screen stays there.
    fn drop(&mut self) {
        for image in self.images.values() {
            image.layers.iter().chain([&image.head]).filter(|bar| !bar.is_finished()).for_each(ProgressBar::abandon);
        }
    }
}

/// The style of a template of ours.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
