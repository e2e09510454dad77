//! Containers: cgroups, bundles, libcontainer, and the security floor of every process in a container.
