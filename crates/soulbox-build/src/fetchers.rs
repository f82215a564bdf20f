//! What pip and npm need of the host to fetch packages: names, proxies, certificates.
//!
//! Owns the list of what is passed on. Nothing else of the operator's environment or files is seen by a build.

use std::env;
use std::path::{Path, PathBuf};

use soulbox_sandbox::ReadOnlyBind;

/// Variables that say where packages come from and how they are reached.
const PASSED_ON: [&str; 16] = [
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_TRUSTED_HOST",
    "PIP_DEFAULT_TIMEOUT",
    "PIP_RETRIES",
    "PIP_PROXY",
    "npm_config_registry",
    "npm_config_proxy",
    "npm_config_https_proxy",
    "npm_config_noproxy",
];

/// Variables that name a file with certificates.
const CERTIFICATES: [&str; 5] =
    ["SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "npm_config_cafile"];

/// What a host with packages of Debian trusts, and so do the builds on it, where no variable says otherwise.
const HOST_CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Where a container sees those files.
const CERTIFICATES_DIR: &str = "/.soulbox-certificates";

/// The environment and the files of a command that fetches packages.
pub(crate) fn of_host() -> (Vec<(String, String)>, Vec<ReadOnlyBind>) {
    select(|name| env::var(name).ok(), &|path: &Path| path.canonicalize().ok().filter(|path| path.is_file()))
}

fn select(
    variable: impl Fn(&str) -> Option<String>,
    file: &dyn Fn(&Path) -> Option<PathBuf>,
) -> (Vec<(String, String)>, Vec<ReadOnlyBind>) {
    let mut variables: Vec<_> =
        PASSED_ON.iter().filter_map(|name| Some(((*name).to_owned(), variable(name)?))).collect();
    let mut binds = Vec::new();
    if let Some(source) = file(Path::new("/etc/resolv.conf")) {
        binds.push(ReadOnlyBind { source, destination: "/etc/resolv.conf".into() });
    }
    for name in CERTIFICATES {
        let path = variable(name).unwrap_or_else(|| HOST_CERTIFICATES.to_owned());
        let Some(source) = file(Path::new(&path)) else { continue };
        let destination = format!("{CERTIFICATES_DIR}/{name}.pem");
        variables.push((name.to_owned(), destination.clone()));
        binds.push(ReadOnlyBind { source, destination: destination.into() });
    }
    (variables, binds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_is_passed_on() {
        let variable = |name: &str| match name {
            "https_proxy" => Some("http://proxy:3128".to_owned()),
            "PIP_CERT" => Some("/host/roots.pem".to_owned()),
            "SSL_CERT_FILE" => Some("/not/there".to_owned()),
            "SECRET" | "HOME" => Some("secret".to_owned()),
            _ => None,
        };
        let file = |path: &Path| {
            (!path.starts_with("/not") && !path.starts_with("/etc/ssl")).then(|| path.to_owned())
        };
        let (variables, binds) = select(variable, &file);
        let names: Vec<_> = variables.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["https_proxy", "PIP_CERT"]);
        assert_eq!(variables[1].1, "/.soulbox-certificates/PIP_CERT.pem");
        let sources: Vec<_> = binds.iter().map(|bind| bind.source.as_path()).collect();
        assert_eq!(sources, [Path::new("/etc/resolv.conf"), Path::new("/host/roots.pem")]);
    }

    #[test]
    fn what_the_host_trusts_is_trusted_when_nothing_else_is_said() {
        let (variables, binds) = select(|_| None, &|path: &Path| Some(path.to_owned()));
        assert!(variables.iter().any(|(name, _)| name == "PIP_CERT"));
        assert!(binds.iter().any(|bind| bind.source == Path::new(HOST_CERTIFICATES)));
    }
}
