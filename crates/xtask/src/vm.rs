//! The leg of the tests on real cgroup v2: a virtual machine under emulation that runs test programs.
//!
//! Owns which programs run there, the machine's life, and the report of each test's result. The recipe of the
//! machine is `tests/vm/`.

mod image;
mod report;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::{cargo_command, run};
use image::{Image, make_file_system};
use report::Report;

/// What runs in the machine.
struct Program {
    /// In the report.
    name: &'static str,
    /// The target of the package `soulbox` that it is built from.
    target: &'static str,
    arguments: &'static str,
}

/// What is about limits, the end of runs and what they leave. The other tests look at no cgroup, or take minutes of
/// emulation.
const PROGRAMS: [Program; 4] = [
    Program { name: "cgroup_v2", target: "cgroup_v2", arguments: "--color never --test-threads 2" },
    Program {
        name: "statuses",
        target: "statuses",
        arguments: "--color never --test-threads 2 memory cpu_time wall_time processes threads fork_bomb cancelled signal --skip buffers_of_sockets",
    },
    Program {
        name: "lifecycle",
        target: "lifecycle",
        arguments: "--color never --test-threads 2 sigterm grace idle_server no_process_survives two_servers zygote_that",
    },
    Program {
        name: "hostile",
        target: SOULBOX,
        arguments: concat!(
            "doctor --attack --state-dir /tmp/hostile",
            " --only cpu_spin",
            " --only cpu_of_the_dead",
            " --only daemons",
            " --only fork_bomb_python",
            " --only fork_bomb_shell",
            " --only memory_anonymous",
            " --only memory_children",
            " --only memory_mappings",
            " --only memory_page_tables",
            " --only memory_pipes",
            " --only memory_sockets",
            " --only memory_tmpfs",
            " --only process_limit",
            " --only threads",
            " --only zombies",
        ),
    },
];

/// The target of the program under test, which Cargo builds with the tests.
const SOULBOX: &str = "soulbox";

/// What the machine cannot take, unless it hangs.
const DEADLINE: Duration = Duration::from_secs(900);

/// How much slower programs may be there than on this machine.
const SLOWNESS: &str = "10";

const PAYLOAD_MIB: u64 = 256;

/// Builds the programs, boots the machine, and reports. An error says which tests failed.
pub(crate) fn test() -> anyhow::Result<()> {
    image::require_programs()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let begun = Instant::now();
    let image = Image::find_or_build(&root.join("tests/vm/kernel.sh"))?;
    let prepared = begun.elapsed();
    let built = build_programs()?;
    let directory = tempfile::Builder::new().prefix("soulbox-vm-").tempdir()?;
    let payload = directory.path().join("payload");
    lay_out_payload(&root, &built, &directory.path().join("tree"), &payload)?;
    let console = directory.path().join("console");
    let booted = Instant::now();
    let mut report = Report::new(PROGRAMS.map(|program| program.name));
    let ended = run_machine(&image, &payload, &console, &mut report);
    let text = report.summary();
    report::print(&format!(
        "vm: {text}; image {:.1} s, machine {:.1} s",
        prepared.as_secs_f64(),
        booted.elapsed().as_secs_f64()
    ));
    if let Err(error) = ended.and_then(|()| report.verdict()) {
        let console = String::from_utf8_lossy(&fs::read(&console).unwrap_or_default()).into_owned();
        report::print(&format!("vm: the kernel's console:\n{console}"));
        return Err(error);
    }
    Ok(())
}

/// The executables, by the names of their targets.
fn build_programs() -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let mut cargo = cargo_command();
    cargo.args(["test", "--release", "--locked", "--workspace", "--no-run"]);
    cargo.arg("--message-format=json-render-diagnostics");
    let tests = PROGRAMS.iter().filter(|program| program.target != SOULBOX);
    cargo.args(tests.flat_map(|program| ["--test", program.target]));
    let output = cargo.stderr(Stdio::inherit()).output().context("cannot run cargo")?;
    ensure!(output.status.success(), "{cargo:?} failed: {}", output.status);
    let mut built = BTreeMap::new();
    for line in output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let message: Value = serde_json::from_slice(line)?;
        if let (Some(name), Some(path)) = (message["target"]["name"].as_str(), message["executable"].as_str())
        {
            built.insert(name.to_owned(), path.into());
        }
    }
    Ok(built)
}

/// The second disk: the programs at their own paths, pid 1 of the machine, and what it is to run.
fn lay_out_payload(
    root: &Path,
    built: &BTreeMap<String, PathBuf>,
    tree: &Path,
    disk: &Path,
) -> anyhow::Result<()> {
    let below = |path: &Path| -> anyhow::Result<PathBuf> {
        let target = tree.join("files").join(path.strip_prefix("/")?);
        fs::create_dir_all(target.parent().unwrap_or(&target))?;
        Ok(target)
    };
    let executable = |name: &str| built.get(name).with_context(|| format!("cargo has not built {name}"));
    // Tests find their files from the directory of their crate.
    let crate_directory = root.join("crates/soulbox");
    fs::create_dir_all(below(&crate_directory)?)?;
    run(Command::new("cp").arg("--recursive").arg(root.join("tests")).arg(below(&root.join("tests"))?))?;
    let mut programs = String::new();
    for Program { name, target, arguments } in PROGRAMS {
        let executable = executable(target)?;
        fs::copy(executable, below(executable)?)?;
        let (directory, program) = (crate_directory.display(), executable.display());
        programs += &format!("{name} {directory} {program} {arguments}\n");
    }
    fs::write(tree.join("programs"), programs)?;
    fs::copy(root.join("tests/vm/init.sh"), tree.join("init"))?;
    make_file_system(tree, disk, 0, PAYLOAD_MIB)
}

/// Boots, and gives each line that the programs print to the report, until the machine goes off.
fn run_machine(image: &Image, payload: &Path, console: &Path, report: &mut Report) -> anyhow::Result<()> {
    let mut machine = Machine::start(image, payload, console)?;
    let output = machine.0.stdout.take().context("QEMU has no output")?;
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            // Nobody listens any more after the deadline.
            let _ = sender.send(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
    });
    let deadline = Instant::now() + DEADLINE;
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => report.line(&line),
            Err(RecvTimeoutError::Timeout) => bail!("the virtual machine did not end within {DEADLINE:?}"),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = machine.0.wait()?;
    ensure!(status.success(), "QEMU failed: {status}");
    Ok(())
}

/// A running machine; dropping it ends it.
struct Machine(Child);

impl Machine {
    /// The emulator alone: hardware virtualization is not to be had everywhere, and results shall not depend on
    /// it. `cx16` is left out since QEMU 7.2 emulates it by stopping all processors.
    fn start(image: &Image, payload: &Path, console: &Path) -> anyhow::Result<Self> {
        // Which of the two disks the kernel finds first differs from boot to boot. The root is found by its
        // partition, which the other does not have; neither can be mounted in the other's place.
        let find = |disk| format!("/usr/bin/mount -t ext4 -o ro /dev/nvme0n{disk} /mnt 2>/dev/null");
        let first = format!(
            "/usr/bin/mount -t proc proc /proc; /usr/bin/mount -t devtmpfs dev /dev; until {} || {}; do :; done; exec /mnt/init",
            find(1),
            find(2)
        );
        let kernel_line = format!(
            "root={} ro console=ttyS0 quiet panic=-1 mitigations=off maxcpus=1 SOULBOX_TEST_SLOWNESS={SLOWNESS} init=/bin/sh -- -c \"{first}\"",
            Image::root()
        );
        let disk = |file: &Path, id| {
            // What the machine writes goes to a file that nobody sees.
            format!("file={},format=raw,if=none,snapshot=on,id={id}", file.display())
        };
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max,-cx16", "-smp", "2", "-m", "3072"]);
        qemu.args(["-nodefaults", "-no-reboot", "-display", "none", "-append", &kernel_line]);
        qemu.arg("-kernel").arg(&image.kernel);
        qemu.args(["-drive", &disk(&image.disk, "root"), "-drive", &disk(payload, "payload")]);
        qemu.args(["-device", "nvme,id=nvme,serial=vm"]);
        qemu.args(["-device", "nvme-ns,drive=root,bus=nvme", "-device", "nvme-ns,drive=payload,bus=nvme"]);
        qemu.args(["-serial", &format!("file:{}", console.display()), "-serial", "stdio"]);
        File::create(console)?;
        let child = qemu.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        Ok(Machine(child.context("cannot run qemu-system-x86_64: apt-get install qemu-system-x86")?))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
