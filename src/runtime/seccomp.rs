//! The default system call filter: compiled from the `profile`, kept as a file.
//!
//! libseccomp takes milliseconds to compile it, and the outcome depends on nothing but the profile, the architecture, the
//! library and the container's capabilities. So it is compiled once per root and kept in a directory for root alone.
//! A file that does not look like a filter is made anew.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use libseccomp::error::SeccompError as LibraryError;
use libseccomp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use nix::sys::memfd::{MFdFlags, memfd_create};
use sha2::{Digest, Sha256};

use super::profile;

/// The filter cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SeccompError {
    /// libseccomp refused the profile.
    #[error("compile the system call filter")]
    Compile(#[source] LibraryError),
    /// The compiled filter could not be read back.
    #[error("export the system call filter")]
    Export(#[source] io::Error),
    /// The cache could not be written.
    #[error("keep the system call filter in {path}")]
    Keep {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// A compiled filter: what seccomp(2) takes.
#[derive(Clone, PartialEq, Eq)]
pub struct Filter(Vec<libc::sock_filter>);

impl Filter {
    /// Its instructions.
    pub fn program(&self) -> &[libc::sock_filter] {
        &self.0
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (instructions, rest) = bytes.as_chunks::<8>();
        // The kernel's own limit is BPF_MAXINSNS.
        let fits = rest.is_empty() && (1..=4096).contains(&instructions.len());
        fits.then(|| {
            Self(instructions.iter().map(|[a, b, jt, jf, k @ ..]| instruction([*a, *b], *jt, *jf, *k)).collect())
        })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let bytes = |one: &libc::sock_filter| {
            let ([a, b], [c, d, e, f]) = (one.code.to_ne_bytes(), one.k.to_ne_bytes());
            [a, b, one.jt, one.jf, c, d, e, f]
        };
        self.0.iter().flat_map(bytes).collect()
    }
}

fn instruction(code: [u8; 2], jt: u8, jf: u8, k: [u8; 4]) -> libc::sock_filter {
    libc::sock_filter { code: u16::from_ne_bytes(code), jt, jf, k: u32::from_ne_bytes(k) }
}

/// The filter for a container with these capabilities, from the directory `cache` or newly compiled and put there.
pub fn filter(cache: &Path, capabilities: &[String]) -> Result<Filter, SeccompError> {
    let path = cache.join(file_name(capabilities));
    if let Some(kept) = fs::read(&path).ok().as_deref().and_then(Filter::from_bytes) {
        return Ok(kept);
    }
    let filter = compile(capabilities)?;
    match keep(cache, &path, &filter) {
        Ok(()) => Ok(filter),
        Err(source) => Err(SeccompError::Keep { path, source }),
    }
}

/// Only capabilities that the profile asks for make a difference.
fn file_name(capabilities: &[String]) -> String {
    let library = libseccomp::ScmpVersion::current().map(|version| version.to_string()).unwrap_or_default();
    let mut hash = Sha256::new();
    hash.update(format!("{} {} {library}", profile::VERSION, std::env::consts::ARCH));
    for (name, _) in profile::WITH_CAPABILITY.iter().filter(|(name, _)| has(capabilities, name)) {
        hash.update(format!(" {name}"));
    }
    let digest = hash.finalize();
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>() + ".bpf"
}

fn has(capabilities: &[String], name: &str) -> bool {
    capabilities.iter().any(|capability| capability == name)
}

fn keep(directory: &Path, path: &Path, filter: &Filter) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(&filter.to_bytes())?;
    fs::rename(&temporary, path)
}

fn compile(capabilities: &[String]) -> Result<Filter, SeccompError> {
    let (context, unknown) = build(capabilities).map_err(SeccompError::Compile)?;
    let bytes = export(&context)?;
    let compiled = Filter::from_bytes(&bytes)
        .ok_or_else(|| SeccompError::Export(io::Error::new(io::ErrorKind::InvalidData, "not a filter")))?;
    let program = no_socketcall().into_iter().chain(newer_calls(&unknown)).chain(compiled.0);
    Ok(Filter(program.collect()))
}

fn export(context: &ScmpFilterContext) -> Result<Vec<u8>, SeccompError> {
    let mut file: File =
        memfd_create(c"filter", MFdFlags::MFD_CLOEXEC).map_err(|errno| SeccompError::Export(errno.into()))?.into();
    context.export_bpf(&file).map_err(SeccompError::Compile)?;
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).map_err(SeccompError::Export)?;
    Ok(bytes)
}

/// libseccomp's part of the filter, and the numbers of the allowed calls that it does not know.
fn build(capabilities: &[String]) -> Result<(ScmpFilterContext, Vec<u32>), LibraryError> {
    let refused = ScmpAction::Errno(libc::EPERM);
    let mut context = ScmpFilterContext::new(refused)?;
    // A binary tree instead of a list: a third of the time to load it (the kernel tries every number once), and less
    // for each call.
    context.set_ctl_optimize(2)?;
    // We say ourselves when no_new_privs is set.
    context.set_ctl_nnp(false)?;
    for relative in relatives() {
        context.add_arch(*relative)?;
    }
    let mut unknown = Vec::new();
    let granted = profile::WITH_CAPABILITY.iter().filter(|(name, _)| has(capabilities, name));
    let names = [profile::ALWAYS, of_architecture()].into_iter().chain(granted.map(|(_, calls)| *calls));
    for name in names.flat_map(str::split_ascii_whitespace) {
        match ScmpSyscall::from_name(name) {
            Ok(call) => drop(context.add_rule(ScmpAction::Allow, call)?),
            // Not on this architecture, or newer than the library.
            Err(_) => {
                unknown.extend(profile::NUMBERS.iter().find(|(known, _)| *known == name).map(|(_, number)| number))
            }
        }
    }
    add_conditions(&mut context, capabilities)?;
    Ok((context, unknown))
}

fn add_conditions(context: &mut ScmpFilterContext, capabilities: &[String]) -> Result<(), LibraryError> {
    let first_is = |operator, value| [ScmpArgCompare::new(0, operator, value)];
    let mut allow = |name, comparison: [ScmpArgCompare; 1]| {
        context.add_rule_conditional(ScmpAction::Allow, ScmpSyscall::from_name(name)?, &comparison).map(drop)
    };
    allow("socket", first_is(ScmpCompareOp::Less, profile::FAMILIES_BELOW))?;
    for family in profile::FAMILIES {
        allow("socket", first_is(ScmpCompareOp::Equal, *family))?;
    }
    for personality in profile::PERSONALITIES {
        allow("personality", first_is(ScmpCompareOp::Equal, *personality))?;
    }
    if !has(capabilities, profile::ADMIN) {
        allow("clone", first_is(ScmpCompareOp::MaskedEqual(profile::NAMESPACE_FLAGS), 0))?;
        context.add_rule(ScmpAction::Errno(libc::ENOSYS), ScmpSyscall::from_name("clone3")?)?;
    }
    Ok(())
}

/// The architectures whose programs this one runs as well.
fn relatives() -> &'static [ScmpArch] {
    if cfg!(target_arch = "x86_64") { &[ScmpArch::X86, ScmpArch::X32] } else { &[ScmpArch::Arm] }
}

fn of_architecture() -> &'static str {
    if cfg!(target_arch = "x86_64") { profile::X86 } else { profile::ARM }
}

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
const SKIP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const IF_ABOVE: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;

/// One instruction; `then` and `otherwise` are how many instructions a condition skips.
fn step(code: u16, then: usize, otherwise: usize, k: u32) -> libc::sock_filter {
    let skip = |count| u8::try_from(count).expect("what is skipped here is short");
    libc::sock_filter { code, jt: skip(then), jf: skip(otherwise), k }
}

/// Instructions that go before libseccomp's: socketcall(SYS_SOCKET) of i386 is refused. libseccomp takes a condition on
/// socket(2) to mean that this one is allowed without any, as it cannot see the arguments.
fn no_socketcall() -> Vec<libc::sock_filter> {
    const AUDIT_ARCH_I386: u32 = 0x4000_0003;
    const SOCKETCALL: u32 = 102;
    const SYS_SOCKET: u32 = 1;
    if cfg!(not(target_arch = "x86_64")) {
        return Vec::new();
    }
    vec![
        step(LOAD, 0, 0, ARCHITECTURE),
        step(IF_EQUAL, 0, 5, AUDIT_ARCH_I386),
        step(LOAD, 0, 0, NUMBER),
        step(IF_EQUAL, 0, 3, SOCKETCALL),
        step(LOAD, 0, 0, FIRST_ARGUMENT),
        step(IF_EQUAL, 0, 1, SYS_SOCKET),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
    ]
}

/// Instructions that go before libseccomp's: calls newer than the profile do not exist, and those of `allowed` are
/// allowed. All others fall through.
fn newer_calls(allowed: &[u32]) -> Vec<libc::sock_filter> {
    /// All but the bit that x32 sets in its numbers.
    const NOT_X32: u32 = !0x4000_0000;
    /// Above this are an architecture's own calls, as on Arm.
    const COMMON: u32 = 0xe_ffff;
    let count = allowed.len();
    let mut program = vec![
        step(LOAD, 0, 0, NUMBER),
        step(AND, 0, 0, NOT_X32),
        step(IF_ABOVE, count + 4, 0, COMMON),
        step(IF_ABOVE, count + 1, 0, profile::NEWEST),
    ];
    program.extend(allowed.iter().enumerate().map(|(index, number)| step(IF_EQUAL, count - index + 1, 0, *number)));
    program.push(step(SKIP, 0, 0, 2));
    program.push(step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32));
    program.push(step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
    program
}

#[cfg(test)]
mod tests;
