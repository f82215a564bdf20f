//! Builds the shim and the init, so that they can be embedded: one cargo for each, in a target directory of
//! their own, since they are built without std and with another panic strategy than the rest.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// No start files and no libc: the shim is loaded beside any libc, the init has none.
const SHIM_FLAGS: &str = "-Clink-arg=-nostdlib";
const INIT_FLAGS: &str =
    "-Clink-arg=-nostartfiles -Clink-arg=-nostdlib -Clink-arg=-static -Crelocation-model=static";

fn main() {
    let manifest = Path::new(&variable("CARGO_MANIFEST_DIR")).join("../soulbox-zygote/Cargo.toml");
    for crate_name in ["soulbox-zygote", "soulbox-protocol"] {
        println!("cargo::rerun-if-changed=../{crate_name}/src");
        println!("cargo::rerun-if-changed=../{crate_name}/Cargo.toml");
    }
    let out_dir = PathBuf::from(variable("OUT_DIR"));
    let target_dir = out_dir.join("inside");
    let target = variable("TARGET");

    let shim = ["rustc", "--lib", "--crate-type", "cdylib"];
    build(&shim, SHIM_FLAGS, &manifest, &target_dir.join("shim"), &target);
    let init = ["rustc", "--bin", "soulbox-init"];
    build(&init, INIT_FLAGS, &manifest, &target_dir.join("init"), &target);

    let built = |which: &str, file: &str| target_dir.join(which).join(&target).join("shim").join(file);
    export("SOULBOX_SHIM", &built("shim", "libsoulbox_zygote.so"));
    export("SOULBOX_INIT", &built("init", "soulbox-init"));
}

fn build(command: &[&str], flags: &str, manifest: &Path, target_dir: &Path, target: &str) {
    let mut cargo = Command::new(variable("CARGO"));
    cargo
        .args(command)
        .args(["--features", "artifact", "--profile", "shim", "--quiet", "--target", target])
        .arg("--manifest-path")
        .arg(manifest)
        .arg("--target-dir")
        .arg(target_dir)
        .env("RUSTFLAGS", flags)
        // What the outer build says of its own crates must not reach these.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("CLIPPY_ARGS");
    match cargo.status() {
        Ok(status) if status.success() => {}
        Ok(status) => panic!("building the code inside the containers failed: {cargo:?}: {status}"),
        Err(error) => panic!("cannot run cargo for the code inside the containers: {error}"),
    }
}

fn export(name: &str, file: &Path) {
    assert!(file.exists(), "{} was not built", file.display());
    println!("cargo::rustc-env={name}={}", file.display());
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name} for build scripts"))
}
