//! The caller's own terminal: its settings and its size. No policy here. Called by `cli::terminal`, and by whoever owns
//! the master end of a pseudoterminal.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::termios::{self, SetArg, Termios};

/// A terminal's settings, to be put back.
#[derive(Clone, Copy)]
pub struct Settings(libc::termios);

/// How many characters a terminal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

impl Settings {
    /// The settings in which every byte passes unchanged and at once, in both directions (cfmakeraw(3)).
    #[must_use]
    pub fn raw(&self) -> Self {
        let mut settings = Termios::from(self.0);
        termios::cfmakeraw(&mut settings);
        Self(settings.into())
    }

    /// The settings in which the end of a line is written as it is, without a carriage return before it.
    #[must_use]
    pub fn plain_line_ends(&self) -> Self {
        let mut settings = *self;
        settings.0.c_oflag &= !libc::ONLCR;
        settings
    }

    /// The settings in which what is typed is not shown, but for the end of a line.
    #[must_use]
    pub fn silent(&self) -> Self {
        let mut settings = *self;
        settings.0.c_lflag &= !libc::ECHO;
        settings
    }
}

/// The settings of a terminal; an error if it is none.
pub fn settings(terminal: impl AsFd) -> io::Result<Settings> {
    Ok(Settings(termios::tcgetattr(terminal)?.into()))
}

/// Changes the settings when all output so far has been shown. Typed input that nobody has read yet stays.
pub fn set_settings(terminal: impl AsFd, settings: &Settings) -> io::Result<()> {
    Ok(termios::tcsetattr(terminal, SetArg::TCSADRAIN, &settings.0.into())?)
}

/// The size of a terminal; an error if it is none.
pub fn window_size(terminal: impl AsFd) -> io::Result<WindowSize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the request writes one `winsize`, to which the pointer is valid for the whole call.
    match unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(WindowSize { rows: size.ws_row, columns: size.ws_col }),
    }
}

/// Sets the size of a terminal; its foreground processes get SIGWINCH if it has changed.
pub fn set_window_size(terminal: impl AsFd, size: WindowSize) -> io::Result<()> {
    let size = libc::winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the request reads one `winsize`, to which the pointer is valid for the whole call.
    match unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSWINSZ, &raw const size) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use nix::fcntl::OFlag;
    use nix::pty;

    use super::*;

    /// The master end of a new pseudoterminal: it has its slave's settings and size.
    fn terminal() -> OwnedFd {
        let master = pty::posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
        pty::grantpt(&master).unwrap();
        pty::unlockpt(&master).unwrap();
        master.into()
    }

    #[test]
    fn a_size_that_was_set_is_read_back() {
        let terminal = terminal();
        let size = WindowSize { rows: 24, columns: 80 };
        set_window_size(&terminal, size).unwrap();
        assert_eq!(window_size(&terminal).unwrap(), size);
    }

    #[test]
    fn raw_settings_do_not_echo_and_can_be_undone() {
        let terminal = terminal();
        let before = settings(&terminal).unwrap();
        set_settings(&terminal, &before.raw()).unwrap();
        assert_eq!(settings(&terminal).unwrap().0.c_lflag & (libc::ECHO | libc::ICANON | libc::ISIG), 0);
        set_settings(&terminal, &before).unwrap();
        assert_eq!(settings(&terminal).unwrap().0.c_lflag, before.0.c_lflag);
    }

    #[test]
    fn silent_settings_differ_in_the_echo_alone() {
        let before = settings(terminal()).unwrap();
        let after = before.silent();
        assert_eq!(after.0.c_lflag | libc::ECHO, before.0.c_lflag);
        assert_eq!(after.0.c_lflag & libc::ECHO, 0);
    }

    #[test]
    fn a_file_is_no_terminal() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(settings(&file).is_err() && window_size(&file).is_err());
    }
}
