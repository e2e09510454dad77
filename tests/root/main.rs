//! The suite that needs root: real cgroups, namespaces, images and clients.
