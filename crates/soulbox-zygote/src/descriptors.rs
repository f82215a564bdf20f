//! The descriptors that an interpreter had opened before its first fork, made anew in each sandbox.
//!
//! An event loop cannot live without its own. But a fork shares them with all other forks: who writes to the
//! one's eventfd wakes the other's loop. So each sandbox gets new ones of the same kind at the same numbers,
//! and whatever else is open is closed.

use libc::c_int;

use crate::sys::{self, Errno, Fd, Result};
use crate::text::Text;

/// Most descriptors, and most registrations of all epoll descriptors together.
const CAPACITY: usize = 64;

/// The first descriptor that is not a standard stream.
pub(crate) const FIRST_OTHER_FD: Fd = 3;

/// What can be made anew.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Epoll,
    EventFd,
    /// One end of a pipe: the number of its file tells which, and `pending` bytes lie in it.
    Pipe {
        inode: u64,
        pending: usize,
    },
    /// `/dev/null`.
    Null,
    /// A file that is open for reading alone, as that of a runtime's library.
    File,
}

#[derive(Clone, Copy)]
struct Descriptor {
    fd: Fd,
    kind: Kind,
    /// As open(2) has them: access mode, `O_NONBLOCK`, `O_CLOEXEC`.
    flags: c_int,
}

/// What an epoll descriptor watches.
#[derive(Clone, Copy)]
struct Watch {
    epoll: Fd,
    fd: Fd,
    events: u32,
    data: u64,
}

/// A list of bounded length.
#[derive(Clone, Copy)]
struct List<T> {
    items: [Option<T>; CAPACITY],
    len: usize,
}

impl<T: Copy> List<T> {
    const EMPTY: Self = List { items: [None; CAPACITY], len: 0 };

    fn push(&mut self, item: T) -> Result<()> {
        *self.items.get_mut(self.len).ok_or(Errno(libc::EMFILE))? = Some(item);
        self.len += 1;
        Ok(())
    }

    fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.items.iter().flatten().copied()
    }
}

/// The descriptors that a sandbox's main process has beside its standard streams.
#[derive(Clone, Copy)]
pub(crate) struct Descriptors {
    open: List<Descriptor>,
    watches: List<Watch>,
}

impl Descriptors {
    /// None, as for an interpreter without an event loop.
    pub(crate) const NONE: Self = Descriptors { open: List::EMPTY, watches: List::EMPTY };

    /// What is open now and can be made anew. Sockets and files that are open for writing cannot, and so are
    /// closed in sandboxes.
    pub(crate) fn of_process() -> Result<Self> {
        let mut found = Self::NONE;
        sys::each_number_in(c"/proc/self/fd", |fd| if fd < FIRST_OTHER_FD { Ok(()) } else { found.add(fd) })?;
        Ok(found)
    }

    fn add(&mut self, fd: Fd) -> Result<()> {
        let mut target = [0; 64];
        let Ok(target) = sys::read_link(path_of(b"fd", fd).as_c_str(), &mut target) else {
            // The directory's own descriptor, which is gone, or a path that is too long for ours.
            return Ok(());
        };
        let kind = match target {
            b"anon_inode:[eventpoll]" => Kind::Epoll,
            b"anon_inode:[eventfd]" => Kind::EventFd,
            b"/dev/null" => Kind::Null,
            _ if target.starts_with(b"pipe:[") => {
                Kind::Pipe { inode: number(&target[b"pipe:[".len()..], 10), pending: sys::bytes_to_read(fd)? }
            }
            _ if target.starts_with(b"/") => Kind::File,
            _ => return Ok(()),
        };
        let mut text = [0; 4096];
        let text = sys::read_file(path_of(b"fdinfo", fd).as_c_str(), &mut text)?;
        let flags = field(text, b"flags:").map_or(0, |flags| number(flags, 8)) as c_int;
        if kind == Kind::File && flags & libc::O_ACCMODE != libc::O_RDONLY {
            return Ok(());
        }
        self.open.push(Descriptor { fd, kind, flags })?;
        if kind == Kind::Epoll {
            for line in text.split(|byte| *byte == b'\n') {
                let Some(watched) = field(line, b"tfd:") else { continue };
                self.watches.push(Watch {
                    epoll: fd,
                    fd: number(watched, 10) as Fd,
                    events: field(line, b"events:").map_or(0, |events| number(events, 16)) as u32,
                    data: field(line, b"data:").map_or(0, |data| number(data, 16)),
                })?;
            }
        }
        Ok(())
    }

    /// Puts new descriptors into the places of those that are shared with the zygote.
    pub(crate) fn renew(&self) -> Result<()> {
        for descriptor in self.open.iter() {
            let creation = descriptor.flags & (libc::O_NONBLOCK | libc::O_CLOEXEC);
            match descriptor.kind {
                Kind::Epoll => place(sys::epoll_create(creation & libc::O_CLOEXEC)?, descriptor)?,
                Kind::EventFd => place(sys::event_fd(creation)?, descriptor)?,
                Kind::Null => place(sys::open(c"/dev/null", descriptor.flags, 0)?, descriptor)?,
                Kind::File => {
                    let again = path_of(b"fd", descriptor.fd);
                    place(sys::open(again.as_c_str(), libc::O_RDONLY, 0)?, descriptor)?;
                }
                Kind::Pipe { inode, pending } if !is_writer(descriptor) => {
                    self.renew_pipe(inode, pending, descriptor)?;
                }
                Kind::Pipe { .. } => {}
            }
        }
        self.watches
            .iter()
            .try_for_each(|watch| sys::epoll_add(watch.epoll, watch.fd, watch.events, watch.data))
    }

    /// Makes the pipe of a reading end anew, and puts its writing ends into their places too.
    fn renew_pipe(&self, inode: u64, pending: usize, reader: Descriptor) -> Result<()> {
        let (read_end, write_end) = sys::pipe(reader.flags & libc::O_NONBLOCK)?;
        // A byte in a pipe is a token, as in libuv's lock: it is there or not, and says nothing.
        for _ in 0..pending {
            sys::write(write_end, b"*")?;
        }
        let writers = self.open.iter().filter(|other| {
            is_writer(*other) && matches!(other.kind, Kind::Pipe { inode: theirs, .. } if theirs == inode)
        });
        for writer in writers {
            sys::dup_to(write_end, writer.fd, writer.flags & libc::O_CLOEXEC)?;
        }
        sys::close(write_end);
        place(read_end, reader)
    }

    /// Closes all descriptors but these, the standard streams and `others`.
    pub(crate) fn close_all_but(&self, others: &[Fd]) -> Result<()> {
        let mut first = FIRST_OTHER_FD;
        loop {
            let kept = self.open.iter().map(|descriptor| descriptor.fd).chain(others.iter().copied());
            match kept.filter(|fd| *fd >= first).min() {
                Some(next) => {
                    if first < next {
                        sys::close_range(first, next - 1)?;
                    }
                    first = next + 1;
                }
                None => return sys::close_range(first, Fd::MAX),
            }
        }
    }
}

fn is_writer(descriptor: Descriptor) -> bool {
    descriptor.flags & libc::O_ACCMODE == libc::O_WRONLY
}

/// Moves a new descriptor to its place.
fn place(new: Fd, old: Descriptor) -> Result<()> {
    sys::dup_to(new, old.fd, old.flags & libc::O_CLOEXEC)?;
    sys::close(new);
    Ok(())
}

fn path_of(directory: &[u8], fd: Fd) -> Text {
    let mut path = Text::new();
    // It is shorter than the text's capacity.
    let _ = path.push(b"/proc/self/").and_then(|()| path.push(directory));
    let _ = path.push(b"/").and_then(|()| path.push_number(fd.unsigned_abs().into()));
    path
}

/// What follows a name in a line or a text, without the blanks between them.
fn field<'t>(text: &'t [u8], name: &[u8]) -> Option<&'t [u8]> {
    let at = text.windows(name.len()).position(|window| window == name)?;
    Some(text[at + name.len()..].trim_ascii_start())
}

/// The number that a text starts with.
fn number(text: &[u8], radix: u32) -> u64 {
    let digits = text.iter().map_while(|byte| char::from(*byte).to_digit(radix));
    digits.fold(0, |number, digit| number.wrapping_mul(radix.into()).wrapping_add(digit.into()))
}
