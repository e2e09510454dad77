//! What entries are and what they carry: devices, FIFOs, modes, owners, extended attributes.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::super::rules::Rule;
use super::super::testing::Tar;
use super::Control::Naive;
use super::ground::xattrs;
use super::{Case, t, tree, twin};

pub(super) fn cases(_out: &Path) -> Vec<Case> {
    let mut all = devices();
    all.extend(types());
    all.extend(modes());
    all.extend(owners());
    all.extend(attributes());
    all.extend(too_many_attributes());
    all
}

fn node(kind: u8, name: &str, numbers: (u32, u32)) -> Tar {
    let mut header = Tar::header(kind, name.as_bytes());
    header.set_mode(0o666);
    header.set_device_major(numbers.0).unwrap();
    header.set_device_minor(numbers.1).unwrap();
    t().entry(header, b"")
}

/// Device nodes are left out as if they were not in the layer.
fn devices() -> Vec<Case> {
    let absent = |name: &'static str| move |root: &Path| root.join(name).symlink_metadata().is_err();
    let case = |what: &str, kind: u8, name: &'static str, numbers: (u32, u32)| {
        Case::unpacked(what, absent(name), node(kind, name, numbers), Naive)
    };
    let over = |root: &Path| root.join("f").symlink_metadata().is_ok_and(|found| found.is_file());
    vec![
        case("/dev/mem", b'3', "mem", (1, 1)),
        case("/dev/kmem", b'3', "dev/kmem", (1, 2)),
        case("/dev/kmsg", b'3', "a/b/kmsg", (1, 11)),
        case("/dev/null", b'3', "null", (1, 3)),
        case("the first disk", b'4', "sda", (8, 0)),
        case("a virtual disk", b'4', "dev/vda", (253, 0)),
        case("a loop device", b'4', "loop0", (7, 0)),
        case("a device below a missing directory", b'4', "x/y/z/sdb", (8, 16)),
        case("overlayfs's own whiteout", b'3', "whiteout", (0, 0)),
        case("a block device 0:0", b'4', "zero", (0, 0)),
        case("the largest numbers", b'3', "max", (0o7_777_777, 0o7_777_777)),
        case("/dev/fuse", b'3', "fuse", (10, 229)),
        case("/dev/net/tun", b'3', "dev/net/tun", (10, 200)),
        case("a device by a long name", b'3', "a", (1, 1)),
        Case::unpacked(
            "a device does not replace",
            over,
            t().file("f", "x").raw(&node(b'3', "f", (1, 1)).open()),
            twin(t().dir("f")),
        ),
    ]
}

fn types() -> Vec<Case> {
    let of = |kind: u8, name: &str| {
        Case::archive(format!("type {:?}", char::from(kind)), t().of(kind, name), t().file(name, ""))
    };
    let fifo = |root: &Path| {
        root.join("etc/passwd")
            .symlink_metadata()
            .is_ok_and(|found| found.file_type().is_fifo() && found.mode() & 0o7777 == 0o644)
    };
    let content = |root: &Path| tree(root).len() == 2 && root.join("next").is_file();
    let with_content = |kind: u8| {
        let mut header = Tar::header(kind, b"a");
        header.set_size(512);
        t().entry(header, b"").file("next", "x")
    };
    let mut all: Vec<_> = b"8:ADMNSUVXZs\x01\xff~".iter().map(|kind| of(*kind, &format!("t{kind}"))).collect();
    all.push(Case::unpacked(
        "a FIFO as passwd",
        fifo,
        t().dir("etc").of(b'6', "etc/passwd"),
        twin(t().dir("etc").file("etc/passwd", "")),
    ));
    for kind in [b'5', b'6'] {
        let name = format!("content of type {:?}", char::from(kind));
        all.push(Case::unpacked(name, content, with_content(kind), twin(t().of(kind, "a"))));
    }
    let device = |root: &Path| tree(root).len() == 1 && root.join("next").is_file();
    all.push(Case::unpacked("content of a device", device, with_content(b'3'), Naive));
    all
}

fn with_mode(kind: u8, name: &str, mode: u32) -> Tar {
    let mut header = Tar::header(kind, name.as_bytes());
    header.set_mode(mode);
    t().entry(header, b"")
}

/// The twelve bits are kept, and nothing above them.
fn modes() -> Vec<Case> {
    let case = |kind: u8, name: &'static str, mode: u32| {
        let is = move |root: &Path| {
            root.join(name).symlink_metadata().is_ok_and(|found| found.mode() & 0o7777 == mode & 0o7777)
        };
        let twin = twin(with_mode(kind, name, (mode ^ 0o1) & 0o777));
        Case::unpacked(format!("mode {mode:o} of {name}"), is, with_mode(kind, name, mode), twin)
    };
    let regular = |root: &Path| root.join("f").symlink_metadata().is_ok_and(|found| found.is_file());
    let next = |root: &Path| root.join("suid").metadata().is_ok_and(|found| found.mode() & 0o7777 == 0o755);
    vec![
        case(b'0', "suid", 0o4755),
        case(b'0', "sgid", 0o2755),
        case(b'0', "both", 0o6777),
        case(b'0', "all", 0o7777),
        case(b'0', "none", 0),
        case(b'5', "sticky", 0o1777),
        case(b'5', "setgid", 0o2775),
        case(b'5', "closed", 0),
        case(b'6', "fifo", 0o4666),
        Case::unpacked(
            "a mode that says device",
            regular,
            with_mode(b'0', "f", 0o020_644),
            twin(with_mode(b'5', "f", 0o755)),
        ),
        Case::unpacked("a mode that says link", regular, with_mode(b'0', "f", 0o120_644), twin(t().symlink("f", "x"))),
        Case::unpacked(
            "setuid of an earlier entry of that name",
            next,
            with_mode(b'0', "suid", 0o6755).raw(&with_mode(b'0', "suid", 0o755).open()),
            twin(with_mode(b'0', "suid", 0o755).raw(&with_mode(b'0', "suid", 0o4755).open())),
        ),
    ]
}

fn owners() -> Vec<Case> {
    let uid = |uid: u64| {
        let mut header = Tar::header(b'0', b"a");
        header.set_uid(uid);
        t().entry(header, b"")
    };
    let gid = |gid: u64| {
        let mut header = Tar::header(b'5', b"a");
        header.set_gid(gid);
        t().entry(header, b"")
    };
    let pax = |key: &str, value: &str| t().pax(key, value.as_bytes()).file("a", "");
    let own = nix::unistd::getuid().as_raw().to_string();
    let refused = |name: &str, tar: Tar| Case::refused(name, Rule::Owner, tar, twin(t().file("a", name)));
    let archive = |name: &str, tar: Tar| Case::archive(name, tar, t().pax("uid", own.as_bytes()).file("a", name));
    vec![
        refused("uid -1", uid(u32::MAX.into())),
        refused("uid over 32 bits", uid(1 << 32)),
        refused("uid that is 0 in 32 bits", uid(7 << 32)),
        refused("uid of 63 bits", uid(i64::MAX.cast_unsigned())),
        refused("gid -1", gid(u32::MAX.into())),
        refused("gid over 32 bits", gid(1 << 33)),
        refused("uid over 32 bits in PAX", pax("uid", "4294967296")),
        refused("gid -1 in PAX", pax("gid", "4294967295")),
        refused("uid of 64 bits in PAX", pax("uid", "18446744073709551615")),
        archive("uid over 64 bits in PAX", pax("uid", "18446744073709551616")),
        archive("negative uid in PAX", pax("uid", "-1")),
        archive("uid in hexadecimal", pax("uid", "0x0")),
        archive("uid by name", pax("uid", "root")),
        archive("gid with a blank", pax("gid", " 0")),
        archive("gid with a sign", pax("gid", "+0")),
        archive("gid with a NUL", pax("gid", "0\0")),
    ]
}

/// What the rules drop is not there; files can have `user.canary`, which shows that attributes are set at all.
fn attributes() -> Vec<Case> {
    let on = |tar: Tar, kind: u8| tar.of(kind, "a");
    let none = |root: &Path| xattrs(&root.join("a")).is_empty();
    let dropped = |name: &str, key: &str, value: &[u8], kind: u8| {
        let tar = on(t().pax(&format!("SCHILY.xattr.{key}"), value), kind);
        let good = on(t().pax("SCHILY.xattr.user.canary", name.as_bytes()), kind);
        Case::unpacked(name, none, tar, twin(good))
    };
    let kept = |root: &Path| xattrs(&root.join("a")) == [(c"user.canary", b"line\nline\0".to_vec())];
    let two = t().pax("SCHILY.xattr.trusted.overlay.opaque", b"y").pax("SCHILY.xattr.user.canary", b"line\nline\0");
    vec![
        dropped("opaque by attribute", "trusted.overlay.opaque", b"y", b'5'),
        dropped("redirect", "trusted.overlay.redirect", b"/etc", b'5'),
        dropped("metacopy", "trusted.overlay.metacopy", b"", b'0'),
        dropped("origin", "trusted.overlay.origin", b"\x00\xfb", b'0'),
        dropped("opaque for users", "user.overlay.opaque", b"y", b'5'),
        dropped("redirect for users", "user.overlay.redirect", b"/etc", b'5'),
        dropped("metacopy for users", "user.overlay.metacopy", b"", b'0'),
        dropped("SELinux", "security.selinux", b"system_u:object_r:etc_t:s0", b'0'),
        dropped("IMA", "security.ima", b"\x01", b'0'),
        dropped("EVM", "security.evm", b"\x02", b'0'),
        dropped("SMACK", "security.SMACK64EXEC", b"_", b'0'),
        dropped("AppArmor", "security.apparmor", b"unconfined", b'0'),
        dropped("ACL", "system.posix_acl_access", &[2, 0, 0, 0, 1, 0, 7, 0], b'0'),
        dropped("default ACL", "system.posix_acl_default", &[2, 0, 0, 0], b'5'),
        dropped("NFS ACL", "system.nfs4_acl", b"x", b'0'),
        dropped("capability of a directory", "security.capability", &[0; 20], b'5'),
        dropped("of no name space", "canary", b"x", b'0'),
        dropped("of an empty name", "", b"x", b'0'),
        dropped("in capitals", "USER.canary", b"x", b'0'),
        dropped("with a NUL, of a kind that is dropped", "trusted.a\0user.canary", b"x", b'0'),
        Case::unpacked(
            "on a link",
            |root| root.join("a").is_symlink(),
            t().pax("SCHILY.xattr.user.canary", b"x").symlink("a", "../canary/file"),
            twin(t().file("a", "")),
        ),
        Case::unpacked(
            "one that is kept beside one that is dropped",
            kept,
            two.file("a", ""),
            twin(t().pax("SCHILY.xattr.user.canary", b"line").file("a", "")),
        ),
        Case::unpacked(
            "libarchive's form",
            none,
            t().pax("LIBARCHIVE.xattr.user.canary", b"eA==").file("a", ""),
            twin(t().pax("SCHILY.xattr.user.canary", b"eA==").file("a", "")),
        ),
        Case::unpacked(
            "ACL of star",
            none,
            t().pax("SCHILY.acl.access", b"user::rwx").file("a", ""),
            twin(t().pax("SCHILY.xattr.user.canary", b"user::rwx").file("a", "")),
        ),
    ]
}

fn too_many_attributes() -> Vec<Case> {
    let many = |count: usize| (0..count).fold(t(), |tar, at| tar.pax(&format!("SCHILY.xattr.trusted.{at}"), b"x"));
    let long = |bytes: usize| t().pax("SCHILY.xattr.trusted.a", &vec![b'x'; bytes]);
    let refused =
        |name: &str, tar: Tar, good: Tar| Case::refused(name, Rule::Xattr, tar.file("a", ""), twin(good.file("a", "")));
    vec![
        refused("65 attributes", many(65), many(64)),
        refused("5,000 attributes", many(5000), many(63)),
        refused("a value over 64 KiB", long(65_537), long(65_536)),
        refused("a name with a NUL", t().pax("SCHILY.xattr.user.a\0b", b"x"), t().pax("SCHILY.xattr.user.a", b"x")),
        Case::archive(
            "attributes over a mebibyte",
            (0..20).fold(t(), |tar, at| tar.pax(&format!("SCHILY.xattr.user.{at}"), &[b'x'; 60_000])).file("a", ""),
            long(60_000).file("a", ""),
        ),
    ]
}
