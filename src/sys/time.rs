//! The clocks: the wall's, and the one that only counts.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds since 1970-01-01T00:00:00Z.
pub fn wall_ns() -> i64 {
    let now = clock_gettime(ClockId::CLOCK_REALTIME).expect("CLOCK_REALTIME is always there");
    now.tv_sec() * 1_000_000_000 + now.tv_nsec()
}

/// What the kernel knows of the wall clock's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockState {
    /// The most that it may be, in microseconds.
    pub error_us: u64,
    /// Whether somebody keeps it in time: what timedatectl shows.
    pub is_synchronized: bool,
}

/// Asks the kernel (adjtimex(2)).
pub fn clock() -> std::io::Result<ClockState> {
    // SAFETY: the structure is plain numbers, for all of which zero is a value; no mode bit is set, so that nothing is changed.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a structure that lives until the call returns.
    match unsafe { libc::adjtimex(&raw mut state) } {
        -1 => Err(std::io::Error::last_os_error()),
        _ => Ok(ClockState {
            error_us: u64::try_from(state.maxerror).unwrap_or_default(),
            is_synchronized: state.status & libc::STA_UNSYNC == 0,
        }),
    }
}

/// Nanoseconds of CLOCK_MONOTONIC: for the difference of two.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC is always there");
    u64::try_from(now.tv_sec() * 1_000_000_000 + now.tv_nsec()).expect("the time since boot is positive")
}

/// Milliseconds since boot, suspended time included (CLOCK_BOOTTIME).
pub fn boot_ms() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("CLOCK_BOOTTIME is there since Linux 2.6.39");
    u64::try_from(now.tv_sec() * 1000 + now.tv_nsec() / 1_000_000).expect("the time since boot is positive")
}
