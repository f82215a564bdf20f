//! Containers whose root file system is a stack of directories: what they see, and that the host sees nothing.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fs;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use support::{eventually, public_directory, soulbox};

/// Host id of the container's root.
const FIRST_ID: u32 = 500_000;

/// A directory of a stack.
fn layer(parent: &Path, name: &str, files: &[(&str, &str)]) -> PathBuf {
    let layer = parent.join(name);
    fs::DirBuilder::new().mode(0o755).create(&layer).unwrap();
    for (path, content) in files {
        let path = layer.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    layer
}

/// Runs a shell in a container, whose `/usr` is the host's and whose root is the stack, until it says `done`.
fn run(directory: &Path, name: &str, script: &str, stack: &[(&str, &Path)]) -> String {
    let bundle = directory.join(name);
    for point in ["proc", "dev", "usr", "tmp"] {
        fs::create_dir_all(bundle.join("rootfs").join(point)).unwrap();
    }
    let mut config: Value =
        serde_json::from_str(&fs::read_to_string("../../bundles/config.json").unwrap()).unwrap();
    config["process"]["args"] = json!(["/bin/sh", "-c", format!("{script}\necho done")]);
    config["process"]["env"] = json!(["PATH=/usr/bin"]);
    config["root"]["readonly"] = (!stack.iter().any(|(kind, _)| *kind == "upper")).into();
    config["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": FIRST_ID, "size": 1000}]);
    config["linux"]["gidMappings"] = config["linux"]["uidMappings"].clone();
    let cgroup = format!("soulbox-test-{}-{name}", std::process::id());
    config["linux"]["cgroupsPath"] = json!(format!("/{cgroup}"));
    let usr = json!({"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "rro"]});
    config["mounts"].as_array_mut().unwrap().push(usr);
    fs::write(bundle.join("config.json"), config.to_string()).unwrap();
    let mut command = soulbox();
    command.args(["container-create", name]).arg(&bundle).arg(directory.join("containers"));
    command.arg(bundle.join("log")).stdin(Stdio::null());
    for (kind, path) in stack {
        command.arg(kind).arg(path);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = eventually("the container is done", || {
        let log = fs::read_to_string(bundle.join("log")).ok()?;
        log.strip_suffix("done\n").map(str::to_owned)
    });
    remove_cgroup(&cgroup);
    said
}

/// In every hierarchy, as soon as the container's last process has left it.
fn remove_cgroup(name: &str) {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    for cgroup in hierarchies.chain([root.to_owned()]).map(|hierarchy| hierarchy.join(name)) {
        eventually("the container has left its cgroup", || {
            (fs::remove_dir(&cgroup).is_ok() || !cgroup.exists()).then_some(())
        });
    }
}

fn host_mounts() -> String {
    fs::read_to_string("/proc/self/mounts").unwrap()
}

/// The links of a merged-/usr system.
fn base(parent: &Path) -> PathBuf {
    let base = layer(parent, "base: with, marks", &[("etc/both", "base\n"), ("etc/base", "base\n")]);
    for name in ["bin", "lib", "lib64"] {
        std::os::unix::fs::symlink(format!("usr/{name}"), base.join(name)).unwrap();
    }
    base
}

#[test]
fn a_stack_of_120_layers_is_one_root_and_the_host_sees_no_mount() {
    let directory = public_directory();
    let mut layers = vec![base(directory.path())];
    layers.extend((1..120).map(|number| {
        let name =
            format!("{number:03}: with, marks, and a name as long as a digest is, or longer than that");
        let files = [(format!("files/{number}"), format!("{number}"))];
        layer(directory.path(), &name, &files.each_ref().map(|(path, text)| (path.as_str(), text.as_str())))
    }));
    fs::create_dir(layers[119].join("etc")).unwrap();
    fs::write(layers[119].join("etc/both"), "top\n").unwrap();
    let stack: Vec<_> = layers.iter().map(|layer| ("lower", layer.as_path())).collect();
    let before = host_mounts();
    let script = "ls /files | wc -l; cat /etc/both /etc/base; touch /x 2>/dev/null || echo read-only
        grep -o ' / / [^ ]*' /proc/self/mountinfo";
    let said = run(directory.path(), "many", script, &stack);
    let expected = "119\ntop\nbase\nread-only\n / / ro,nosuid,nodev,relatime\n";
    assert_eq!(said, expected);
    assert_eq!(host_mounts(), before);
}

#[test]
fn what_is_written_goes_to_the_upper_directory_alone_and_belongs_to_the_containers_ids() {
    let directory = public_directory();
    let base = base(directory.path());
    let (upper, work) = (layer(directory.path(), "upper", &[]), layer(directory.path(), "work", &[]));
    for path in [&upper, &work, &base, &base.join("etc"), &base.join("etc/base"), &base.join("etc/both")] {
        chown(path, Some(FIRST_ID), Some(FIRST_ID)).unwrap();
    }
    let script = "echo new > /etc/new; rm /etc/base; ls /etc";
    let stack = [("lower", base.as_path()), ("upper", &upper), ("work", &work)];
    assert_eq!(run(directory.path(), "written", script, &stack), "both\nnew\n");
    assert_eq!(fs::read_to_string(base.join("etc/base")).unwrap(), "base\n");
    let new = fs::metadata(upper.join("etc/new")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&new), FIRST_ID);
    // As the next layer, it hides what was removed.
    let stack = [("lower", base.as_path()), ("lower", &upper)];
    assert_eq!(run(directory.path(), "again", "ls /etc", &stack), "both\nnew\n");
}

#[test]
fn a_layer_that_is_missing_is_named() {
    let directory = public_directory();
    let bundle = directory.path().join("bundle");
    fs::create_dir_all(bundle.join("rootfs")).unwrap();
    let mut command = soulbox();
    command.args(["container-create", "missing"]).arg(&bundle).arg(directory.path());
    let output = command.arg(bundle.join("log")).args(["lower", "/not/there"]).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot open layer /not/there"));
}
