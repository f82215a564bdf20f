//! Images against the tools that people have: pull and unpack beside skopeo and umoci, and the first sandbox of a
//! pulled bundle beside that of the host's own.
//!
//! Owns these figures of the README. The image has this host's own Python, so that both sides of the second
//! comparison run the same files. The two sides of each take turns.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark stops at the first surprise and prints"
)]

mod support;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use support::{percentile, timed};

const PULLS: usize = 5;
const STARTS: usize = 30;

/// What the image has of this host: Python, and beside the libraries enough other files for 300 MB.
const FILES: &str = "cd / && { ls -d lib lib64 usr/lib64/ld-linux* usr/bin/python3* usr/lib/python3*; \
    find usr/lib/x86_64-linux-gnu -maxdepth 1 -name '*.so*'; \
    find usr/lib usr/share -type f -size -20M ! -path 'usr/lib/x86_64-linux-gnu/*' ! -path 'usr/lib/python3*' | \
    sort | head -n 12000; }";

/// A registry of its own, which ends with it.
struct Registry {
    process: Child,
    address: String,
}

impl Registry {
    fn start(directory: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        drop(listener);
        let config = directory.join("registry.yml");
        let storage = directory.join("registry");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {address}}}\n",
            storage.display()
        );
        fs::write(&config, text).expect("a configuration");
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry starts");
        while std::net::TcpStream::connect(&address).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
        Registry { process, address }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn shell(directory: &Path, script: &str) {
    let output = Command::new("sh").args(["-ec", script]).current_dir(directory).output().expect("a shell");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

fn soulbox(state: &Path, args: &[&str]) -> Vec<u8> {
    let output = Command::new(env!("CARGO_BIN_EXE_soulbox"))
        .arg("--state-dir")
        .arg(state)
        .args(args)
        .output()
        .expect("soulbox runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn row(what: &str, ours: &mut [Duration], theirs: &mut [Duration]) {
    let (ours, theirs) = (percentile(ours, 50), percentile(theirs, 50));
    println!("| {what} | {ours:.0} ms | {theirs:.0} ms | {:.2} |", ours / theirs);
}

fn main() {
    let home = tempfile::tempdir().expect("a directory");
    fs::set_permissions(home.path(), PermissionsExt::from_mode(0o755)).expect("its mode");
    let registry = Registry::start(home.path());
    let image = format!("{}/python:1", registry.address);
    // Two layers, as images have several.
    shell(
        home.path(),
        &format!(
            "({FILES}) > files; split -n l/2 files files.; \
             for part in files.*; do tar -C / -cf $part.tar -T $part; done; \
             umoci init --layout l; umoci new --image l:1; \
             for part in files.*.tar; do umoci raw add-layer --image l:1 $part; done; \
             umoci config --image l:1 --config.cmd python3; rm files.*.tar; \
             skopeo copy -q --dest-tls-verify=false oci:l:1 docker://{image}"
        ),
    );
    let size = Command::new("du").args(["-sm", "l/blobs"]).current_dir(home.path()).output().expect("du");
    let size = String::from_utf8_lossy(&size.stdout).split_whitespace().next().unwrap_or_default().to_owned();
    println!("An image of {size} MB, compressed.\n\n| | soulbox | beside it | ratio |\n|---|---|---|---|");

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..PULLS {
        let state = home.path().join(format!("state-{round}"));
        ours.push(timed(|| {
            soulbox(&state, &["bundle", "pull", "--plain-http", "--name", "pulled", &image]);
        }));
        let copied = format!(
            "skopeo copy -q --src-tls-verify=false docker://{image} oci:copy:1; umoci unpack --image copy:1 unpacked"
        );
        theirs.push(timed(|| shell(home.path(), &copied)));
        shell(home.path(), "rm -rf copy unpacked");
        if round + 1 < PULLS {
            fs::remove_dir_all(&state).expect("the state is removed");
        }
    }
    row("pull and unpack, beside skopeo copy and umoci unpack", &mut ours, &mut theirs);

    let state = home.path().join(format!("state-{}", PULLS - 1));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        for (bundle, times) in [("pulled", &mut ours), ("python", &mut theirs)] {
            times.push(timed(|| assert_eq!(soulbox(&state, &["run", bundle, "-c", "print(1)"]), b"1\n")));
        }
    }
    row("first sandbox of a pulled bundle, beside the host's", &mut ours, &mut theirs);
}
