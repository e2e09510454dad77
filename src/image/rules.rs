//! The rules that an entry of a layer must keep, as pure functions: names, whiteouts, attributes, and the limits of a
//! layer. Nothing is opened here. Called by `unpack`.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::tarball::Kind;

/// How much one layer may be. `default` is far above real images and far below what hurts a host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Uncompressed bytes, headers and padding included.
    pub(crate) bytes: u64,
    /// Entries, and directories that entries imply.
    pub(crate) entries: u64,
    /// Uncompressed bytes for each compressed one, once `ratio_from` bytes have come.
    pub(crate) ratio: u64,
    /// Uncompressed bytes below which the ratio does not count.
    pub(crate) ratio_from: u64,
    /// Bytes of the list of what is left to do for the layer's directories.
    pub(crate) settle: u64,
}

impl Default for Limits {
    fn default() -> Self {
        // The best that deflate can do is 1032:1, and real layers stay below 100:1.
        Self { bytes: 64 << 30, entries: 2_000_000, ratio: 250, ratio_from: 256 << 20, settle: 256 << 20 }
    }
}

/// How many directories may lie above an entry: each costs a descriptor while it is worked in.
pub(crate) const DEPTH_MAX: usize = 128;
/// The longest path, in bytes: Linux's PATH_MAX without the final NUL.
pub(crate) const PATH_MAX: usize = 4095;
/// The longest name, in bytes: Linux's NAME_MAX.
const NAME_MAX: usize = 255;
/// The most extended attributes of one entry.
pub(crate) const XATTRS_MAX: usize = 64;
/// The longest value of an extended attribute, in bytes: Linux's XATTR_SIZE_MAX.
const XATTR_VALUE_MAX: usize = 65536;

/// Whiteouts are files with this prefix (image-spec, layer.md, "Whiteouts").
const WHITEOUT: &[u8] = b".wh.";
/// What aufs kept for itself begins with this prefix. Only the opaque marker has a meaning in images.
const AUFS: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// The rule that an entry breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// `..` in a path.
    #[error("a path must not have `..`")]
    Parent,
    /// A NUL byte in a path or a link's target.
    #[error("a name must not have a NUL byte")]
    Nul,
    /// A name over 255 bytes.
    #[error("a name must not be longer than 255 bytes")]
    Name,
    /// A path over 4095 bytes.
    #[error("a path must not be longer than 4095 bytes")]
    Path,
    /// A path over the depth.
    #[error("a path must not be deeper than {DEPTH_MAX} directories")]
    Depth,
    /// A link without a target.
    #[error("a link must have a target")]
    Target,
    /// Something other than a directory for the root.
    #[error("the root must be a directory")]
    Root,
    /// A whiteout of nothing, of `.` or `..`, or with something below it.
    #[error("a whiteout must name one entry beside it")]
    Whiteout,
    /// An opaque marker in the root: overlayfs merges the roots of all layers whatever they are marked as.
    #[error("the root must not be opaque")]
    OpaqueRoot,
    /// Symbolic links among the parents that lead in circles, or nearly.
    #[error("a parent of it leads through too many symbolic links in this layer")]
    Links,
    /// Something else among the parents.
    #[error("a parent of it is not a directory in this layer")]
    ThroughFile,
    /// A hard link to nothing.
    #[error("the target of a hard link must stand earlier in the same layer")]
    HardlinkTarget,
    /// A hard link to a directory, a whiteout, a device.
    #[error("the target of a hard link must be a file, a symbolic link or a FIFO")]
    HardlinkKind,
    /// A user or group id that the kernel does not have.
    #[error("user and group ids must be below 4294967295")]
    Owner,
    /// Too many or too long attributes, or a name with a NUL byte.
    #[error("at most {XATTRS_MAX} extended attributes of at most {XATTR_VALUE_MAX} bytes")]
    Xattr,
}

/// What the name of an entry asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The layer's own root directory.
    Root,
    /// An entry: the directories above it, and its name.
    Entry(Vec<OsString>, OsString),
    /// The entry of this name, in these directories, does not show from lower layers.
    Whiteout(Vec<OsString>, OsString),
    /// Nothing in these directories shows from lower layers.
    Opaque(Vec<OsString>),
    /// aufs's own, without a meaning here.
    Nothing,
}

impl Target {
    /// Reads an entry's path. An absolute one is meant below the layer's root, as Docker and containerd take it.
    pub(crate) fn of(path: &[u8]) -> Result<Self, Rule> {
        let mut parents = components(path)?;
        let Some(name) = parents.pop() else { return Ok(Self::Root) };
        if parents.iter().any(|parent| parent.as_bytes().starts_with(WHITEOUT)) {
            return Err(Rule::Whiteout);
        }
        match name.as_bytes() {
            OPAQUE if parents.is_empty() => Err(Rule::OpaqueRoot),
            OPAQUE => Ok(Self::Opaque(parents)),
            name if name.starts_with(AUFS) => Ok(Self::Nothing),
            whiteout if whiteout.starts_with(WHITEOUT) => match &whiteout[WHITEOUT.len()..] {
                b"" | b"." | b".." => Err(Rule::Whiteout),
                hidden => Ok(Self::Whiteout(parents, OsStr::from_bytes(hidden).to_owned())),
            },
            _ => Ok(Self::Entry(parents, name)),
        }
    }

    /// Reads the target of a hard link, which is named from the layer's root like an entry.
    pub(crate) fn of_hardlink(path: &[u8]) -> Result<(Vec<OsString>, OsString), Rule> {
        match Self::of(path)? {
            Self::Entry(parents, name) => Ok((parents, name)),
            Self::Root | Self::Whiteout(..) | Self::Opaque(_) | Self::Nothing => Err(Rule::HardlinkKind),
        }
    }
}

/// The parts of a path; empty ones and `.` mean nothing.
pub(crate) fn components(path: &[u8]) -> Result<Vec<OsString>, Rule> {
    if path.len() > PATH_MAX {
        return Err(Rule::Path);
    }
    if path.contains(&0) {
        return Err(Rule::Nul);
    }
    let mut components = Vec::new();
    for part in path.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")) {
        match part {
            b".." => return Err(Rule::Parent),
            part if part.len() > NAME_MAX => return Err(Rule::Name),
            part => components.push(OsString::from_vec(part.to_vec())),
        }
    }
    if components.len() > DEPTH_MAX { Err(Rule::Depth) } else { Ok(components) }
}

/// A symbolic link's text: whatever it says, it is never followed here.
pub(crate) fn link_text(link: &[u8]) -> Result<&OsStr, Rule> {
    match link {
        b"" => Err(Rule::Target),
        link if link.contains(&0) => Err(Rule::Nul),
        link if link.len() > PATH_MAX => Err(Rule::Path),
        link => Ok(OsStr::from_bytes(link)),
    }
}

/// An owner as the kernel takes it; the highest number means "leave it" to chown(2).
pub(crate) fn owner(id: u64) -> Result<u32, Rule> {
    u32::try_from(id).ok().filter(|id| *id != u32::MAX).ok_or(Rule::Owner)
}

/// The attributes that are kept: `security.capability` of files, and `user.` ones but overlayfs's own. Everything else
/// is dropped: `trusted.` could speak to overlayfs (redirects, metacopy), security labels are the host's policy, and
/// ACLs name the users of another host.
pub(crate) fn kept_xattrs(kind: Kind, xattrs: &[(Vec<u8>, Vec<u8>)]) -> Result<Vec<(CString, &[u8])>, Rule> {
    if xattrs.len() > XATTRS_MAX || xattrs.iter().any(|(_, value)| value.len() > XATTR_VALUE_MAX) {
        return Err(Rule::Xattr);
    }
    let kept = |name: &[u8]| match name {
        b"security.capability" => kind == Kind::File,
        name => name.starts_with(b"user.") && !name.starts_with(b"user.overlay."),
    };
    xattrs
        .iter()
        .filter(|(name, _)| kept(name))
        .map(|(name, value)| Ok((CString::new(name.as_slice()).map_err(|_| Rule::Xattr)?, value.as_slice())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(parents: &[&str]) -> Vec<OsString> {
        parents.iter().map(OsString::from).collect()
    }

    #[test]
    fn paths_are_read_from_the_layers_root() {
        for text in ["a/b", "/a/b", "./a//b", "././a/./b/"] {
            assert_eq!(Target::of(text.as_bytes()), Ok(Target::Entry(path(&["a"]), "b".into())), "{text}");
        }
        for root in ["", ".", "/", "./"] {
            assert_eq!(Target::of(root.as_bytes()), Ok(Target::Root));
        }
    }

    #[test]
    fn whiteouts_name_what_they_hide() {
        assert_eq!(Target::of(b"a/.wh.b"), Ok(Target::Whiteout(path(&["a"]), "b".into())));
        assert_eq!(Target::of(b"a/.wh..wh..opq"), Ok(Target::Opaque(path(&["a"]))));
        assert_eq!(Target::of(b".wh..wh.plnk"), Ok(Target::Nothing));
        assert_eq!(Target::of(b".wh..wh..opq"), Err(Rule::OpaqueRoot));
        for bad in ["a/.wh.", ".wh..", ".wh...", ".wh.a/b"] {
            assert_eq!(Target::of(bad.as_bytes()), Err(Rule::Whiteout), "{bad}");
        }
    }

    #[test]
    fn paths_out_of_the_rules_are_refused() {
        assert_eq!(Target::of(b"../a"), Err(Rule::Parent));
        assert_eq!(Target::of(b"a/../b"), Err(Rule::Parent));
        assert_eq!(Target::of(b"a\0b"), Err(Rule::Nul));
        assert_eq!(Target::of(&[b'a'; 256]), Err(Rule::Name));
        assert_eq!(Target::of("a/".repeat(3000).as_bytes()), Err(Rule::Path));
        assert_eq!(Target::of("a/".repeat(200).as_bytes()), Err(Rule::Depth));
        assert_eq!(owner(u64::from(u32::MAX)), Err(Rule::Owner));
        assert_eq!(link_text(b""), Err(Rule::Target));
    }

    #[test]
    fn attributes_that_speak_to_the_host_are_dropped() {
        let all = [
            "user.a",
            "user.overlay.opaque",
            "trusted.overlay.redirect",
            "security.selinux",
            "security.capability",
            "system.posix_acl_access",
        ];
        let all: Vec<_> = all.iter().map(|name| (name.as_bytes().to_vec(), vec![1])).collect();
        let names = |kind| kept_xattrs(kind, &all).unwrap().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(Kind::File), [c"user.a".into(), CString::from(c"security.capability")]);
        assert_eq!(names(Kind::Directory), [CString::from(c"user.a")]);
    }
}
