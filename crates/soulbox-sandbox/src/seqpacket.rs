//! `SOCK_SEQPACKET` sockets in tokio: frames with descriptors. Owns no message's meaning.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg,
    socketpair,
};
use soulbox_protocol::{FRAME_LEN, Frame};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::sys;

/// The daemon's end of a control or job socket.
#[derive(Debug)]
pub(crate) struct SeqPacket {
    fd: AsyncFd<OwnedFd>,
}

/// Most descriptors that the protocol sends the daemon with one packet.
const MAX_FDS: usize = 2;

/// A received packet, with at most [`MAX_FDS`] descriptors.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) frame: Frame,
    pub(crate) fds: Vec<OwnedFd>,
    /// Whether there were descriptors for which this process had no place (`EMFILE`).
    pub(crate) descriptors_lost: bool,
}

impl SeqPacket {
    /// A connected pair: this process's end, and the other one to give away.
    pub(crate) fn pair() -> io::Result<(Self, OwnedFd)> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        nix::fcntl::fcntl(&ours, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))?;
        Ok((SeqPacket { fd: sys::watch(ours, Interest::READABLE | Interest::WRITABLE)? }, theirs))
    }

    /// Sends a frame with descriptors.
    pub(crate) async fn send(&self, frame: &Frame, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.send_with(frame, &[], fds).await
    }

    /// Sends a frame with more bytes behind it in the same packet, and with descriptors.
    pub(crate) async fn send_with(
        &self,
        frame: &Frame,
        behind: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        self.fd
            .async_io(Interest::WRITABLE, |fd| {
                let parts = [IoSlice::new(frame), IoSlice::new(behind)];
                let sent = sendmsg::<()>(fd.as_raw_fd(), &parts, control, flags, None)?;
                debug_assert_eq!(sent, FRAME_LEN + behind.len(), "a packet is sent whole or not at all");
                Ok(())
            })
            .await
    }

    /// Receives a packet; `None` when the other end is closed.
    pub(crate) async fn receive(&self) -> io::Result<Option<Packet>> {
        self.fd.async_io(Interest::READABLE, receive_now).await
    }

    /// Receives a packet that is already there; `None` when there is none.
    pub(crate) fn try_receive(&self) -> io::Result<Option<Packet>> {
        match receive_now(self.fd.get_ref()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            result => result,
        }
    }
}

fn receive_now(fd: &OwnedFd) -> io::Result<Option<Packet>> {
    let mut frame: Frame = [0; FRAME_LEN];
    let mut space = cmsg_space!([RawFd; 2 * MAX_FDS]);
    let mut vectors = [IoSliceMut::new(&mut frame)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
    let message = match recvmsg::<()>(fd.as_raw_fd(), &mut vectors, Some(&mut space), flags) {
        // How a peer's end is told when it went away with packets of ours unread.
        Err(Errno::ECONNRESET) => return Ok(None),
        result => result?,
    };
    // The space is enough, so that it is this process that can have no more of them.
    let descriptors_lost = message.flags.contains(MsgFlags::MSG_CTRUNC);
    // Every descriptor that arrived is owned at once, so that none leaks whatever else is wrong.
    let mut fds = Vec::new();
    for control in message.cmsgs().into_iter().flatten() {
        if let ControlMessageOwned::ScmRights(received) = control {
            // SAFETY: the kernel has just made these descriptors for this process.
            fds.extend(received.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    if message.bytes == 0 {
        return Ok(None);
    }
    let truncated = message.flags.contains(MsgFlags::MSG_TRUNC);
    if message.bytes != FRAME_LEN || truncated || fds.len() > MAX_FDS {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "packet is not one whole frame"));
    }
    Ok(Some(Packet { frame, fds, descriptors_lost }))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[tokio::test]
    async fn a_descriptor_arrives_with_its_frame() {
        let (ours, theirs) = SeqPacket::pair().unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        let rights = [file.as_raw_fd()];
        let control = [ControlMessage::ScmRights(&rights)];
        let frame = [7u8; FRAME_LEN];
        sendmsg::<()>(theirs.as_raw_fd(), &[IoSlice::new(&frame)], &control, MsgFlags::empty(), None)
            .unwrap();
        let packet = ours.receive().await.unwrap().unwrap();
        assert_eq!(packet.frame, frame);
        assert_eq!(packet.fds.len(), 1);
    }

    #[tokio::test]
    async fn a_short_packet_is_refused_and_a_closed_peer_is_the_end() {
        let (ours, theirs) = SeqPacket::pair().unwrap();
        sendmsg::<()>(theirs.as_raw_fd(), &[IoSlice::new(b"short")], &[], MsgFlags::empty(), None).unwrap();
        assert_eq!(ours.receive().await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        drop(theirs);
        assert!(ours.receive().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn sending_to_a_closed_peer_is_an_error() {
        let (ours, theirs) = SeqPacket::pair().unwrap();
        drop(theirs);
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(ours.send(&[0; FRAME_LEN], &[file.as_fd()]).await.is_err());
    }
}
