//! Where a server may listen.
//!
//! Owns one rule: without a key, only this host may reach it. It never binds anything.

use std::net::SocketAddr;

use crate::auth::ApiKey;

/// An address that a server must not listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListenError {
    /// Others than this host could reach it, and no key would stop them.
    #[error(
        "refusing to listen on {0} without an API key: whoever reaches it could run programs here; \
         configure an API key, or listen on a loopback address such as 127.0.0.1:{port}",
        port = .0.port()
    )]
    NoApiKey(SocketAddr),
}

/// Accepts loopback addresses always, and all others when there is a key.
///
/// # Errors
/// [`ListenError`], whose message says what to do.
pub fn check_listen_address(addr: SocketAddr, keys: &[ApiKey]) -> Result<(), ListenError> {
    // `::ffff:127.0.0.1` is loopback too.
    if addr.ip().to_canonical().is_loopback() || !keys.is_empty() {
        return Ok(());
    }
    Err(ListenError::NoApiKey(addr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_goes_without_a_key() {
        let keys = [ApiKey::new("secret")];
        for loopback in ["127.0.0.1:80", "127.8.8.8:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
            assert_eq!(check_listen_address(loopback.parse().unwrap(), &[]), Ok(()));
        }
        for open in ["0.0.0.0:8080", "[::]:8080", "10.0.0.1:8080", "[::ffff:10.0.0.1]:8080"] {
            let addr = open.parse().unwrap();
            let error = check_listen_address(addr, &[]).unwrap_err().to_string();
            assert!(error.contains(open) && error.contains("127.0.0.1:8080"), "{error}");
            assert_eq!(check_listen_address(addr, &keys), Ok(()));
        }
    }
}
