//! A Docker daemon of this run's own. Owns its start, its image, and that nothing of it is left.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::cgroups::Cgroups;
use crate::payloads::Program;
use crate::{oci, processes};

const DOCKERD: &str = "/usr/sbin/dockerd";
/// Debian's own: others may be before it in the search path.
const DOCKER: &str = "/usr/bin/docker";
const IMAGE: &str = "soulbox-peer";
const KEPT: &str = "soulbox-peer-kept";
const DEADLINE: Duration = Duration::from_secs(30);

/// A running daemon with the image, and one container that is kept.
pub(crate) struct Docker {
    process: Child,
    home: tempfile::TempDir,
    pub(crate) cgroups: Cgroups,
}

impl Docker {
    /// Starts it without network: neither it nor its containers can reach anything.
    pub(crate) fn start() -> anyhow::Result<Self> {
        ensure!(Path::new(DOCKERD).exists(), "docker.io is not installed");
        let home = crate::support::home();
        let log = std::fs::File::create(home.path().join("log")).context("cannot make a log")?;
        let process = Command::new(DOCKERD)
            .args(["--iptables=false", "--bridge=none"])
            .arg("--data-root")
            .arg(home.path().join("data"))
            .arg("--exec-root")
            .arg(home.path().join("exec"))
            .arg("--pidfile")
            .arg(home.path().join("pid"))
            .arg("--host")
            .arg(socket(home.path()))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("cannot start dockerd")?;
        let mut docker = Docker { process, home, cgroups: Cgroups::default() };
        let start = Instant::now();
        while !docker.client(&["version"]).output().is_ok_and(|output| output.status.success()) {
            let log = std::fs::read_to_string(docker.home.path().join("log")).unwrap_or_default();
            let last = log.lines().last().unwrap_or_default();
            ensure!(docker.process.try_wait()?.is_none(), "dockerd ended: {last}");
            ensure!(start.elapsed() < DEADLINE, "dockerd does not answer: {last}");
            std::thread::sleep(Duration::from_millis(50));
        }
        let pid = docker.process.id();
        docker.cgroups = Cgroups::with("docker", processes::below(pid).into_iter().chain([pid]), Vec::new())?;
        docker.import()?;
        let mut kept = docker.client(&["run", "--detach", "--name", KEPT]);
        docker.finish(kept.args(OPTIONS).args(docker.cgroup_option()).args([
            IMAGE,
            "/usr/bin/sleep",
            "infinity",
        ]))?;
        Ok(docker)
    }

    /// Makes the image of a root with places for mounts alone.
    fn import(&self) -> anyhow::Result<()> {
        let root = self.home.path().join("root");
        oci::make_root(&root)?;
        let archive = self.home.path().join("root.tar");
        let mut tar = tar::Builder::new(std::fs::File::create(&archive).context("cannot make the image")?);
        tar.follow_symlinks(false);
        tar.append_dir_all(".", &root).and_then(|()| tar.finish()).context("cannot make the image")?;
        self.finish(self.client(&["import"]).arg(&archive).arg(IMAGE))
    }

    fn finish(&self, command: &mut Command) -> anyhow::Result<()> {
        let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
        ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    fn client(&self, args: &[&str]) -> Command {
        let mut command = Command::new(DOCKER);
        command.arg("--host").arg(socket(self.home.path())).args(args);
        command
    }

    fn cgroup_option(&self) -> [String; 2] {
        ["--cgroup-parent".to_owned(), Cgroups::parent("docker")]
    }

    /// `docker run`: a new container for the program.
    pub(crate) fn run(&self, program: &Program) -> Command {
        let mut command = self.client(&["run", "--rm"]);
        command.args(OPTIONS).args(self.cgroup_option()).arg(IMAGE).args(program.command());
        command
    }

    /// `docker exec`: a new process in the container that is kept.
    pub(crate) fn exec(&self, program: &Program) -> Command {
        let mut command = self.client(&["exec", KEPT]);
        command.args(program.command());
        command
    }
}

const OPTIONS: [&str; 4] = ["--network", "none", "--volume", "/usr:/usr:ro"];

fn socket(home: &Path) -> String {
    format!("unix://{}", PathBuf::from(home).join("sock").display())
}

impl Drop for Docker {
    fn drop(&mut self) {
        let _ = self.client(&["rm", "--force", KEPT]).output();
        let _ = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
        // What it mounted in its directories would keep them.
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let home = self.home.path().to_string_lossy();
        for target in mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)) {
            if target.starts_with(&*home) {
                let _ = Command::new("umount").args(["--lazy", target]).status();
            }
        }
    }
}
