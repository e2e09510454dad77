//! What a task pays for its image when that is here: the step of `berth run` that looks for a task's images, called in this
//! process as `berth run` calls it. The registry has ended by then.

use std::path::Path;

use bench::Failure;
use bench::measure::{ms, now};
use berth::ops::{Engine, RunOptions, Strictness, parse, validate};
use serde_json::json;

/// How often.
const LOOKS: usize = 1000;

/// Sorted times in ms.
pub struct Here {
    pub times: Vec<f64>,
}

/// Looks for an image in the store of a root.
pub fn measure(root: &Path, image: &str) -> Result<Here, Failure> {
    let definition = json!({
        "family": "here",
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": "256",
        "memory": "512",
        "containerDefinitions": [{ "name": "here", "image": image, "essential": true }],
    });
    let valid = validate(parse(&definition.to_string(), Strictness::Strict));
    let (definition, _) = valid.map_err(|problems| format!("the definition: {problems:?}"))?;
    let (engine, options) = (Engine::open(Some(root))?, RunOptions::default());
    let mut asked = false;
    let mut times = Vec::new();
    for _ in 0..LOOKS {
        let start = now();
        let images = engine.provide(&definition, &options, &mut |_, _| asked = true)?;
        let end = now();
        drop(images);
        times.push(ms(end - start));
    }
    if asked {
        return Err("the image is here, but something was asked for".into());
    }
    times.sort_by(f64::total_cmp);
    Ok(Here { times })
}
