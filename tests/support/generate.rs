//! Task definitions at the edges of every member: a good one, and a few members of it set to what their shapes allow and
//! a little more. The shapes are those of the table of fields, so that a new member is tried as soon as it stands there.
//! The same number makes the same definition. Used by the tests of plans, and by the root suite.

use berth::validate::fields::{CONTAINER_DEFINITION, Field, Shape, TASK_DEFINITION};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Map, Value, json};

/// A task definition, and what was done to it.
pub(crate) struct Generated {
    pub(crate) definition: Value,
    /// The members that were set, `containerDefinitions[0].cpu`.
    pub(crate) set: Vec<String>,
}

/// The definition of a number; `most` is how many members are set in it at most.
pub(crate) fn generate(number: u64, most: usize) -> Generated {
    let mut dice = Dice(StdRng::seed_from_u64(number));
    let containers = dice.one(&[1, 1, 2, 3, 10]);
    let mut definition = good(containers);
    let mut set = Vec::new();
    for _ in 0..dice.0.random_range(0..=most) {
        let (fields, at, path) = match dice.0.random_range(0..4) {
            0 => (TASK_DEFINITION, &mut definition, String::new()),
            _ => {
                let index = dice.0.random_range(0..containers);
                let path = format!("containerDefinitions[{index}].");
                (CONTAINER_DEFINITION, &mut definition["containerDefinitions"][index], path)
            }
        };
        let field = dice.one(fields);
        if field.name != "containerDefinitions" && at.is_object() {
            at[field.name] = dice.value(&field.shape, field.name);
            set.push(format!("{path}{}", field.name));
        }
    }
    Generated { definition, set }
}

/// Containers of the probe that end at once.
fn good(containers: usize) -> Value {
    let container = |index| json!({"name": format!("c{index}"), "image": "probe", "command": ["exit", "0"]});
    json!({
        "family": "edges", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "containerDefinitions": (0..containers).map(container).collect::<Vec<_>>(),
    })
}

struct Dice(StdRng);

impl Dice {
    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.0.random_range(0..of.len())].clone()
    }

    /// One in so many.
    fn rarely(&mut self, so_many: u32) -> bool {
        self.0.random_range(0..so_many) == 0
    }

    fn value(&mut self, shape: &Shape, name: &str) -> Value {
        if self.rarely(40) {
            return self.one(&[Value::Null, json!([]), json!({}), json!(true), json!("x"), json!(-1), json!([[null]])]);
        }
        match shape {
            Shape::Text => self.text(name).into(),
            Shape::Word(words) => self.one(words).text.into(),
            Shape::Integer => self.integer(),
            Shape::Boolean => self.one(&[true, false]).into(),
            Shape::List(of) => {
                let length = self.one(&[0, 1, 1, 2, 3, 100]);
                (0..length).map(|_| self.value(of, name)).collect()
            }
            Shape::Map => {
                let length = self.one(&[0, 1, 2, 50]);
                (0..length).map(|index| (format!("k{index}.{}", self.text("")), Value::from(self.text("")))).collect()
            }
            Shape::Structure(fields) => self.structure(fields),
        }
    }

    fn structure(&mut self, fields: &[Field]) -> Value {
        let mut object = Map::new();
        for field in fields {
            if field.required && !self.rarely(20) || self.rarely(2) {
                object.insert(field.name.to_owned(), self.value(&field.shape, field.name));
            }
        }
        object.into()
    }

    /// Mostly what the member may be; else what a text can do to a program.
    fn text(&mut self, name: &str) -> String {
        let likely: &[&str] = match name {
            "cpu" | "memory" => &["256", "512", ".25 vCPU", "0.5 GB", "1024", "4294967296", "-1", "1e3"],
            "user" => &["0", "0:0", "root", "4294967294", "nobody:nogroup", ":0", "65534:65534"],
            "workingDirectory" | "containerPath" => &["/", "/tmp", "/a/b c/d", "/proc/self", "/../..", "//x"],
            "containerName" | "sourceContainer" => &["c0", "c1", "c9"],
            "image" => &["probe", "probe:latest"],
            "containerPortRange" => &["1-2", "80-90", "65534-65535", "0-1", "9-1", "1-99999999999"],
            "command" | "entryPoint" => &["exit", "0", "print", "-", "/probe"],
            _ => &["x", "A", "a-b_c"],
        };
        if !self.rarely(3) {
            return self.one(likely).to_owned();
        }
        let odd = [
            "",
            " ",
            "a\nb",
            "a\0b",
            "\u{1b}[2J",
            "\u{202e}ä\u{fffd}",
            "=",
            "A=B",
            "..",
            "/",
            "-rf",
            "%n%s",
            "\"'`$(x)",
        ];
        let long = self.one(&[64, 65, 128, 255, 256, 257, 4096, 20_000]);
        if self.rarely(4) { "a".repeat(long) } else { self.one(&odd).to_owned() }
    }

    fn integer(&mut self) -> Value {
        let usual = [0, 1, 2, 5, 6, 10, 30, 60, 64, 80, 120, 128, 255, 300, 512, 1024];
        let edges = [
            -1,
            4,
            21,
            50,
            200,
            201,
            301,
            1800,
            1801,
            65_535,
            65_536,
            262_144,
            262_145,
            i64::from(i32::MAX),
            i64::from(i32::MIN),
            i64::from(u32::MAX),
            i64::MAX,
            i64::MIN,
        ];
        match self.0.random_range(0..12) {
            0 => json!(0.5),
            1 => json!(1e30),
            2..5 => self.one(&edges).into(),
            _ => self.one(&usual).into(),
        }
    }
}
