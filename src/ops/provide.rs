//! What a task needs before it is planned: the values of its secrets and environment files, then its images, those that are
//! here and those that a registry is asked for, and the reason if one of all these cannot be had. A step of its own before
//! `run`, so that a person can watch the pulls, and end them.

use std::panic::resume_unwind;
use std::sync::mpsc;

use super::config::PullBehavior;
use super::pull::{PullError, Puller};
use super::{Engine, OpsError, RunOptions, platform};
use crate::ecs::{ContainerDefinition, TaskDefinition};
use crate::image::{Image, ImageReference, ImageStore, Origin, Progress, Using};
use crate::lifecycle::Timestamp;
use crate::plan::grants;
use crate::plan::make::ImageFacts;
use crate::plan::volumes::{layer_bytes, storage_bytes};
use crate::secrets::TaskValues;
use crate::sys::time;
use crate::validate::ValidTaskDefinition;

/// How often images are pulled again because a removal took one that was here.
const ATTEMPTS: usize = 5;

/// A task's images and values, or why they cannot be had. While it lives, no image is removed.
#[derive(Debug)]
pub struct TaskImages {
    /// When the task was asked for, and the images with it.
    pub(super) started_at: Timestamp,
    /// When the images were there, or given up.
    pub(super) stopped_at: Timestamp,
    /// The values of secrets and environment files.
    pub(super) values: TaskValues,
    /// What came of it.
    pub(super) outcome: Result<Present, Missing>,
}

/// All images are here.
#[derive(Debug)]
pub(super) struct Present {
    /// What is known of each container's, in the order of the containers.
    pub(super) facts: Vec<ImageFacts>,
    _using: Using,
}

/// One is not.
#[derive(Debug)]
pub(super) struct Missing {
    /// The place of the container whose image it is; none if it is not about an image.
    pub(super) container: Option<usize>,
    /// Why, in ECS's words.
    pub(super) reason: String,
}

/// An image that a task wants.
struct Wanted<'a> {
    reference: ImageReference,
    /// The place of the first container that names it.
    container: usize,
    /// The secret that this container names for its registry.
    parameter: Option<&'a str>,
    /// Whether its registry has answered, or could not and need not.
    asked: bool,
}

impl Engine {
    /// Resolves the values of a task, and brings its images here, as far as `[image] pull-behavior` asks for it. What cannot
    /// be had is no error: the task that is run with the result is on record as stopped, for ECS's reason.
    pub fn provide(
        &self,
        definition: &ValidTaskDefinition,
        options: &RunOptions,
        progress: &mut dyn FnMut(&ImageReference, Progress),
    ) -> Result<TaskImages, OpsError> {
        let started_at = now();
        let definition = options.applied(definition)?;
        if let Some(missing) = grants::missing(definition.definition(), &self.config.instance) {
            return Err(missing.into());
        }
        if let Some(missing) = self.fault(&definition) {
            let values = TaskValues::default();
            return Ok(TaskImages { started_at, stopped_at: started_at, values, outcome: Err(missing) });
        }
        let references = references(definition.definition(), options)?;
        // As in ECS, nothing is pulled for a task whose values cannot be had.
        let values = match self.values(definition.definition()) {
            Ok(values) => values,
            Err(unavailable) => {
                let missing = Missing { container: None, reason: unavailable.reason() };
                let values = TaskValues::default();
                return Ok(TaskImages { started_at, stopped_at: now(), values, outcome: Err(missing) });
            }
        };
        let mut wanted = wanted(&definition.definition().container_definitions, &references);
        let images = self.images()?;
        for _ in 0..ATTEMPTS {
            // Held while the images are looked up and until the task is on record, but not during a pull: those may last.
            let using = images.using()?;
            let found = references.iter().map(|reference| images.resolve(reference)).collect::<Result<Vec<_>, _>>()?;
            if let Some(found) = found.into_iter().collect::<Option<Vec<_>>>()
                && wanted.iter().all(|wanted| wanted.asked || !self.asks(&found[wanted.container], &wanted.reference))
            {
                let outcome = self.present(definition.definition(), found, using)?;
                return Ok(TaskImages { started_at, stopped_at: now(), values, outcome });
            }
            drop(using);
            if let Err(missing) = self.bring(&images, &mut wanted, progress)? {
                return Ok(TaskImages { started_at, stopped_at: now(), values, outcome: Err(missing) });
            }
        }
        Err(OpsError::Restless)
    }

    /// All that a task needs, if nobody outside this host has to be asked for any of it.
    pub(super) fn provide_at_once(
        &self,
        definition: &ValidTaskDefinition,
        options: &RunOptions,
    ) -> Result<Option<TaskImages>, OpsError> {
        let definition = options.applied(definition)?;
        if let Some(missing) = grants::missing(definition.definition(), &self.config.instance) {
            return Err(missing.into());
        }
        self.images_at_hand(&definition, options, None)
    }

    /// The images and values of a task if all images are here and nobody is to be asked for anything, or if somebody has just
    /// `fetched` all of it.
    pub(super) fn images_at_hand(
        &self,
        definition: &ValidTaskDefinition,
        options: &RunOptions,
        fetched: Option<&TaskValues>,
    ) -> Result<Option<TaskImages>, OpsError> {
        let started_at = now();
        if let Some(missing) = self.fault(definition) {
            let values = TaskValues::default();
            return Ok(Some(TaskImages { started_at, stopped_at: started_at, values, outcome: Err(missing) }));
        }
        let references = references(definition.definition(), options)?;
        let values = match (self.asks_aws(definition.definition()), fetched) {
            (true, None) => return Ok(None),
            (true, Some(values)) => Ok(values.clone()),
            (false, _) => self.values(definition.definition()),
        };
        let values = match values {
            Ok(values) => values,
            Err(unavailable) => {
                let outcome = Err(Missing { container: None, reason: unavailable.reason() });
                let values = TaskValues::default();
                return Ok(Some(TaskImages { started_at, stopped_at: now(), values, outcome }));
            }
        };
        let images = self.images()?;
        let using = images.using()?;
        let mut found = Vec::new();
        for reference in &references {
            match images.resolve(reference)?.filter(|image| fetched.is_some() || !self.asks(image, reference)) {
                Some(image) => found.push(image),
                None => return Ok(None),
            }
        }
        let outcome = self.present(definition.definition(), found, using)?;
        Ok(Some(TaskImages { started_at, stopped_at: now(), values, outcome }))
    }

    /// The images of all containers, unless they are larger than the task's ephemeral storage, of which they are a part.
    fn present(
        &self,
        task: &TaskDefinition,
        found: Vec<Image>,
        using: Using,
    ) -> Result<Result<Present, Missing>, OpsError> {
        let is_held = self.is_held(task)?;
        let facts: Vec<_> = found.into_iter().map(|image| facts(image, is_held)).collect::<Result<_, _>>()?;
        let bytes = layer_bytes(&facts);
        if let Some(size) = storage_bytes(task).filter(|size| is_held && *size < bytes) {
            let reason = format!(
                "CannotPullContainerError: the unpacked layers of the task's images are {bytes} bytes, and its ephemeral \
                 storage is {size}: no space left on device"
            );
            return Ok(Err(Missing { container: None, reason }));
        }
        Ok(Ok(Present { facts, _using: using }))
    }

    /// What ECS finds out before it pulls.
    fn fault(&self, definition: &ValidTaskDefinition) -> Option<Missing> {
        let foreign = platform::foreign(definition.definition()).map(|reason| (0, reason));
        let found = foreign.or_else(|| self.log_fault(definition.definition(), definition.is_fargate()));
        found.map(|(container, reason)| Missing { container: Some(container), reason })
    }

    /// Pulls what is not here or is to be asked for, all at once. The first container's failure is the task's.
    fn bring(
        &self,
        images: &ImageStore,
        wanted: &mut [Wanted],
        progress: &mut dyn FnMut(&ImageReference, Progress),
    ) -> Result<Result<(), Missing>, OpsError> {
        let mut pulled = Vec::new();
        for one in wanted.iter_mut() {
            let here = images.resolve(&one.reference)?;
            if here.as_ref().is_none_or(|image| !one.asked && self.asks(image, &one.reference)) {
                pulled.push((one, here.is_some()));
            }
        }
        let results = together(self.puller(), &pulled, progress);
        for ((one, is_here), result) in pulled.into_iter().zip(results) {
            // A registry that does not answer stops no task whose image is here.
            let will_do = is_here && self.config.image.pull_behavior == PullBehavior::Default;
            if let Some(error) = result.err().filter(|_| !will_do) {
                return Ok(Err(Missing { container: Some(one.container), reason: error.reason() }));
            }
            one.asked = true;
        }
        Ok(Ok(()))
    }

    /// Whether a registry is asked for an image that is here. What was imported is at no registry, and what is named by its
    /// digest is the same there.
    fn asks(&self, image: &Image, reference: &ImageReference) -> bool {
        let may_differ = match image.origin {
            Origin::Import => false,
            Origin::Registry { .. } => reference.digest().is_none(),
        };
        match self.config.image.pull_behavior {
            PullBehavior::Once | PullBehavior::PreferCached => false,
            PullBehavior::Default | PullBehavior::Always => may_differ,
        }
    }
}

/// Pulls images side by side, each in a thread of its own, and tells of their progress in this one.
fn together(
    puller: Puller,
    pulled: &[(&mut Wanted, bool)],
    progress: &mut dyn FnMut(&ImageReference, Progress),
) -> Vec<Result<Image, PullError>> {
    std::thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        let threads = pulled.iter().map(|(one, _)| {
            let (reference, parameter, tell) = (one.reference.clone(), one.parameter, tell.clone());
            scope.spawn(move || {
                // Whoever listens does so until all have ended.
                puller.pull(&reference, parameter, &mut |step| drop(tell.send((reference.clone(), step))))
            })
        });
        let threads: Vec<_> = threads.collect();
        drop(tell);
        told.iter().for_each(|(reference, step)| progress(&reference, step));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

fn now() -> Timestamp {
    Timestamp(time::wall_ns() / 1_000_000)
}

/// The image of each container: by the digest that the caller has pinned, unless the container wants its tag resolved anew
/// (`versionConsistency`).
fn references(task: &TaskDefinition, options: &RunOptions) -> Result<Vec<ImageReference>, OpsError> {
    let reference = |container: &ContainerDefinition| {
        let parsed = container.image.parse::<ImageReference>();
        let named = parsed.map_err(|source| OpsError::Reference { container: container.name.clone(), source })?;
        let consistent = container.version_consistency.as_deref() != Some("disabled");
        let pinned = options.pinned.get(&container.name).filter(|_| consistent);
        Ok(pinned.map_or_else(|| named.clone(), |digest| named.by_digest(*digest)))
    };
    task.container_definitions.iter().map(reference).collect()
}

/// Each image once.
fn wanted<'a>(containers: &'a [ContainerDefinition], references: &[ImageReference]) -> Vec<Wanted<'a>> {
    let all = references.iter().zip(containers).enumerate();
    let first = all.filter(|(place, (reference, _))| !references[..*place].contains(reference));
    let wanted = first.map(|(container, (reference, definition))| {
        let credentials = definition.repository_credentials.as_ref();
        let parameter = credentials.map(|credentials| credentials.credentials_parameter.as_str());
        Wanted { reference: reference.clone(), container, parameter, asked: false }
    });
    wanted.collect()
}

fn facts(image: Image, is_held: bool) -> Result<ImageFacts, OpsError> {
    let (passwd, group) = (image.passwd()?.unwrap_or_default(), image.group()?.unwrap_or_default());
    let layer_sizes = if is_held { image.layer_sizes()? } else { Vec::new() };
    let config = image.config;
    Ok(ImageFacts {
        digest: image.digest.to_string(),
        layers: image.layers,
        layer_sizes,
        entrypoint: config.entrypoint,
        cmd: config.cmd,
        env: config.env,
        working_dir: config.working_dir.unwrap_or_default(),
        user: config.user.unwrap_or_default(),
        stop_signal: config.stop_signal.unwrap_or_default(),
        passwd,
        group,
        volumes: config.volumes,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn task(json: &str) -> TaskDefinition {
        serde_json::from_str(json).unwrap()
    }

    const TASK: &str = r#"{"family": "f", "containerDefinitions": [
        {"name": "a", "image": "web:1", "repositoryCredentials": {"credentialsParameter": "hub"}},
        {"name": "b", "image": "docker.io/library/web:1"},
        {"name": "c", "image": "other", "versionConsistency": "disabled"}]}"#;

    #[test]
    fn an_image_of_several_containers_is_wanted_once() {
        let task = task(TASK);
        let references = references(&task, &RunOptions::default()).unwrap();
        let wanted = wanted(&task.container_definitions, &references);
        let seen: Vec<_> = wanted.iter().map(|one| (one.reference.familiar(), one.container, one.parameter)).collect();
        assert_eq!(seen, [("web:1".to_owned(), 0, Some("hub")), ("other:latest".to_owned(), 2, None)]);
    }

    #[test]
    fn a_pinned_digest_counts_unless_the_container_wants_its_tag() {
        let digest = crate::image::Digest::of(b"x");
        let pinned = ["a", "c"].map(|name| (name.to_owned(), digest));
        let options = RunOptions { pinned: BTreeMap::from(pinned), ..RunOptions::default() };
        let references = references(&task(TASK), &options).unwrap();
        assert_eq!(references[0].full(), format!("docker.io/library/web@{digest}"));
        assert_eq!(references[1].full(), "docker.io/library/web:1");
        assert_eq!(references[2].full(), "docker.io/library/other:latest");
    }
}
