//! The keys under which docker's and podman's files know a registry, and which of them fits best.

/// Docker's registry, as image names have it.
pub(super) const DOCKER: &str = "docker.io";
/// The key of docker's registry: the address of its first protocol (docker/cli, `registry.IndexServer`).
const DOCKER_KEY: &str = "https://index.docker.io/v1/";

/// The key under which docker writes a registry.
pub(super) fn of(registry: &str) -> &str {
    if registry == DOCKER { DOCKER_KEY } else { registry }
}

/// How well a key fits a repository: the length of what it names, if it names the repository, its registry or something
/// between. An address (`https://host/v1/`) is its host, as docker has it; anything else may have a path of namespaces
/// behind the host (containers-auth.json(5)).
pub(super) fn fit(key: &str, registry: &str, repository: &str) -> Option<usize> {
    let (host, path) = match key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")) {
        Some(rest) => (rest.split('/').next().unwrap_or(rest), ""),
        None => key.split_once('/').unwrap_or((key, "")),
    };
    let path = if matches!(path, "v1" | "v1/" | "v2" | "v2/") { "" } else { path };
    let within =
        path.is_empty() || repository.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    (canonical(host) == canonical(registry) && within).then(|| host.len() + path.len())
}

/// One name for the host of docker's registry, which has several.
fn canonical(host: &str) -> &str {
    if matches!(host, "index.docker.io" | "registry-1.docker.io") { DOCKER } else { host }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_of_docker_has_many_names() {
        for key in
            ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io", "docker.io/v1/"]
        {
            assert!(fit(key, "docker.io", "library/nginx").is_some(), "{key}");
        }
        assert_eq!(of("docker.io"), "https://index.docker.io/v1/");
        assert_eq!(of("ghcr.io"), "ghcr.io");
    }

    #[test]
    fn a_namespace_fits_its_repositories_only() {
        let whole = fit("registry.lan:5000", "registry.lan:5000", "a/b").unwrap();
        let part = fit("registry.lan:5000/a", "registry.lan:5000", "a/b").unwrap();
        assert!(part > whole);
        assert_eq!(fit("registry.lan:5000/a", "registry.lan:5000", "ab"), None);
        assert!(fit("registry.lan:5000/a/b", "registry.lan:5000", "a/b").is_some());
        assert_eq!(fit("registry.lan", "registry.lan:5000", "a/b"), None);
        assert_eq!(fit("evil.lan/registry.lan:5000", "registry.lan:5000", "a/b"), None);
    }
}
