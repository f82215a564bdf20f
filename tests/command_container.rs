//! Commands in containers of their own. This program is its own helper, as `soulbox` is, and so has a `main`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, missing_docs, reason = "it says which test runs, as others do")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use soulbox_sandbox::{
    Changes, CommandEnd, CommandError, CommandLimits, CommandNetwork, CommandSpec, HELPER_COMMAND, HostIds,
    Instance, ReadOnlyBind, Rights, helper_main, run_command,
};

const FIRST_ID: u32 = 600_000;

/// Fails by a panic, or by an error of a command that should have none.
type Test = fn(&Host<'_>) -> Result<(), CommandError>;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == HELPER_COMMAND) {
        return helper_main(args);
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let tests: [(&str, Test); 7] = [
        ("output and status are told", output_and_status_are_told),
        ("a command that takes too long is killed", a_command_that_takes_too_long_is_killed),
        ("changes are the ids' own and go up", changes_are_the_ids_own_and_go_up),
        ("a root without changes is read only", a_root_without_changes_is_read_only),
        ("privileges are few", privileges_are_few),
        ("the network is asked for", the_network_is_asked_for),
        ("limits hold", limits_hold),
    ];
    for (name, test) in tests {
        let host = Host::new(&runtime);
        test(&host).unwrap();
        host.check_that_nothing_is_left();
        println!("test {name} ... ok");
    }
    let host = Host::new(&runtime);
    a_dropped_command_ends(&host);
    println!("test a dropped command ends ... ok");
    ExitCode::SUCCESS
}

struct Host<'a> {
    runtime: &'a tokio::runtime::Runtime,
    directory: tempfile::TempDir,
    instance: Instance,
}

impl<'a> Host<'a> {
    fn new(runtime: &'a tokio::runtime::Runtime) -> Self {
        let mode = fs::Permissions::from_mode(0o755);
        let directory = tempfile::Builder::new().permissions(mode).tempdir_in("/tmp").unwrap();
        for name in ["bin", "lib", "lib64"] {
            let base = directory.path().join("base");
            fs::create_dir_all(base.join("etc")).unwrap();
            symlink(format!("usr/{name}"), base.join(name)).unwrap();
            fs::write(base.join("etc/file"), "base\n").unwrap();
            for path in [&base, &base.join("etc"), &base.join("etc/file")] {
                chown(path, Some(FIRST_ID), Some(FIRST_ID)).unwrap();
            }
        }
        let instance = Instance::claim(&directory.path().join("state"), Rights::Root).unwrap();
        Host { runtime, directory, instance }
    }

    fn spec(&self, script: &str) -> CommandSpec {
        CommandSpec {
            args: ["sh", "-c", script].map(str::to_owned).to_vec(),
            directory: PathBuf::from("/"),
            env: vec![("PATH".to_owned(), "/usr/bin:/usr/sbin".to_owned())],
            layers: vec![self.directory.path().join("base")],
            changes: None,
            ids: HostIds { first: FIRST_ID, count: 1000 },
            network: CommandNetwork::None,
            binds: vec![ReadOnlyBind { source: "/usr".into(), destination: "/usr".into() }],
            limits: CommandLimits {
                memory_bytes: 64 << 20,
                pids: 20,
                cpus: 1.0,
                wall_time: Duration::from_secs(60),
            },
        }
    }

    fn run(&self, spec: &CommandSpec) -> Result<String, CommandError> {
        let mut said = String::new();
        let command = run_command(&self.instance, spec, |line| said += &format!("{line}\n"));
        self.runtime.block_on(command)?;
        Ok(said)
    }

    fn changes(&self) -> Changes {
        let [upper, work] = ["upper", "work"].map(|name| self.directory.path().join(name));
        for path in [&upper, &work] {
            fs::create_dir_all(path).unwrap();
            chown(path, Some(FIRST_ID), Some(FIRST_ID)).unwrap();
        }
        Changes { upper, work }
    }

    fn check_that_nothing_is_left(&self) {
        let containers = self.instance.directory().join("containers");
        assert_eq!(fs::read_dir(containers).unwrap().count(), 0);
        let left = fs::read_dir(self.instance.directory()).unwrap().map(|entry| entry.unwrap().path());
        assert_eq!(left.filter(|path| path.ends_with("rootfs") || path.join("rootfs").exists()).count(), 0);
        assert!(processes_of(FIRST_ID).iter().all(|process| is_zombie(process)));
        let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
        let children: String =
            tasks.map(|task| fs::read_to_string(task.join("children")).unwrap_or_default()).collect();
        assert_eq!(children, "", "every process was waited for");
        assert!(!fs::read_to_string("/proc/self/mounts").unwrap().contains("lowerdir=/proc/self/fd"));
    }
}

fn processes_of(id: u32) -> Vec<PathBuf> {
    let all = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    all.filter(|path| path.join("stat").exists() && fs::metadata(path).is_ok_and(|own| own.uid() == id))
        .collect()
}

fn output_and_status_are_told(host: &Host<'_>) -> Result<(), CommandError> {
    assert_eq!(host.run(&host.spec("echo one; echo two >&2; cat"))?, "one\ntwo\n");
    let failed = host.run(&host.spec("echo reason; exit 7"));
    assert!(
        matches!(&failed, Err(CommandError::Failed { end: CommandEnd::Exited(7), tail, .. }) if tail.ends_with("reason"))
    );
    let mut missing = host.spec("");
    missing.args = vec!["no-such-program".to_owned()];
    let error = host.run(&missing).unwrap_err().to_string();
    assert!(error.contains("no-such-program"), "{error}");
    Ok(())
}

fn a_command_that_takes_too_long_is_killed(host: &Host<'_>) -> Result<(), CommandError> {
    let mut spec = host.spec("echo started; sleep 600 & sleep 600");
    spec.limits.wall_time = Duration::from_secs(1);
    let error = host.run(&spec).unwrap_err();
    assert!(matches!(&error, CommandError::Slow { tail, .. } if tail.ends_with("started")), "{error}");
    Ok(())
}

fn changes_are_the_ids_own_and_go_up(host: &Host<'_>) -> Result<(), CommandError> {
    let mut spec =
        host.spec("id -u; mkdir /opt; echo x > /opt/x; chown 5:6 /opt/x; rm /etc/file; echo t > /tmp/t");
    spec.changes = Some(host.changes());
    assert_eq!(host.run(&spec)?, "0\n");
    let upper = host.directory.path().join("upper");
    let file = fs::metadata(upper.join("opt/x")).unwrap();
    assert_eq!((file.uid(), file.gid()), (FIRST_ID + 5, FIRST_ID + 6));
    let mut names: Vec<_> = fs::read_dir(&upper).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["etc", "opt"], "neither mount points nor what is temporary");
    assert_eq!(fs::read_to_string(host.directory.path().join("base/etc/file")).unwrap(), "base\n");
    // The changes as a layer of the next command.
    let mut next = host.spec("cat /opt/x; ls /etc");
    next.layers.push(upper);
    assert_eq!(host.run(&next)?, "x\n");
    Ok(())
}

fn a_root_without_changes_is_read_only(host: &Host<'_>) -> Result<(), CommandError> {
    let said = host
        .run(&host.spec("touch /x /etc/file 2>/dev/null || echo refused; echo y > /tmp/y && cat /tmp/y"))?;
    assert_eq!(said, "refused\ny\n");
    Ok(())
}

fn privileges_are_few(host: &Host<'_>) -> Result<(), CommandError> {
    let said = host.run(&host.spec(
        "grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status | tr -d '\\t'
         unshare -m true 2>/dev/null || echo no unshare
         mount -t tmpfs tmpfs /tmp 2>/dev/null || echo no mount
         mknod /tmp/disk b 8 0 2>/dev/null || echo no device
         ls /proc/self/fd | wc -l; ls / | tr '\\n' ' '",
    ))?;
    let expected = "CapEff:000000000000000b\nCapBnd:000000000000000b\nNoNewPrivs:1\nSeccomp:2\nno unshare\n\
                    no mount\nno device\n4\nbin dev etc lib lib64 proc tmp usr \n";
    assert_eq!(said, expected);
    Ok(())
}

fn the_network_is_asked_for(host: &Host<'_>) -> Result<(), CommandError> {
    let own = fs::read_link("/proc/self/ns/net").unwrap();
    let mut spec = host.spec("readlink /proc/self/ns/net; cat /etc/named");
    let source = host.directory.path().join("named");
    fs::write(&source, "of the host\n").unwrap();
    spec.binds.push(ReadOnlyBind { source, destination: "/etc/named".into() });
    assert_ne!(host.run(&spec)?, format!("{}\nof the host\n", own.display()));
    spec.network = CommandNetwork::Host;
    assert_eq!(host.run(&spec)?, format!("{}\nof the host\n", own.display()));
    Ok(())
}

fn limits_hold(host: &Host<'_>) -> Result<(), CommandError> {
    let hungry = host.run(&host.spec("head -c 200000000 /dev/zero | tail | wc -c; exit 3"));
    assert!(hungry.is_err(), "{hungry:?}");
    let said = host.run(&host.spec("for i in $(seq 30); do sleep 5 & done 2>&1; true"));
    let said = format!("{said:?}");
    assert!(said.contains("fork") || said.contains("Resource"), "{said}");
    Ok(())
}

fn a_dropped_command_ends(host: &Host<'_>) {
    let spec = host.spec("echo started; sleep 600");
    let command = run_command(&host.instance, &spec, |_| {});
    let dropped = async { tokio::time::timeout(Duration::from_secs(1), command).await.is_err() };
    assert!(host.runtime.block_on(dropped));
    let deadline = Instant::now() + Duration::from_secs(20);
    while processes_of(FIRST_ID).iter().any(|process| !is_zombie(process)) {
        assert!(Instant::now() < deadline, "it still runs");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn is_zombie(process: &Path) -> bool {
    fs::read_to_string(process.join("stat")).is_ok_and(|stat| stat.contains(") Z "))
}
