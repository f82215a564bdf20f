//! Memory files that will not change any more, for handing bytes to processes without copying them for each.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// A sealed memory file (memfd_create(2)) of what `fill` writes: whoever maps it knows that it stays as it is.
pub(crate) fn memory_file(name: &str, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut file = File::from(memfd_create(name, flags)?);
    fill(&mut file)?;
    let seals =
        SealFlag::F_SEAL_SEAL | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_memory_file_cannot_be_changed() {
        let file = memory_file("test", |file| file.write_all(b"content")).unwrap();
        assert!(nix::unistd::write(&file, b"more").is_err());
        assert!(nix::unistd::ftruncate(&file, 0).is_err());
    }
}
