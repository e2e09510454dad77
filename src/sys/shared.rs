//! Words in memory that a process shares with the children that it forks: they outlive each single one of them.

use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};

/// A fixed number of words, all zero at first.
#[derive(Debug)]
pub struct SharedWords {
    first: NonNull<AtomicU64>,
    count: usize,
}

impl SharedWords {
    /// Maps `count` words that every later child of this process sees and changes as well.
    pub fn new(count: usize) -> io::Result<Self> {
        let bytes = NonZeroUsize::new(count.max(1) * size_of::<AtomicU64>()).expect("at least one word");
        // SAFETY: a fresh anonymous mapping of pages that nothing else refers to.
        let page =
            unsafe { mmap_anonymous(None, bytes, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED) };
        Ok(Self { first: page?.cast(), count })
    }

    /// One word.
    pub fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < self.count, "word {index} of {}", self.count);
        // SAFETY: the mapping has `count` zeroed words, is never unmapped, and an AtomicU64 may be shared between processes.
        unsafe { self.first.add(index).as_ref() }
    }
}
