//! `soulbox bundle build`: real packages of Debian and of PyPI become a bundle, and programs run in it.
//!
//! One test, since its steps share what the first of them takes a minute to make.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use support::{SOULBOX, Setup, public_directory, soulbox};

/// A plot with text, whose file is printed in hexadecimal.
const PLOT: &str = r#"
import pandas
print(pandas.Series([1, 2, 3]).mean())
import matplotlib.pyplot as plt
plt.plot([1, 2, 3], [1, 4, 9])
plt.title("Größe")
plt.savefig("plot.png")
data = open("plot.png", "rb").read()
print(data[:8].hex(), len(data) > 5000)
import os
print(len(os.listdir("/proc/self/task")))
"#;

/// The recipe of python-data up to its packages of Debian, so that the stage is the same.
const RECIPE: &str = r#"
language = "python"
file_name = "main.py"
example = "print('hello')"
seccomp = "python"
files_of = "python"
[start]
mode = "fork"
toolchains = ["/usr/bin/no-such-python", "/usr/bin/python3"]
arguments = ["-X", "utf8", "/.soulbox/launcher.py"]
install_hint = "build it"
run = ["{toolchain}", "{entrypoint}"]
[environment]
PATH = "/usr/bin"
HOME = "/workspace"
[rootfs]
source = "debian"
packages = ["python3", "python3-pip", "libstdc++6", "tzdata"]
"#;

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = soulbox();
        // Where pip finds its packages, and what it trusts, is this host's matter.
        for name in ["PIP_INDEX_URL", "PIP_CERT", "SSL_CERT_FILE", "http_proxy", "https_proxy", "no_proxy"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.arg("--state-dir").arg(self.state()).args(args).stdin(Stdio::null());
        command
    }

    fn build(&self, name: &str, rootfs: &str) -> Output {
        self.building(name, rootfs).output().unwrap()
    }

    /// A build of the common recipe with more lines of `[rootfs]`.
    fn building(&self, name: &str, rootfs: &str) -> std::process::Command {
        let recipe = self.directory.path().join(format!("recipe-{name}"));
        fs::create_dir_all(&recipe).unwrap();
        fs::write(recipe.join("soulbox.toml"), format!("{RECIPE}{rootfs}")).unwrap();
        fs::copy("../../bundles/python/config.json", recipe.join("config.json")).unwrap();
        let mut command = self.command(&["bundle", "build", name, "--recipe"]);
        command.arg(recipe).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn inspect(&self, name: &str) -> String {
        let output = self.command(&["bundle", "inspect", name]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Nothing half-made, and nothing of instances that are gone.
    fn check_that_nothing_is_left(&self) {
        let entries = |path: &Path| fs::read_dir(path).unwrap().flatten().collect::<Vec<_>>();
        assert_eq!(entries(&self.state().join("store/new")).len(), 0);
        let instances = entries(&self.state().join("instances"));
        assert!(instances.iter().all(|entry| entry.file_type().unwrap().is_file()), "{instances:?}");
        assert!(!fs::read_to_string("/proc/self/mounts").unwrap().contains("/proc/self/fd"));
    }
}

#[track_caller]
fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

#[track_caller]
fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    said(output)
}

fn plot_comes_back_over_http(state: &Path) {
    let server = Setup::new().state_dir(state).start();
    let code = "import matplotlib.pyplot as p; p.plot([1, 4, 9]); p.savefig('plot.png')";
    let request = json!({"bundle": "python-data", "code": code, "output_files": ["*.png"]});
    let execution = server.execute(request);
    let file = &execution.is("succeeded").document()["files"][0];
    assert_eq!((&file["path"], &file["encoding"]), (&"plot.png".into(), &"base64".into()));
    let png = STANDARD.decode(file["content"].as_str().unwrap()).unwrap();
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n") && png.len() > 5000, "{}", png.len());
}

#[test]
fn a_recipe_becomes_a_bundle_and_a_failing_one_leaves_what_there_was() {
    assert!(Path::new(SOULBOX).exists());
    let place = Place { directory: public_directory() };
    succeeded(&place.command(&["bundle", "build", "python-data"]).output().unwrap());
    place.check_that_nothing_is_left();
    let run = place.command(&["run", "python-data", "-c", PLOT]).output().unwrap();
    assert_eq!(succeeded(&run), "2.0\n89504e470d0a1a0a True\n1\n");

    // The same again: every stage is there already, and the bundle is the same.
    let before = place.inspect("python-data");
    let again = succeeded(&place.command(&["bundle", "build", "python-data"]).output().unwrap());
    assert_eq!(again.matches("is there already").count(), 3, "{again}");
    assert_eq!(place.inspect("python-data"), before);
    plot_comes_back_over_http(&place.state());

    // Two at once, of one stage that is there and one that is not; commands have no network and no host.
    let secret = place.directory.path().join("secret-1.0-py3-none-any.whl");
    fs::write(&secret, "of the host").unwrap();
    let look = format!(
        "run = [['sh', '-c', 'test ! -e {} && test ! -e /home/* && ! grep -v -e lo: -e \"|\" /proc/net/dev && echo built > /made']]",
        secret.display()
    );
    let [one, other] = ["one", "other"].map(|name| place.building(name, &look).spawn().unwrap());
    for build in [one, other] {
        succeeded(&build.wait_with_output().unwrap());
    }
    let read = ["run", "one", "-c", "print(open('/made').read())"];
    assert_eq!(succeeded(&place.command(&read).output().unwrap()), "built\n\n");

    // What fails leaves the bundle that there was: packages that do not exist, and files of the host.
    let before = place.inspect("one");
    for package in ["no-such-package-of-soulbox==1".to_owned(), secret.display().to_string()] {
        let failed = place.build("one", &format!("pip = ['{package}']"));
        assert!(!failed.status.success());
        assert!(said(&failed).contains("pip: "), "{}", said(&failed));
        assert_eq!(place.inspect("one"), before);
        place.check_that_nothing_is_left();
    }
    assert_eq!(succeeded(&place.command(&read).output().unwrap()), "built\n\n");
    succeeded(&place.command(&["bundle", "verify"]).output().unwrap());
}
