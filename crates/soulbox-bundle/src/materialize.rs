//! A bundle laid out on disk for libcontainer: `config.json`, `rootfs`, and the runtime directory.
//!
//! Owns the completion of a bundle's `config.json` with what only the host knows: the mapping of ids, the
//! cgroup, the mounts of the root file system.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use oci_spec::OciSpecError;
use oci_spec::runtime::{LinuxIdMapping, LinuxIdMappingBuilder, User};

use crate::bundle::{Bundle, Unavailable};
use crate::command::PREPARED_DIR;
use crate::recipe::StartMode;
use crate::rootfs;

/// Host ids that a container's ids are mapped to, one to one from 0 on.
#[derive(Clone, Copy, Debug)]
pub struct IdRange {
    /// The host id of the container's root. Must not be 0.
    pub first: u32,
    /// How many ids the container has.
    pub count: u32,
}

/// What a container needs beside its bundle.
#[derive(Debug)]
pub struct ContainerSettings<'a> {
    /// `linux.cgroupsPath`.
    pub cgroup: &'a Path,
    /// How programs come to run.
    pub mode: StartMode,
    /// The user namespace's ids.
    pub ids: IdRange,
    /// The shim, which *fork mode* loads.
    pub shim: &'a [u8],
    /// The init, which *spawn mode* runs.
    pub init: &'a [u8],
    /// Where the container sees its runtime directory.
    pub runtime_dir: &'a Path,
    /// What the bundle's `prepare` command has made.
    pub prepared: Option<&'a Path>,
    /// The memory limit of most programs: their environment is the zygote's then.
    pub memory_bytes: u64,
}

/// A bundle that could not be laid out.
#[derive(Debug, thiserror::Error)]
pub enum MaterializeError {
    /// The interpreter is missing.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// A file cannot be written or read.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A pattern of the recipe is none.
    #[error("{pattern:?} is no pattern for files of /etc")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Where it is wrong.
        source: glob::PatternError,
    },
    /// The configuration cannot be completed.
    #[error("cannot complete config.json")]
    Spec(#[source] OciSpecError),
}

impl MaterializeError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> MaterializeError {
        move |source| MaterializeError::Io { action, path: path.to_owned(), source }
    }
}

impl Bundle {
    /// Lays the bundle out in the new directory `target`.
    ///
    /// # Errors
    /// [`MaterializeError`]; what was laid out by then stays for the caller to remove.
    pub fn materialize(
        &self,
        target: &Path,
        settings: &ContainerSettings<'_>,
    ) -> Result<(), MaterializeError> {
        let (root, runtime) = (target.join("rootfs"), target.join("runtime"));
        for directory in [target, &root, &runtime] {
            fs::create_dir_all(directory).map_err(MaterializeError::io("create", directory))?;
        }
        let mut mounts = rootfs::lay_out(self.rootfs(), &root)?;
        self.write_runtime(&runtime, settings)?;
        mounts.push(rootfs::read_only_bind(&runtime, settings.runtime_dir)?);
        if let Some(prepared) = settings.prepared {
            let place = runtime.join("prepared");
            fs::create_dir(&place).map_err(MaterializeError::io("create", &place))?;
            mounts.push(rootfs::read_only_bind(prepared, Path::new(PREPARED_DIR))?);
        }

        let mut spec = self.spec().clone();
        if let Some(own) = spec.mounts_mut() {
            // The bundle's own come last: they may lie over the root file system's.
            mounts.append(own);
            *own = mounts;
        } else {
            spec.set_mounts(Some(mounts));
        }
        if let Some(process) = spec.process_mut() {
            if !self.layers().is_empty() {
                // An image says as whom and where its own command runs, which is not what runs here: the zygote is
                // root in its container, and programs have ids and directories of their own.
                process.set_user(User::default());
                process.set_cwd(PathBuf::from("/"));
            }
            process.set_args(Some(self.zygote_command(settings)?));
            // That of the programs, so that a fork has nothing to change.
            let environment = self.environment(settings.memory_bytes);
            process.set_env(Some(environment.map(|(name, value)| format!("{name}={value}")).collect()));
        }
        if let Some(linux) = spec.linux_mut() {
            linux.set_cgroups_path(Some(settings.cgroup.to_owned()));
            let mapping = id_mapping(settings.ids)?;
            linux.set_uid_mappings(Some(vec![mapping]));
            linux.set_gid_mappings(Some(vec![mapping]));
        }
        spec.save(target.join("config.json")).map_err(MaterializeError::Spec)
    }

    fn write_runtime(
        &self,
        runtime: &Path,
        settings: &ContainerSettings<'_>,
    ) -> Result<(), MaterializeError> {
        write_program(&runtime.join("libsoulbox.so"), settings.shim)?;
        write_program(&runtime.join("soulbox-init"), settings.init)?;
        self.write_files(runtime)
    }

    /// Writes the bundle's own files, such as its launcher, into a directory.
    ///
    /// # Errors
    /// [`MaterializeError::Io`].
    pub fn write_files(&self, directory: &Path) -> Result<(), MaterializeError> {
        self.files().try_for_each(|(name, content)| write_program(&directory.join(name), content))
    }

    /// What the container's init process is.
    fn zygote_command(&self, settings: &ContainerSettings<'_>) -> Result<Vec<String>, Unavailable> {
        let toolchain = self.interpreter()?.to_string_lossy().into_owned();
        let start = self.start();
        Ok(match settings.mode {
            StartMode::Fork => {
                std::iter::once(&toolchain).chain(&start.arguments).chain(&start.preload).cloned().collect()
            }
            StartMode::Spawn => {
                vec![settings.runtime_dir.join("soulbox-init").to_string_lossy().into_owned()]
            }
        })
    }
}

pub(crate) fn write_program(path: &Path, content: &[u8]) -> Result<(), MaterializeError> {
    fs::write(path, content).map_err(MaterializeError::io("write", path))?;
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(path, mode).map_err(MaterializeError::io("write", path))
}

fn id_mapping(ids: IdRange) -> Result<LinuxIdMapping, MaterializeError> {
    LinuxIdMappingBuilder::default()
        .container_id(0u32)
        .host_id(ids.first)
        .size(ids.count)
        .build()
        .map_err(MaterializeError::Spec)
}
