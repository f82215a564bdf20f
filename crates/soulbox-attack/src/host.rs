//! What attacks must not reach on this host, and what they are told so that they can try.
//!
//! Owns the bait: a file that everybody may write, a socket of each kind, the judge's own environment. An attack
//! names what it is told as `{placeholder}` in its arguments or its standard input.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::error::JudgeError;

/// What the file has, and no program.
const SECRET: &str = "a secret of the host that no sandbox may see\n";

/// Values that are shorter occur in any program's memory.
const SHORTEST_SECRET: usize = 8;

/// What attacks must not reach.
#[derive(Debug)]
pub(crate) struct Bait {
    _directory: TempDir,
    file: PathBuf,
    tcp: TcpListener,
    unix: UnixListener,
    facts: BTreeMap<&'static str, String>,
}

impl Bait {
    /// Lays it out.
    pub(crate) fn new(state_dir: &Path) -> Result<Self, JudgeError> {
        fn of(what: &'static str) -> impl FnOnce(io::Error) -> JudgeError {
            move |source| JudgeError::Bait { what, source }
        }
        let (file_of, tcp_of, unix_of) =
            ("write a file to the temporary directory", "listen on loopback", "listen on an abstract socket");
        let directory = tempfile::Builder::new().prefix("soulbox-attack-").tempdir().map_err(of(file_of))?;
        let file = directory.path().join("secret");
        // While the directory is still closed to others, whatever the umask; then everybody may look and write.
        let mut bait = File::create_new(&file).map_err(of(file_of))?;
        bait.write_all(SECRET.as_bytes()).map_err(of(file_of))?;
        bait.set_permissions(Permissions::from_mode(0o666)).map_err(of(file_of))?;
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).map_err(of(file_of))?;
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(of(tcp_of))?;
        tcp.set_nonblocking(true).map_err(of(tcp_of))?;
        let port = tcp.local_addr().map_err(of(tcp_of))?.port();
        let abstract_name = format!("soulbox-attack-{}-{port}", std::process::id());
        let address = SocketAddr::from_abstract_name(&abstract_name).map_err(of(unix_of))?;
        let unix = UnixListener::bind_addr(&address).map_err(of(unix_of))?;
        unix.set_nonblocking(true).map_err(of(unix_of))?;
        let host_name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let facts = BTreeMap::from([
            ("host_name", host_name.trim().to_owned()),
            ("boot_id", boot_id.trim().to_owned()),
            ("host_file", file.display().to_string()),
            ("state_dir", state_dir.display().to_string()),
            ("host_pid", std::process::id().to_string()),
            ("tcp_port", port.to_string()),
            ("abstract_socket", abstract_name),
            ("environment", environment()),
        ]);
        Ok(Bait { _directory: directory, file, tcp, unix, facts })
    }

    /// A text with all that it names.
    pub(crate) fn tell(&self, text: &str) -> String {
        let mut told = text.to_owned();
        for (name, value) in &self.facts {
            told = told.replace(&format!("{{{name}}}"), value);
        }
        told
    }

    /// Whether these bytes have what only the file has.
    pub(crate) fn is_in(bytes: &[u8]) -> bool {
        bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes())
    }

    /// What was taken, in a sentence. `None` when all is as it was.
    pub(crate) fn taken(&self) -> Option<String> {
        if fs::read_to_string(&self.file).ok().as_deref() != Some(SECRET) {
            return Some(format!("{} is not what it was", self.file.display()));
        }
        if self.tcp.accept().is_ok() {
            return Some("it reached a port of the host's loopback".to_owned());
        }
        if self.unix.accept().is_ok() {
            return Some("it reached an abstract socket of the host".to_owned());
        }
        None
    }
}

/// The names of this process's variables with the SHA-256 of their values: so that they can be recognized, and
/// an attack that finds none has not been given them.
fn environment() -> String {
    let variables = std::env::vars_os().filter_map(|(name, value)| {
        let (name, value) = (name.into_string().ok()?, value.into_encoded_bytes());
        let hash: String = Sha256::digest(&value).iter().map(|byte| format!("{byte:02x}")).collect();
        (value.len() >= SHORTEST_SECRET).then_some((name, serde_json::Value::String(hash)))
    });
    serde_json::Value::Object(variables.collect()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_taken_is_told() {
        let bait = Bait::new(Path::new("/state")).unwrap();
        assert_eq!(bait.taken(), None);
        assert_eq!(bait.tell("a {host_pid} {other}"), format!("a {} {{other}}", std::process::id()));
        let port: u16 = bait.tell("{tcp_port}").parse().unwrap();
        std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert!(bait.taken().unwrap().contains("loopback"));
        let address = SocketAddr::from_abstract_name(bait.tell("{abstract_socket}")).unwrap();
        std::os::unix::net::UnixStream::connect_addr(&address).unwrap();
        assert!(bait.taken().unwrap().contains("abstract socket"));
        assert_eq!(bait.taken(), None);
        fs::write(bait.tell("{host_file}"), "other").unwrap();
        assert!(bait.taken().unwrap().contains("is not what it was"));
    }

    #[test]
    fn variables_are_told_by_their_hash() {
        let told: serde_json::Value = serde_json::from_str(&environment()).unwrap();
        let path = std::env::var("PATH").unwrap();
        assert_eq!(told["PATH"].as_str().unwrap().len(), 64);
        assert!(!environment().contains(&path));
    }
}
