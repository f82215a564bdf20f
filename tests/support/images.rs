//! Tools of others: a registry that is Debian's, and the programs that make, push and save images.

use std::ffi::OsStr;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use super::eventually;

/// Credentials of the closed registry, and their line in an htpasswd file.
pub(crate) const HTPASSWD_USER: &str = "user:secret";
const HTPASSWD: &str = "user:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

#[track_caller]
pub(crate) fn run(program: &str, args: &[&(impl AsRef<OsStr> + ?Sized)]) {
    let output = Command::new(program).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} failed: {said}");
}

/// skopeo without the host's policy on signatures, and with registries that have no TLS.
#[track_caller]
pub(crate) fn skopeo_copy(options: &[&str], from: &str, to: &str) {
    let tls: &[&str] = if to.starts_with("docker://") { &["--dest-tls-verify=false"] } else { &[] };
    run("skopeo", &[&["--insecure-policy", "copy", "--quiet"], tls, options, &[from, to]].concat());
}

/// A registry, which ends with its value.
pub(crate) struct Registry {
    process: Child,
    pub(crate) address: String,
    pub(crate) directory: TempDir,
}

impl Registry {
    pub(crate) fn start(closed: bool) -> Self {
        let directory = TempDir::with_prefix("soulbox-test-registry-").unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let mut config = json!({
            "version": 0.1, "log": {"level": "error"}, "http": {"addr": address},
            "storage": {"filesystem": {"rootdirectory": directory.path().join("data")}},
        });
        if closed {
            let users = directory.path().join("htpasswd");
            fs::write(&users, HTPASSWD).unwrap();
            config["auth"] = json!({"htpasswd": {"realm": "test", "path": users}});
        }
        // JSON is YAML.
        let file = directory.path().join("config.yml");
        fs::write(&file, config.to_string()).unwrap();
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(file)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        eventually("the registry listens", || TcpStream::connect(&address).ok());
        Registry { process, address, directory }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
