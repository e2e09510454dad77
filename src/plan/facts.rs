//! What a plan has to know of an image.

/// What is known of an image on this host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageFacts {
    /// The manifest's digest.
    pub digest: String,
    /// The unpacked layers, topmost first.
    pub layers: Vec<std::path::PathBuf>,
    /// The bytes of each of them; empty where nothing is held to a size.
    pub layer_sizes: Vec<u64>,
    /// ENTRYPOINT.
    pub entrypoint: Vec<String>,
    /// CMD.
    pub cmd: Vec<String>,
    /// ENV.
    pub env: Vec<(String, String)>,
    /// WORKDIR, or empty.
    pub working_dir: String,
    /// USER, or empty.
    pub user: String,
    /// STOPSIGNAL, or empty.
    pub stop_signal: String,
    /// The text of /etc/passwd.
    pub passwd: String,
    /// The text of /etc/group.
    pub group: String,
    /// VOLUME.
    pub volumes: Vec<String>,
}
