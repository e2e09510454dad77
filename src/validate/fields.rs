//! The one table of what ECS knows and what berth does with it: every member of a task definition, its JSON shape, what
//! Fargate does with it, and whether berth supports it, accepts it with a warning, or refuses it. `convert` reads shapes
//! from it, `support` refuses by it, `berth fields` prints it, so that none can drift from the others. Members and shapes
//! are those of the ECS service model. The rows are in `task`, `container` and `overrides`.

pub mod container;
pub mod overrides;
pub mod rows;
pub mod task;

pub use container::CONTAINER_DEFINITION;
pub use task::{READ_ONLY, TASK_DEFINITION};

/// What berth does with a member, or with a word that it can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// What ECS does.
    Supported,
    /// The task runs without it; the remark says what is missing.
    AcceptedWithWarning(&'static str),
    /// The task would be wrong without it.
    Refused(Refusal),
}

/// Who refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// This version of berth.
    Berth,
    /// ECS, in these words.
    Ecs(&'static str),
}

/// The JSON shape of a member.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// A string.
    Text,
    /// One of these strings.
    Word(&'static [Word]),
    /// A number without decimals, of 32 bits.
    Integer,
    /// true or false.
    Boolean,
    /// A list.
    List(&'static Shape),
    /// An object of strings with names of the user's own.
    Map,
    /// An object with these members.
    Structure(&'static [Field]),
}

/// A string that a member can be.
#[derive(Debug, Clone, Copy)]
pub struct Word {
    /// The string.
    pub text: &'static str,
    /// What berth does with it.
    pub support: Support,
    /// ECS's words, if ECS refuses it on Fargate.
    pub off_fargate: Option<&'static str>,
}

/// A member of an object.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name in JSON.
    pub name: &'static str,
    /// Its shape.
    pub shape: Shape,
    /// What berth does with it; on Fargate only if Fargate takes it.
    pub support: Support,
    /// ECS's words, if ECS refuses it on Fargate.
    pub off_fargate: Option<&'static str>,
    /// Whether the object around it means nothing without it.
    pub required: bool,
    /// Whether a rule says that it is missing, in ECS's words.
    pub ruled: bool,
    /// What berth does with it, precisely, where its name and ECS's reference leave that open.
    pub remark: &'static str,
}

impl Field {
    /// With what berth does, precisely.
    const fn remark(mut self, remark: &'static str) -> Self {
        self.remark = remark;
        self
    }

    /// Missing in the words of a rule.
    const fn ruled(mut self) -> Self {
        self.ruled = true;
        self
    }

    /// Refused by ECS on Fargate, in these words; for container instances the row says what berth does.
    const fn off_fargate(mut self, words: &'static str) -> Self {
        self.off_fargate = Some(words);
        self
    }
}

impl Word {
    /// Refused by ECS on Fargate, in these words; for container instances the word says what berth does.
    const fn off_fargate(mut self, words: &'static str) -> Self {
        self.off_fargate = Some(words);
        self
    }
}

const fn field(name: &'static str, shape: Shape, support: Support) -> Field {
    Field { name, shape, support, off_fargate: None, required: false, ruled: false, remark: "" }
}

const fn yes(name: &'static str, shape: Shape) -> Field {
    field(name, shape, Support::Supported)
}

const fn must(name: &'static str, shape: Shape) -> Field {
    Field { required: true, ..field(name, shape, Support::Supported) }
}

const fn warn(name: &'static str, shape: Shape, remark: &'static str) -> Field {
    field(name, shape, Support::AcceptedWithWarning(remark))
}

const fn no(name: &'static str, shape: Shape) -> Field {
    field(name, shape, Support::Refused(Refusal::Berth))
}

const fn ecs(name: &'static str, shape: Shape, words: &'static str) -> Field {
    field(name, shape, Support::Refused(Refusal::Ecs(words)))
}

const fn word(text: &'static str) -> Word {
    Word { text, support: Support::Supported, off_fargate: None }
}

const fn no_word(text: &'static str) -> Word {
    Word { text, support: Support::Refused(Refusal::Berth), off_fargate: None }
}

const TEXTS: Shape = Shape::List(&Shape::Text);

#[cfg(test)]
mod tests;
