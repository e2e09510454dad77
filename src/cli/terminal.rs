//! The user's terminal during `exec -t`: raw while a guard lives, and as it was before when the guard goes. What passes
//! through it is not here.

use std::io::{self, IsTerminal};
use std::panic;

use crate::ops::tty::{self, Settings};

pub use crate::ops::tty::WindowSize;

/// A raw terminal on standard input: keys, Ctrl-C too, go to the program in the container.
pub struct RawMode {
    before: Settings,
}

impl RawMode {
    /// Makes the terminal raw. An error if standard input is none.
    ///
    /// A program that panics may be built to abort, and then drops nothing: a panic too puts the terminal back.
    pub fn enter() -> io::Result<Self> {
        let before = tty::settings(io::stdin())?;
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            // Nothing more can be done for a terminal that is gone.
            let _ = tty::set_settings(io::stdin(), &before);
            report(panic);
        }));
        tty::set_settings(io::stdin(), &before.raw())?;
        Ok(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // Nothing more can be done for a terminal that is gone.
        let _ = tty::set_settings(io::stdin(), &self.before);
    }
}

/// The size of the user's terminal, whichever stream it is on; nothing where there is none, or where it does not know.
pub fn window_size() -> Option<WindowSize> {
    let sizes = [tty::window_size(io::stdout()), tty::window_size(io::stderr()), tty::window_size(io::stdin())];
    sizes.into_iter().flatten().find(|size| size.rows > 0 && size.columns > 0)
}

/// Whether a person types what standard input gives.
pub fn is_interactive() -> bool {
    io::stdin().is_terminal()
}
