//! The clocks: the wall's, and the one that only counts.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds since 1970-01-01T00:00:00Z.
pub fn wall_ns() -> i64 {
    let now = clock_gettime(ClockId::CLOCK_REALTIME).expect("CLOCK_REALTIME is always there");
    now.tv_sec() * 1_000_000_000 + now.tv_nsec()
}

/// Whether somebody keeps the wall clock in time (adjtimex(2)): what timedatectl shows.
pub fn is_synchronized() -> std::io::Result<bool> {
    // SAFETY: the structure is plain numbers, for all of which zero is a value; no mode bit is set, so that nothing is changed.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a structure that lives until the call returns.
    match unsafe { libc::adjtimex(&raw mut state) } {
        -1 => Err(std::io::Error::last_os_error()),
        _ => Ok(state.status & libc::STA_UNSYNC == 0),
    }
}

/// Milliseconds since boot, suspended time included (CLOCK_BOOTTIME).
pub fn boot_ms() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("CLOCK_BOOTTIME is there since Linux 2.6.39");
    u64::try_from(now.tv_sec() * 1000 + now.tv_nsec() / 1_000_000).expect("the time since boot is positive")
}
