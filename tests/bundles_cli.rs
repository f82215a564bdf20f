//! `soulbox bundle`: images that other tools made, from a registry and from files, until a program has run in them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::{Value, json};
use support::images::{Registry, run, skopeo_copy};
use support::{Execution, Setup, eventually, lay_out_python, public_directory, soulbox};
use tempfile::TempDir;

/// Prints what only the image can have told it.
const PROGRAM: &str = "import os; print(os.environ['FROM_IMAGE'], open('/data/note').read(), os.getcwd())";
const SAID: &str = "yes a note /workspace\n";

/// An OCI layout with the tag `py`: the host's Python in one layer, and a note in another. All of it by umoci.
static LAYOUT: LazyLock<TempDir> = LazyLock::new(|| {
    let directory = public_directory();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    lay_out_python(&directory.path().join("root"));
    fs::write(directory.path().join("note"), "a note").unwrap();
    run("tar", &["-C", &path("root"), "-cf", &path("root.tar"), "."]);
    let image = format!("{}:py", path("layout"));
    run("umoci", &["init", "--layout", &path("layout")]);
    run("umoci", &["new", "--image", &image]);
    run("umoci", &["raw", "add-layer", "--image", &image, &path("root.tar")]);
    run("umoci", &["insert", "--image", &image, &path("note"), "/data/note"]);
    let config = ["--config.cmd=python3", "--config.env=FROM_IMAGE=yes", "--config.env=PATH=/usr/bin"];
    let config = [&config[..], &["--config.workingdir=/data", "--config.user=65534:100"]].concat();
    run("umoci", &[&["config", "--image", &image], &config[..]].concat());
    directory
});

fn layout() -> String {
    LAYOUT.path().join("layout").to_str().unwrap().to_owned()
}

/// A state directory of a test's own.
struct State(TempDir);

impl State {
    fn new() -> Self {
        State(public_directory())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = soulbox();
        command.arg("--state-dir").arg(self.path("state")).args(args);
        command
    }

    fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    #[track_caller]
    fn done(&self, args: &[&str]) -> String {
        let output = self.output(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command says that fails.
    #[track_caller]
    fn fails(&self, args: &[&str]) -> String {
        let output = self.output(args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{args:?}: {said}");
        said
    }

    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[args, &["--json"]].concat())).unwrap()
    }

    #[track_caller]
    fn runs(&self, bundle: &str) {
        let execution = Execution::new(self.json(&["run", bundle, "-c", PROGRAM]));
        assert_eq!(execution.is("succeeded").stdout(), SAID);
        assert_eq!(execution.document()["bundle"], bundle);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn store(&self, name: &str) -> PathBuf {
        self.path("state/store").join(name)
    }

    fn layers(&self) -> usize {
        fs::read_dir(self.store("layers")).map_or(0, Iterator::count)
    }

    /// A file of a layer.
    fn layer_file(&self, name: &str) -> PathBuf {
        let layers = fs::read_dir(self.store("layers")).unwrap();
        let mut files = layers.map(|layer| layer.unwrap().path().join("tree").join(name));
        files.find(|file| file.exists()).unwrap()
    }
}

#[test]
fn an_image_of_a_registry_is_pulled_and_runs() {
    let (state, registry) = (State::new(), Registry::start(false));
    let image = format!("{}/team/py:1", registry.address);
    skopeo_copy(&[], &format!("oci:{}:py", layout()), &format!("docker://{image}"));
    assert!(state.fails(&["bundle", "pull", &image]).contains(&registry.address), "it speaks no TLS");
    let said = state.done(&["bundle", "pull", "--plain-http", &image]);
    assert!(said.contains("py-1 is stored: python (Python 3."), "{said}");
    state.runs("py-1");

    let bundle = state.json(&["bundle", "inspect", "py-1"]);
    assert_eq!(bundle["language"], "python");
    assert_eq!(bundle["source"], json!({"kind": "image", "reference": image}));
    assert_eq!(bundle["layers"].as_array().unwrap().len(), 2);
    assert!(bundle["version"].as_str().unwrap().starts_with("Python 3."), "{bundle}");
    let listed = state.json(&["bundle", "ls"]);
    let listed = listed["bundles"].as_array().unwrap();
    assert!(listed.contains(&bundle) && listed.iter().any(|other| other["name"] == "python"));

    let config = fs::read(state.store("bundles/py-1/current/config.json")).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["process"]["user"], json!({"uid": 65534, "gid": 100}));
    assert_eq!(config["process"]["cwd"], "/data");
    assert_eq!(config["process"]["args"], json!(["python3"]));
    let env = config["process"]["env"].as_array().unwrap();
    assert!(env.contains(&"FROM_IMAGE=yes".into()), "{env:?}");
}

#[test]
fn archives_and_layouts_are_imported_and_share_their_layers() {
    let state = State::new();
    state.done(&["bundle", "import", &layout(), "--name", "one"]);
    let archive = state.path("py.docker.tar");
    let target = format!("docker-archive:{}:py:1", archive.display());
    skopeo_copy(&[], &format!("oci:{}:py", layout()), &target);
    run("gzip", &["-k", archive.to_str().unwrap()]);
    for (number, file) in [archive.clone(), archive.with_extension("tar.gz")].iter().enumerate() {
        let name = format!("archive-{number}");
        state.done(&["bundle", "import", file.to_str().unwrap(), "--name", &name]);
        state.runs(&name);
    }
    state.runs("one");
    assert_eq!(state.layers(), 2);
    let digest = |name: &str| state.json(&["bundle", "inspect", name])["layers"].clone();
    assert_eq!(digest("one"), digest("archive-1"));

    state.done(&["bundle", "rm", "one", "archive-0"]);
    assert_eq!(state.layers(), 2, "one bundle still has them");
    state.runs("archive-1");
    state.done(&["bundle", "rm", "archive-1"]);
    assert_eq!(state.layers(), 0, "none has them");
    assert!(state.fails(&["run", "archive-1", "-c", ""]).contains("archive-1"));
    assert!(state.fails(&["bundle", "rm", "archive-1"]).contains("archive-1"));
}

#[test]
fn what_was_tampered_with_is_refused_by_name_and_mended_by_an_import() {
    let state = State::new();
    state.done(&["bundle", "import", &layout(), "--name", "mine"]);
    let verify = |state: &State| state.output(&["bundle", "verify", "--json"]);
    assert!(verify(&state).status.success());
    let note = state.layer_file("data/note");
    fs::write(&note, "another").unwrap();
    let said = state.fails(&["run", "mine", "-c", PROGRAM]);
    assert!(said.contains(note.to_str().unwrap()), "{said}");
    let verified = verify(&state);
    let report: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!((verified.status.code(), &report["bundles"][0]["ok"]), (Some(1), &false.into()));
    assert!(state.done(&["bundle", "ls"]).contains("BROKEN"));
    // It keeps no other from running.
    assert_eq!(state.done(&["run", "python", "-c", "print(1)"]), "1\n");

    state.done(&["bundle", "import", &layout(), "--name", "mine"]);
    state.runs("mine");
    assert!(verify(&state).status.success());
    let config = state.store("bundles/mine/current/config.json");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("\"noNewPrivileges\": true", "\"noNewPrivileges\": false")).unwrap();
    let said = state.fails(&["run", "mine", "-c", PROGRAM]);
    assert!(said.contains("config.json"), "{said}");
}

#[test]
fn an_import_that_fails_leaves_what_there_was() {
    let state = State::new();
    state.done(&["bundle", "import", &layout(), "--name", "mine"]);
    let before = state.json(&["bundle", "inspect", "mine"]);
    let import = |more: &[&str]| state.fails(&[&["bundle", "import", "--name", "mine"], more].concat());
    assert!(import(&[&layout(), "--language", "go"]).contains("go is not in the image"));
    assert!(import(&[&layout(), "--language", "cobol"]).contains("cobol"));
    assert!(import(&[&layout(), "--platform", "linux/s390x"]).contains("linux/s390x"));
    assert!(import(&[&layout(), "--tag", "other"]).contains("other"));
    assert!(import(&[&layout(), "--name", "../py"]).contains("--name"));
    assert!(import(&["/nowhere"]).contains("/nowhere"));

    let broken = state.path("broken");
    run("cp", &["-a", &layout(), broken.to_str().unwrap()]);
    let blobs = fs::read_dir(broken.join("blobs/sha256")).unwrap().map(|blob| blob.unwrap().path());
    let largest = blobs.max_by_key(|blob| blob.metadata().unwrap().len()).unwrap();
    let content = fs::read(&largest).unwrap();
    fs::write(&largest, &content[..content.len() / 2]).unwrap();
    // Layers that are there already are not read again, so that this needs a store without them.
    let empty = State::new();
    let said = empty.fails(&["bundle", "import", "--name", "mine", broken.to_str().unwrap()]);
    assert!(said.contains("sha256:"), "{said}");
    assert_eq!(fs::read_dir(empty.store("new")).unwrap().count(), 0);
    assert!(!empty.done(&["bundle", "ls"]).contains("mine "), "nothing is stored");

    assert_eq!(state.json(&["bundle", "inspect", "mine"]), before);
    state.runs("mine");
}

#[test]
fn a_full_disk_is_named_and_leaves_nothing_half_made() {
    let state = State::new();
    fs::create_dir(state.path("state")).unwrap();
    let mount = |args: &[&str]| run("mount", args);
    let place = state.path("state");
    let place = place.to_str().unwrap();
    mount(&["-t", "tmpfs", "-o", "size=16m,mode=755", "tmpfs", place]);
    let said = state.fails(&["bundle", "import", &layout(), "--name", "mine"]);
    let left = fs::read_dir(state.store("new")).map_or(0, Iterator::count);
    let bundles = state.done(&["bundle", "ls"]);
    run("umount", &[place]);
    assert!(said.contains("no space is left"), "{said}");
    assert_eq!((left, bundles.contains("mine ")), (0, false));
}

#[test]
fn two_imports_at_once_are_one_after_the_other() {
    let state = State::new();
    let import = || state.command(&["bundle", "import", &layout(), "--name", "mine"]);
    let mut both = [import().spawn().unwrap(), import().spawn().unwrap()];
    assert!(both.iter_mut().all(|one| one.wait().unwrap().success()));
    assert_eq!(state.layers(), 2);
    state.runs("mine");
    assert_eq!(state.json(&["bundle", "verify"])["bundles"][0]["ok"], true);
}

#[test]
fn what_a_language_prepares_is_made_in_the_image() {
    let state = State::new();
    let recipe = state.path("recipe");
    fs::create_dir(&recipe).unwrap();
    let text = r#"
        language = "prepared"
        file_name = "main.py"
        example = "print('hello')\n"
        seccomp = "python"
        [start]
        mode = "spawn"
        toolchains = ["/usr/bin/python3"]
        install_hint = "it is in the image"
        prepare = ["{toolchain}", "{runtime}/prepare.py"]
        run = ["{toolchain}", "{entrypoint}"]
        [rootfs]
        source = "host"
        etc = []
        [environment]
        PATH = "/usr/bin"
    "#;
    fs::write(recipe.join("soulbox.toml"), text).unwrap();
    let prepare = "open('made', 'w').write(str(len(open('/proc/net/dev').readlines()) - 2))\n";
    fs::write(recipe.join("prepare.py"), prepare).unwrap();
    let recipe = recipe.to_str().unwrap();
    state.done(&["bundle", "import", &layout(), "--name", "own", "--recipe", recipe]);
    let code =
        "import os; print(open('/.soulbox/prepared/made').read(), os.access('/.soulbox/prepared', os.W_OK))";
    let execution = Execution::new(state.json(&["run", "own", "-c", code]));
    assert_eq!(execution.is("succeeded").stdout(), "1 False\n", "it had no network but its own loopback");
    assert_eq!(execution.document()["language"], "prepared");
}

#[test]
fn a_bundle_that_a_server_uses_is_removed_by_force_alone() {
    let state = State::new();
    state.done(&["bundle", "import", &layout(), "--name", "mine"]);
    let server = Setup::new().state_dir(&state.path("state")).start();
    let request = || json!({"bundle": "mine", "code": PROGRAM});
    assert_eq!(server.execute(request()).is("succeeded").stdout(), SAID);
    assert!(state.fails(&["bundle", "rm", "mine"]).contains("in use"));
    state.done(&["bundle", "rm", "--force", "mine"]);
    assert_eq!(server.execute(request()).is("succeeded").stdout(), SAID, "it has what it needs");
    assert_eq!(state.layers(), 2);
    server.client().post("/v1/bundles/mine/reload", &json!({}));
    eventually("the layers go when nobody uses them", || {
        state.done(&["bundle", "gc"]);
        (state.layers() == 0).then_some(())
    });
}

#[test]
fn a_registry_that_is_not_there_is_named() {
    let state = State::new();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let said = state.fails(&["bundle", "pull", "--plain-http", &format!("{address}/a:1")]);
    assert!(said.contains(&address), "{said}");
    assert!(state.fails(&["bundle", "pull", "not a reference"]).contains("not a reference"));
    assert!(!Path::new(&state.store("layers")).exists() || state.layers() == 0);
}
