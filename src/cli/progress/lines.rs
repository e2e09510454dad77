//! Progress in lines, one for each step of a layer, as docker has it where there is no terminal.

use std::collections::HashMap;

use super::super::plain::plain;
use super::super::size::bytes;
use super::short;
use crate::ops::{LayerSize, Progress};

/// What is known of the images so far.
#[derive(Debug, Default)]
pub(in crate::cli) struct Lines {
    layers: HashMap<String, Vec<(LayerSize, Begun)>>,
    /// Who was asked last: one host may be asked twice, with TLS and without.
    asked: HashMap<String, String>,
}

/// Whether the line that says that a layer is being read has been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    Yes,
    No,
}

impl Lines {
    /// Writes what an event is worth.
    pub(super) fn show(&mut self, image: &str, progress: &Progress, write: &mut dyn FnMut(&str)) {
        let name = plain(image);
        match progress {
            Progress::Resolving { endpoint, .. } => {
                if self.asked.insert(image.to_owned(), endpoint.clone()).as_ref() != Some(endpoint) {
                    write(&format!("{name}: asking {}", plain(endpoint)));
                }
            }
            Progress::Retrying { reason, attempt, wait } => {
                write(&format!("{name}: attempt {attempt} failed, next in {}: {}", seconds(*wait), plain(reason)));
            }
            Progress::Image { digest, layers } => {
                let all = layers.iter().cloned().map(|layer| (layer, Begun::No)).collect();
                self.layers.insert(image.to_owned(), all);
                // what a stranger's manifest says, which may be anything
                let size = layers.iter().fold(0, |all: u64, layer| all.saturating_add(layer.size));
                write(&format!("{name}: {digest}, {} layers, {}", layers.len(), bytes(size)));
            }
            Progress::Present { layer } => self.say(image, *layer, "already here", write),
            Progress::Waiting { layer } => self.say(image, *layer, "another pull is fetching it", write),
            Progress::Layer { layer, .. } => self.begin(image, *layer, write),
            Progress::Unpacked { layer, size, devices } => {
                self.say(image, *layer, &unpacked(*size, *devices), write);
            }
        }
    }

    fn begin(&mut self, image: &str, layer: usize, write: &mut dyn FnMut(&str)) {
        let layers = self.layers.get_mut(image);
        if let Some((known, begun)) =
            layers.and_then(|layers| layers.get_mut(layer)).filter(|(_, begun)| *begun == Begun::No)
        {
            *begun = Begun::Yes;
            write(&format!("{}: fetching {}", short(&known.digest), bytes(known.size)));
        }
    }

    fn say(&self, image: &str, layer: usize, what: &str, write: &mut dyn FnMut(&str)) {
        if let Some((known, _)) = self.layers.get(image).and_then(|layers| layers.get(layer)) {
            write(&format!("{}: {what}", short(&known.digest)));
        }
    }
}

/// What an unpacked layer is.
pub(super) fn unpacked(size: u64, devices: u64) -> String {
    match devices {
        0 => format!("done, {} unpacked", bytes(size)),
        devices => format!("done, {} unpacked, {devices} device nodes left out", bytes(size)),
    }
}

/// Milliseconds as a person reads them.
pub(super) fn seconds(milliseconds: u64) -> String {
    format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(digit: char) -> LayerSize {
        let digest = format!("sha256:{}", digit.to_string().repeat(64));
        LayerSize { digest: digest.parse().unwrap(), size: 1 << 20 }
    }

    #[test]
    fn every_step_of_a_layer_is_one_line() {
        let events = [
            Progress::Resolving { reference: "web:1".parse().unwrap(), endpoint: "registry.lan\u{1b}[2J".into() },
            Progress::Resolving { reference: "web:1".parse().unwrap(), endpoint: "registry.lan\u{1b}[2J".into() },
            Progress::Retrying { reason: "connection refused".into(), attempt: 1, wait: 1500 },
            Progress::Image { digest: layer('c').digest, layers: vec![layer('a'), layer('b')] },
            Progress::Present { layer: 0 },
            Progress::Layer { layer: 1, done: 1 },
            Progress::Layer { layer: 1, done: 2 },
            Progress::Unpacked { layer: 1, size: 3 << 20, devices: 2 },
            Progress::Unpacked { layer: 7, size: 0, devices: 0 },
        ];
        let (mut lines, mut written) = (Lines::default(), Vec::new());
        for event in &events {
            lines.show("web:1", event, &mut |line| written.push(line.to_owned()));
        }
        let expected = [
            "web:1: asking registry.lan\\u{1b}[2J".to_owned(),
            "web:1: attempt 1 failed, next in 1.5 s: connection refused".to_owned(),
            format!("web:1: {}, 2 layers, 2 MiB", layer('c').digest),
            "aaaaaaaaaaaa: already here".to_owned(),
            "bbbbbbbbbbbb: fetching 1 MiB".to_owned(),
            "bbbbbbbbbbbb: done, 3 MiB unpacked, 2 device nodes left out".to_owned(),
        ];
        assert_eq!(written, expected);
    }
}
