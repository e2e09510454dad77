//! `berth image`: its commands, options and help texts.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::super::input::Input;

/// `berth image`.
#[derive(Debug, Subcommand)]
pub enum Image {
    /// Fetch images from their registries
    Pull(Pull),
    /// List images
    #[command(after_help = "Examples:\n  \
        berth image ls\n  \
        berth image ls --format json | jq -r '.[] | select(.size > 1e9).name'")]
    Ls {
        /// Names only, one a line
        #[arg(short, long)]
        quiet: bool,
    },
    /// Show all that is known of images, in JSON
    #[command(
        after_help = "The answer is a list: names, digests, platform, layers with their sizes, and the image's own \
        configuration.\n\n\
        Examples:\n  \
        berth image inspect nginx | jq '.[].config'\n  \
        berth image inspect nginx | jq -r '.[].layers[] | \"\\(.size)\\t\\(.chainId)\"'"
    )]
    Inspect {
        /// Names or digests
        #[arg(required = true, value_name = "IMAGE")]
        images: Vec<String>,
    },
    /// Remove images; layers that no other image and no task needs go with them
    #[command(after_help = "An image that a task runs is kept: stop the task first.\n\nExamples:\n  \
        berth image rm nginx\n  \
        berth image rm web:1 web:2")]
    Rm {
        /// Names or digests
        #[arg(required = true, value_name = "IMAGE")]
        images: Vec<String>,
    },
    /// Remove images that nobody needs, and what pulls that were cut off have left
    Prune(Prune),
    /// Give an image another name
    #[command(after_help = "A name that another image had is the new one's.\n\nExamples:\n  \
        berth image tag nginx:1.27 nginx:stable\n  \
        berth image tag web:1 registry.lan:5000/web:1")]
    Tag {
        /// The name or digest that it has
        #[arg(value_name = "IMAGE")]
        image: String,
        /// The name that it is to have
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Import an OCI image layout (directory or tar) or the output of `docker save`
    Import(Import),
    /// Write images to a file that `import`, `docker load` and `skopeo` read
    Save(Save),
    /// Log in to a registry: check a name and a password there, and keep them
    Login(Login),
    /// Forget the name and password for a registry
    #[command(
        after_help = "What other programs keep (podman's auth.json) stays.\n\nExamples:\n  berth image logout ghcr.io"
    )]
    Logout {
        /// The registry: docker.io, ghcr.io, registry.lan:5000
        #[arg(value_name = "REGISTRY", value_hint = ValueHint::Hostname)]
        registry: String,
    },
    /// Show what images take of the disk, and what could be had back
    #[command(
        after_help = "SHARED is what several images have in common and is on the disk once. RECLAIMABLE is what \
        `berth image prune -a` would remove.\n\nExamples:\n  \
        berth image df\n  \
        berth image df --format json | jq .reclaimable"
    )]
    Df,
}

/// `berth image pull`.
#[derive(Debug, Args)]
#[command(
    after_help = "Names are completed as Docker does: nginx is docker.io/library/nginx:latest. Where an image is for several \
    platforms, that of this host is fetched. Layers that are here are not fetched again, and a pull that was cut off goes on \
    where it stood.\n\n\
    Credentials are those of `berth image login`, `docker login` and `podman login`, credential helpers, and for Amazon ECR \
    docker-credential-ecr-login if it is installed. Mirrors, insecure registries and proxies stand in [image] of \
    config.toml.\n\n\
    Examples:\n  \
    berth image pull nginx:1.27 redis\n  \
    berth image pull registry.lan:5000/web@sha256:...\n  \
    berth image pull -q nginx                                  the digest, for a script\n  \
    berth image pull --format json nginx | jq -c 'select(.event == \"layer\")'\n\n\
    With --format json standard output has one event a line: resolving, retrying, image, present, waiting, layer, unpacked, \
    and at last pulled, with the image."
)]
pub struct Pull {
    /// Print nothing but the digests
    #[arg(short, long)]
    pub quiet: bool,
    /// Images, by name or by name@digest
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<String>,
}

/// `berth image prune`.
#[derive(Debug, Args)]
#[command(
    after_help = "Without -a only images without a tag are removed: those whose name a newer image has taken. Images that a \
    task runs are always kept. On a terminal it asks first.\n\n\
    Examples:\n  \
    berth image prune\n  \
    berth image prune -af"
)]
pub struct Prune {
    /// All images that no task uses
    #[arg(short, long)]
    pub all: bool,
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
}

/// `berth image import`.
#[derive(Debug, Args)]
#[command(
    after_help = "Names are those in the archive, completed as Docker does: nginx is docker.io/library/nginx:latest.\n\n\
    Examples:\n  \
    docker save nginx | berth image import -\n  \
    berth image import --name web:1 layout/"
)]
pub struct Import {
    /// Its name, where the archive has none or another one is wanted
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// A directory, a tar file, - for standard input
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub path: Input,
}

/// `berth image save`.
#[derive(Debug, Args)]
#[command(
    after_help = "The file is an OCI image layout in a tar archive. Layers are written anew from their unpacked files: their \
    digests, and the image's, are others than at the registry.\n\n\
    Examples:\n  \
    berth image save -o web.tar web:1\n  \
    berth image save web:1 | ssh other berth image import -"
)]
pub struct Save {
    /// The file to write [default: standard output, if it is no terminal]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Names or digests
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<String>,
}

/// `berth image login`.
#[derive(Debug, Args)]
#[command(after_help = "The name and password are kept where docker keeps them: with the credential helper of \
    ~/.docker/config.json (credHelpers, credsStore) if there is one, else in that file, in the clear for whoever can read it \
    (it is closed to all but its owner). $DOCKER_CONFIG names another directory.\n\n\
    Examples:\n  \
    berth image login ghcr.io\n  \
    berth image login -u me --password-stdin registry.lan:5000 < password\n  \
    aws ecr get-login-password | berth image login -u AWS --password-stdin 123456789012.dkr.ecr.eu-west-1.amazonaws.com")]
pub struct Login {
    /// The name [default: it is asked for]
    #[arg(short, long, value_name = "NAME")]
    pub username: Option<String>,
    /// Read the password from standard input
    #[arg(long, requires = "username")]
    pub password_stdin: bool,
    /// The registry: docker.io, ghcr.io, registry.lan:5000
    #[arg(value_name = "REGISTRY", value_hint = ValueHint::Hostname)]
    pub registry: String,
}
