//! One packet with descriptors over a `SOCK_SEQPACKET` socket, as unix(7) and cmsg(3) lay it out.

use core::mem::size_of;
use core::ptr;

use soulbox_protocol::{FRAME_LEN, Frame};

use crate::sys::{self, Errno, Fd, Result};

/// Most descriptors that one packet brings here: a job socket, three streams, the files of four cgroup
/// hierarchies and a network namespace; and one more, see [`Rights`].
pub(crate) const MAX_FDS: usize = 10;

/// A control message that holds descriptors: a `cmsghdr`, which has the alignment of `usize`, and data. An
/// even number of descriptors fills the last `usize`.
#[repr(C)]
struct Rights {
    header: libc::cmsghdr,
    fds: [Fd; MAX_FDS],
}

const HEADER_LEN: usize = size_of::<libc::cmsghdr>();

/// A packet as received.
pub(crate) struct Packet {
    pub(crate) frame: Frame,
    fds: [Fd; MAX_FDS],
    fd_count: usize,
}

impl Packet {
    pub(crate) fn fds(&self) -> &[Fd] {
        &self.fds[..self.fd_count]
    }
}

fn empty_rights(level: libc::c_int, kind: libc::c_int, len: usize) -> Rights {
    Rights { header: libc::cmsghdr { cmsg_len: len, cmsg_level: level, cmsg_type: kind }, fds: [-1; MAX_FDS] }
}

fn message_header(vectors: &mut [libc::iovec], rights: &mut Rights, control_len: usize) -> libc::msghdr {
    // SAFETY: all-zero is a valid `msghdr`: no name, no buffers.
    let mut message: libc::msghdr = unsafe { core::mem::zeroed() };
    message.msg_iov = vectors.as_mut_ptr();
    message.msg_iovlen = vectors.len() as _;
    if control_len > 0 {
        message.msg_control = ptr::from_mut(rights).cast();
        message.msg_controllen = control_len;
    }
    message
}

/// Sends a frame with descriptors, at most [`MAX_FDS`].
pub(crate) fn send(socket: Fd, mut frame: Frame, fds: &[Fd]) -> Result<()> {
    let mut vectors = [vector(&mut frame)];
    let mut rights = empty_rights(libc::SOL_SOCKET, libc::SCM_RIGHTS, HEADER_LEN + size_of_val(fds));
    let mut control_len = 0;
    if !fds.is_empty() {
        rights.fds.get_mut(..fds.len()).ok_or(Errno(libc::EINVAL))?.copy_from_slice(fds);
        // CMSG_SPACE: header and data, each rounded up to a `usize`.
        control_len = HEADER_LEN + size_of_val(fds).next_multiple_of(size_of::<usize>());
    }
    sys::send_message(socket, &message_header(&mut vectors, &mut rights, control_len))
}

/// Receives a frame and its descriptors. `None` when the other end is closed.
///
/// # Errors
/// `EBADMSG` for a packet that is no frame or lost a part, else what recvmsg(2) says.
pub(crate) fn receive(socket: Fd) -> Result<Option<Packet>> {
    receive_with(socket, &mut []).map(|received| received.map(|(packet, _)| packet))
}

/// Receives a frame with its descriptors, and what follows it in its packet, which goes into the buffer.
///
/// # Errors
/// As [`receive`].
pub(crate) fn receive_with(socket: Fd, buffer: &mut [u8]) -> Result<Option<(Packet, &[u8])>> {
    let mut frame: Frame = [0; FRAME_LEN];
    let mut vectors = [vector(&mut frame), vector(buffer)];
    let mut rights = empty_rights(0, 0, 0);
    let mut message = message_header(&mut vectors, &mut rights, size_of::<Rights>());
    let len = sys::receive_message(socket, &mut message)?;
    if len == 0 {
        return Ok(None);
    }
    let (flags, control_len) = (message.msg_flags, message.msg_controllen);
    let behind = len.checked_sub(FRAME_LEN).and_then(|behind| buffer.get(..behind));
    let (Some(behind), 0) = (behind, flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC)) else {
        return Err(Errno(libc::EBADMSG));
    };
    let mut fd_count = 0;
    if control_len > 0 {
        let header = &rights.header;
        if header.cmsg_level != libc::SOL_SOCKET || header.cmsg_type != libc::SCM_RIGHTS {
            return Err(Errno(libc::EBADMSG));
        }
        fd_count = header.cmsg_len.saturating_sub(HEADER_LEN) / size_of::<Fd>();
        if fd_count > MAX_FDS {
            return Err(Errno(libc::EBADMSG));
        }
    }
    Ok(Some((Packet { frame, fds: rights.fds, fd_count }, behind)))
}

fn vector(bytes: &mut [u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() }
}
