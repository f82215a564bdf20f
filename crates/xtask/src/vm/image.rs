//! The disk image and the kernel that the virtual machine starts from.
//!
//! Owns what is in them and the cache of them. They are Debian 13's own packages and nothing of this repository's,
//! so that they are made once: again only when this file or `tests/vm/kernel.sh` changes.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use sha2::{Digest, Sha256};

use crate::run;

const SUITE: &str = "trixie";

/// What the tests need in the machine: Python and C, beside Bash and Perl that are essential; swap, a network
/// interface that is brought up, and ids for an ordinary user.
const PACKAGES: &str = "busybox-static,gcc,libc6-dev,mount,python3,uidmap";

/// Time of everything in the image: that of Debian 13's release.
const SOURCE_DATE_EPOCH: &str = "1754697600";

/// What nobody reads there.
const LEFT_OUT: [&str; 4] =
    ["/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*", "/usr/share/info/*"];

const FILE_SYSTEM_UUID: &str = "6e1f5a52-6a0b-4c53-9a4e-5f3d1d0b7a10";
const FILE_SYSTEM_MIB: u64 = 1024;
/// Where the one partition begins: the usual place.
const PARTITION_OFFSET: u64 = 1 << 20;
/// The disk's signature in its master boot record; the kernel is told to find the root by it.
const DISK_SIGNATURE: u32 = 0x5362_6f78;
const SECTOR: u64 = 512;

/// How long an image is kept after others have come to be used.
const KEPT_FOR: Duration = Duration::from_secs(14 * 24 * 3600);

/// The two files of a machine.
#[derive(Debug)]
pub(crate) struct Image {
    /// The disk: a master boot record with one ext4 partition.
    pub(crate) disk: PathBuf,
    pub(crate) kernel: PathBuf,
}

impl Image {
    /// What the kernel finds its root by.
    pub(crate) fn root() -> String {
        format!("PARTUUID={DISK_SIGNATURE:08x}-01")
    }

    /// The image of the cache, or a new one there.
    pub(crate) fn find_or_build(hook: &Path) -> anyhow::Result<Self> {
        let cache = cache_directory()?;
        let mut inputs = Sha256::new();
        inputs.update(include_str!("image.rs"));
        inputs.update(fs::read(hook)?);
        let digest: String = inputs.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let directory = cache.join(&digest);
        let image =
            |directory: &Path| Image { disk: directory.join("disk"), kernel: directory.join("kernel") };
        if !directory.exists() {
            fs::create_dir_all(&cache)?;
            remove_old(&cache)?;
            let unfinished = tempfile::Builder::new().prefix("unfinished-").tempdir_in(&cache)?;
            build(hook, &unfinished.path().join("tree"), &image(unfinished.path()))?;
            match fs::rename(unfinished.path(), &directory) {
                // Another checkout of the repository was faster.
                Err(_) if directory.exists() => {}
                renamed => renamed?,
            }
        }
        Ok(image(&directory))
    }
}

fn cache_directory() -> anyhow::Result<PathBuf> {
    let own = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let usual = || std::env::home_dir().map(|home| home.join(".cache"));
    Ok(own.or_else(usual).context("set HOME or XDG_CACHE_HOME")?.join("soulbox-vm"))
}

/// Removes what was made long ago, which other inputs have replaced or nobody has finished.
fn remove_old(cache: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(cache)? {
        let entry = entry?;
        if entry.metadata()?.modified()?.elapsed().is_ok_and(|age| age > KEPT_FOR) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn build(hook: &Path, tree: &Path, image: &Image) -> anyhow::Result<()> {
    // In namespaces of its own, so that its processes and mounts end with it.
    let mut bootstrap = Command::new("unshare");
    bootstrap.args(["--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "mmdebstrap"]);
    bootstrap.args(["--mode=root", "--variant=essential", "--format=directory", "--quiet"]);
    bootstrap.args(LEFT_OUT.map(|path| format!("--dpkgopt=path-exclude={path}")));
    bootstrap.args(["--aptopt=APT::Install-Recommends \"false\"", &format!("--include={PACKAGES}")]);
    bootstrap.arg(format!("--customize-hook={}", hook.display())).args(["--", SUITE]).arg(tree);
    run(bootstrap.env("SOURCE_DATE_EPOCH", SOURCE_DATE_EPOCH).env("LC_ALL", "C.UTF-8"))?;
    // These are the host's, and differ.
    for file in ["etc/resolv.conf", "etc/hostname"].map(|file| tree.join(file)) {
        if file.exists() {
            fs::remove_file(file)?;
        }
    }
    fs::rename(tree.join("vmlinuz"), &image.kernel)?;
    make_file_system(tree, &image.disk, PARTITION_OFFSET, FILE_SYSTEM_MIB)?;
    File::options().write(true).open(&image.disk)?.write_all_at(&master_boot_record(), 0)?;
    fs::remove_dir_all(tree).context("the tree that the image was made from")
}

/// A new disk with an ext4 file system of what a directory has, from a byte on. With the same content, order of directories included, the bytes
/// are the same.
pub(crate) fn make_file_system(tree: &Path, disk: &Path, offset: u64, mib: u64) -> anyhow::Result<()> {
    File::create_new(disk)?.set_len(offset + (mib << 20))?;
    run(Command::new("/sbin/mke2fs")
        .args(["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-U", FILE_SYSTEM_UUID])
        .arg("-E")
        .arg(format!("root_owner=0:0,nodiscard,hash_seed={FILE_SYSTEM_UUID},offset={offset}"))
        .arg("-d")
        .args([tree, disk])
        .arg(format!("{mib}M"))
        .env("E2FSPROGS_FAKE_TIME", SOURCE_DATE_EPOCH))
}

/// The first sector: a signature and one partition.
fn master_boot_record() -> [u8; SECTOR as usize] {
    const LINUX: u8 = 0x83;
    let mut sector = [0; SECTOR as usize];
    sector[440..444].copy_from_slice(&DISK_SIGNATURE.to_le_bytes());
    sector[450] = LINUX;
    sector[454..458].copy_from_slice(&((PARTITION_OFFSET / SECTOR) as u32).to_le_bytes());
    sector[458..462].copy_from_slice(&(((FILE_SYSTEM_MIB << 20) / SECTOR) as u32).to_le_bytes());
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

/// Says what is missing before anything is started.
pub(crate) fn require_programs() -> anyhow::Result<()> {
    for (program, package) in [
        ("/usr/bin/qemu-system-x86_64", "qemu-system-x86"),
        ("/usr/bin/mmdebstrap", "mmdebstrap"),
        ("/sbin/mke2fs", "e2fsprogs"),
    ] {
        ensure!(
            Path::new(program).exists(),
            "the virtual machine of the tests needs {program}: apt-get install {package}"
        );
    }
    Ok(())
}
