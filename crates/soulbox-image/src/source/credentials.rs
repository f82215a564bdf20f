//! The credentials for a registry: those that `docker login` has kept, or none.

use std::env;
use std::path::{Path, PathBuf};

use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential};
use oci_client::Reference;
use oci_client::secrets::RegistryAuth;

use crate::error::ImageError;

/// What docker calls its own registry in its configuration.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// Looks for credentials in docker's `config.json`, and runs the helper that it names. This blocks.
pub(crate) fn find(reference: &Reference) -> Result<RegistryAuth, ImageError> {
    let registry = reference.registry();
    let server = if registry == "docker.io" { DOCKER_HUB } else { registry };
    match get_credential(server) {
        Ok(DockerCredential::UsernamePassword(name, password)) => Ok(RegistryAuth::Basic(name, password)),
        Ok(DockerCredential::IdentityToken(_)) => Err(ImageError::IdentityToken(registry.to_owned())),
        Err(CredentialRetrievalError::NoCredentialConfigured | CredentialRetrievalError::ConfigNotFound) => {
            Ok(RegistryAuth::Anonymous)
        }
        // The crate says this of a file that does not exist, too.
        Err(CredentialRetrievalError::ConfigReadError)
            if !config_file().is_some_and(|file| file.exists()) =>
        {
            Ok(RegistryAuth::Anonymous)
        }
        // A credential store that has nothing for this registry.
        Err(CredentialRetrievalError::HelperFailure { stdout, .. })
            if stdout.contains("credentials not found") =>
        {
            Ok(RegistryAuth::Anonymous)
        }
        Err(source) => Err(ImageError::Credentials { registry: registry.to_owned(), source }),
    }
}

fn config_file() -> Option<PathBuf> {
    let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".docker"));
    Some(env::var_os("DOCKER_CONFIG").map(PathBuf::from).or_else(home)?.join("config.json"))
}
