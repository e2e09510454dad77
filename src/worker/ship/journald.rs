//! `journald`: the journal's own protocol (systemd, "Native Journal Protocol"): one datagram an event, its fields as text, or in
//! a sealed memory file where it is longer than a datagram may be.

use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

use super::destination::SendError;
use crate::logs::{Event, Stream};
use crate::plan::LogSource;

/// The journal.
pub(super) struct Journald {
    socket: UnixDatagram,
    path: std::path::PathBuf,
    connected: bool,
    /// The fields that are the same for all events.
    same: Vec<u8>,
}

impl Journald {
    pub(super) fn new(source: &LogSource) -> io::Result<Self> {
        let mut same = Vec::new();
        let short: String = source.id.chars().take(12).collect();
        let fields = [
            ("CONTAINER_ID", short.as_str()),
            ("CONTAINER_ID_FULL", &source.id),
            ("CONTAINER_NAME", &source.name),
            ("CONTAINER_TAG", &source.tag),
            ("IMAGE_NAME", &source.image),
            ("SYSLOG_IDENTIFIER", &source.tag),
        ];
        fields.iter().for_each(|(name, value)| field(&mut same, name, value.as_bytes()));
        for (name, value) in &source.extra {
            field(&mut same, &field_name(name), value.as_bytes());
        }
        let (socket, path) = (UnixDatagram::unbound()?, source.journal.clone());
        Ok(Self { socket, path, connected: false, same })
    }

    pub(super) fn send(&mut self, batch: &[Event]) -> Result<(), SendError> {
        for event in batch {
            let mut message = self.same.clone();
            field(&mut message, "MESSAGE", &event.message);
            field(&mut message, "PRIORITY", if event.stream == Stream::Stdout { b"6" } else { b"3" });
            field(&mut message, "SYSLOG_TIMESTAMP", event.at.as_str().as_bytes());
            if event.partial {
                field(&mut message, "CONTAINER_PARTIAL_MESSAGE", b"true");
            }
            if let Err(error) = self.one(&message) {
                self.connected = false;
                return Err(SendError::Failed(format!("{}: {error}", self.path.display())));
            }
        }
        Ok(())
    }

    /// Whether there is a journal; the words are Docker's.
    pub(super) fn verify(&mut self) -> Result<(), String> {
        self.connect()
            .map_err(|error| format!("journald is not enabled on this host: {}: {error}", self.path.display()))
    }

    fn connect(&mut self) -> io::Result<()> {
        if !self.connected {
            self.socket = UnixDatagram::unbound()?;
            self.socket.connect(&self.path)?;
            self.connected = true;
        }
        Ok(())
    }

    fn one(&mut self, message: &[u8]) -> io::Result<()> {
        self.connect()?;
        match self.socket.send(message) {
            Err(error) if error.raw_os_error() == Some(Errno::EMSGSIZE as i32) => self.in_memory(message),
            sent => sent.map(drop),
        }
    }

    fn in_memory(&self, message: &[u8]) -> io::Result<()> {
        let memory = memfd_create(c"journal", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
        let mut file = std::fs::File::from(memory);
        file.write_all(message)?;
        let all = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(all))?;
        let fds = [file.as_raw_fd()];
        let passed = [ControlMessage::ScmRights(&fds)];
        sendmsg::<()>(self.socket.as_raw_fd(), &[], &passed, MsgFlags::MSG_NOSIGNAL, None)?;
        Ok(())
    }
}

/// A field: in one line where it has no line break, else with its length.
fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        out.push(b'\n');
        out.extend((value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// A name that the journal takes: capitals, digits and underscores, not beginning with one of the latter two.
fn field_name(name: &str) -> String {
    let plain = |character: char| if character.is_ascii_alphanumeric() { character.to_ascii_uppercase() } else { '_' };
    let name: String = name.chars().map(plain).collect();
    name.trim_start_matches(|character: char| !character.is_ascii_uppercase()).chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_forge_a_field() {
        let mut out = Vec::new();
        field(&mut out, "MESSAGE", b"a\nPRIORITY=0");
        assert_eq!(out, b"MESSAGE\n\x0c\0\0\0\0\0\0\0a\nPRIORITY=0\n");
        assert_eq!(field_name("com.example/_x"), "COM_EXAMPLE__X");
        assert_eq!(field_name("_1team"), "TEAM");
    }
}
