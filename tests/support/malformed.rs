//! Requests that no client would send: made from the ECS service model as botocore has it, with members that are absent,
//! unknown, too many, too deep, too large or of the wrong type; and bytes of them changed.
//!
//! Nothing that they make can be run: families that are registered have names that nothing else has.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use serde_json::{Map, Value, json};

/// The model, and a source of chance.
pub(crate) struct Malformed {
    shapes: Arc<Map<String, Value>>,
    /// Names of actions and of their input shapes.
    pub(crate) actions: Arc<[(String, String)]>,
    rng: StdRng,
}

const TEXTS: [&str; 16] = [
    "",
    "a",
    "web",
    "default",
    "none",
    "0",
    "-1",
    "true",
    "null",
    "FARGATE",
    "\u{0}",
    "\n\r\t",
    "../../x",
    "é\u{202e}\u{10ffff}",
    "arn:aws:ecs:us-east-1:000000000000:cluster/default",
    "arn:aws:ecs:us-east-1:000000000000:task/default/0123456789abcdef0123456789abcdef",
];

impl Malformed {
    /// With a seed: a run can be done again.
    pub(crate) fn new(seed: u64) -> Self {
        let model = model();
        let shapes = Arc::new(model["shapes"].as_object().expect("shapes").clone());
        let operations = model["operations"].as_object().expect("operations");
        let input = |operation: &Value| operation["input"]["shape"].as_str().unwrap_or_default().to_owned();
        let actions = operations.iter().map(|(name, operation)| (name.clone(), input(operation))).collect();
        Self { shapes, actions, rng: StdRng::seed_from_u64(seed) }
    }

    /// The same model with another seed.
    pub(crate) fn with(&self, seed: u64) -> Self {
        let (shapes, actions) = (Arc::clone(&self.shapes), Arc::clone(&self.actions));
        Self { shapes, actions, rng: StdRng::seed_from_u64(seed) }
    }

    fn chance(&mut self, of: u32) -> bool {
        self.rng.random_range(0..of) == 0
    }

    fn below(&mut self, most: usize) -> usize {
        self.rng.random_range(0..most)
    }

    /// The next action and body.
    pub(crate) fn request(&mut self) -> (String, Vec<u8>) {
        let place = self.below(self.actions.len());
        let (name, shape) = self.actions[place].clone();
        let value = self.value(&shape, "", 0);
        let mut body = value.to_string().into_bytes();
        match self.rng.random_range(0..12) {
            0 | 1 => self.change_bytes(&mut body),
            2 => body.truncate(self.rng.random_range(0..=body.len())),
            3 if self.chance(8) => body = self.deep(),
            4 if self.chance(8) => {
                body = vec![0; self.rng.random_range(0..64)].into_iter().map(|_: u8| self.rng.random()).collect()
            }
            _ => {}
        }
        (name, body)
    }

    /// Changes a few bytes.
    pub(crate) fn change_bytes(&mut self, body: &mut Vec<u8>) {
        for _ in 0..self.rng.random_range(1..4) {
            if body.is_empty() {
                return;
            }
            let place = self.below(body.len());
            match self.rng.random_range(0..3) {
                0 => body[place] ^= 1 << self.rng.random_range(0..8),
                1 => body.insert(place, *b"\"{}[]:,\\0e-."[..].get(self.rng.random_range(0..12)).unwrap_or(&0)),
                _ => drop(body.remove(place)),
            }
        }
    }

    /// Nothing but brackets.
    fn deep(&mut self) -> Vec<u8> {
        let depth = self.rng.random_range(1..20_000);
        let open = if self.chance(2) { "[" } else { "{\"a\":" };
        open.repeat(depth).into_bytes()
    }

    fn value(&mut self, shape: &str, member: &str, depth: usize) -> Value {
        if self.chance(12) || depth > 8 {
            return self.wrong();
        }
        let shapes = Arc::clone(&self.shapes);
        let Some(known) = shapes.get(shape) else { return json!({}) };
        match known["type"].as_str().unwrap_or_default() {
            "structure" => self.structure(known, depth),
            "list" => {
                let element = known["member"]["shape"].as_str().unwrap_or_default().to_owned();
                let count = if self.chance(40) { 200 } else { self.below(3) };
                (0..count).map(|_| self.value(&element, member, depth + 1)).collect()
            }
            "map" => {
                let element = known["value"]["shape"].as_str().unwrap_or_default().to_owned();
                (0..self.below(3)).map(|_| (self.text(), self.value(&element, member, depth + 1))).collect()
            }
            "boolean" => Value::Bool(self.chance(2)),
            "integer" | "long" => self.number(),
            "double" | "float" | "timestamp" => json!(self.rng.random::<f64>() * 1e12),
            _ => self.word(known, member),
        }
    }

    fn structure(&mut self, known: &Value, depth: usize) -> Value {
        let mut object = Map::new();
        let required: Vec<&str> =
            known["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, member) in known["members"].as_object().into_iter().flatten() {
            let wanted = if required.contains(&name.as_str()) { !self.chance(10) } else { self.chance(4) };
            if wanted {
                let shape = member["shape"].as_str().unwrap_or_default();
                object.insert(name.clone(), self.value(shape, name, depth + 1));
            }
        }
        if self.chance(20) {
            let (name, value) = (self.text(), self.wrong());
            object.insert(name, value);
        }
        Value::Object(object)
    }

    fn word(&mut self, known: &Value, member: &str) -> Value {
        if member == "family" {
            return format!("registered-{}", self.below(4)).into();
        }
        let words: Vec<&Value> = known["enum"].as_array().into_iter().flatten().collect();
        match words.is_empty() || self.chance(10) {
            true => self.text().into(),
            false => words[self.below(words.len())].clone(),
        }
    }

    fn text(&mut self) -> String {
        match self.rng.random_range(0..30) {
            0 => "x".repeat(self.rng.random_range(0..5000)),
            1 => format!("{}", self.rng.next_u64()),
            _ => TEXTS[self.below(TEXTS.len())].to_owned(),
        }
    }

    fn number(&mut self) -> Value {
        match self.rng.random_range(0..8) {
            0 => json!(i64::MAX),
            1 => json!(i64::MIN),
            2 => json!(u64::MAX),
            3 => json!(2_147_483_648_u64),
            4 => json!(1.5),
            5 => json!(-1),
            _ => json!(self.below(2000)),
        }
    }

    fn wrong(&mut self) -> Value {
        match self.rng.random_range(0..8) {
            0 => Value::Null,
            1 => json!([]),
            2 => json!({}),
            3 => json!({"a": [[[{"b": null}]]]}),
            4 => self.number(),
            5 => Value::Bool(true),
            6 => json!(["a", 1, null]),
            _ => self.text().into(),
        }
    }
}

fn model() -> Value {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let venv = std::process::Command::new("tests/support/venv").current_dir(project).output().expect("bash is there");
    assert!(venv.status.success(), "tests/support/venv: {}", String::from_utf8_lossy(&venv.stderr));
    let lib = std::fs::read_dir(project.join("target/venv/lib")).expect("the venv has a lib").flatten();
    let file = lib
        .map(|python| python.path().join("site-packages/botocore/data/ecs/2014-11-13/service-2.json.gz"))
        .find(|file| file.exists())
        .expect("botocore has the model of ECS");
    let mut text = String::new();
    let zipped = std::fs::File::open(file).expect("it is there");
    flate2::read::GzDecoder::new(zipped).read_to_string(&mut text).expect("it is gzip");
    serde_json::from_str(&text).expect("it is JSON")
}
