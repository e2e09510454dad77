//! Descriptors handed from process to process over a pair of sockets (SCM_RIGHTS, unix(7)). No policy here.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg, socketpair,
};

/// Two sockets, each the other's peer, both close-on-exec.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?)
}

/// Sends descriptors; the other side gets copies.
pub fn send(socket: impl AsFd, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let numbers: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let sent = sendmsg::<()>(socket.as_fd().as_raw_fd(), &[IoSlice::new(b"f")], &rights, MsgFlags::MSG_NOSIGNAL, None);
    sent.map(drop).map_err(io::Error::from)
}

/// Waits for one message and takes its `N` descriptors, close-on-exec; `None` if the other side is gone.
pub fn receive<const N: usize>(socket: impl AsFd) -> io::Result<Option<[OwnedFd; N]>> {
    let mut byte = [0];
    let mut buffer = [IoSliceMut::new(&mut byte)];
    let mut space = nix::cmsg_space!([RawFd; 4]);
    let message = loop {
        match recvmsg::<()>(socket.as_fd().as_raw_fd(), &mut buffer, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC) {
            Err(Errno::EINTR) => {}
            message => break message?,
        }
    };
    if message.bytes == 0 {
        return Ok(None);
    }
    let mut taken: Vec<OwnedFd> = Vec::new();
    for rights in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = rights {
            // SAFETY: the kernel has just made these descriptors for us, and nothing else owns them.
            taken.extend(numbers.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) }));
        }
    }
    let wrong = |fds: Vec<OwnedFd>| io::Error::other(format!("{} descriptors instead of {N}", fds.len()));
    taken.try_into().map(Some).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_descriptor_arrives_as_a_copy_and_the_end_as_none() {
        let (one, other) = pair().unwrap();
        let (read, write) = nix::unistd::pipe().unwrap();
        send(&one, &[write.as_fd(), read.as_fd()]).unwrap();
        drop((read, write));
        let [write, read] = receive(&other).unwrap().unwrap();
        std::fs::File::from(write).write_all(b"x").unwrap();
        let mut byte = [0];
        assert_eq!(nix::unistd::read(&read, &mut byte).unwrap(), 1);
        drop(one);
        assert!(receive::<1>(&other).unwrap().is_none());
    }

    #[test]
    fn another_number_of_descriptors_is_an_error() {
        let (one, other) = pair().unwrap();
        send(&one, &[one.as_fd()]).unwrap();
        assert!(receive::<2>(&other).is_err());
    }
}
