//! A server: where it listens, and what every request to it has in common.
//!
//! Owns what an address of a server may be. It never connects.

use std::str::FromStr;

use hyper::Uri;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue};

use crate::error::BenchError;

const DEFAULT_PORT: u16 = 80;

/// A server to be measured.
#[derive(Clone, Debug)]
pub struct Target {
    /// As it is reported.
    pub(crate) url: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The path of executions.
    pub(crate) path: Uri,
    pub(crate) headers: HeaderMap,
}

impl Target {
    /// The server at a URL, and the key that it wants.
    ///
    /// # Errors
    ///
    /// When the URL is not `http://HOST[:PORT]`, or no header can hold the key.
    pub fn new(url: &str, api_key: Option<&str>) -> Result<Self, BenchError> {
        let invalid = |reason| BenchError::InvalidServer { url: url.to_owned(), reason };
        let uri = Uri::from_str(url).map_err(|_| invalid("it is no URL"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(invalid("this program speaks HTTP without TLS")),
            _ => return Err(invalid("it does not start with http://")),
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(invalid("it has a path, but servers have none"));
        }
        let authority = uri.authority().ok_or_else(|| invalid("it has no host"))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || authority.as_str().contains('@') {
            return Err(invalid("it needs a host, and nothing before it"));
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let name = HeaderValue::from_str(authority.as_str()).map_err(|_| invalid("it is no host"))?;
        headers.insert(HOST, name);
        if let Some(key) = api_key {
            let mut value =
                HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| BenchError::InvalidKey)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(Target {
            url: url.trim_end_matches('/').to_owned(),
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(DEFAULT_PORT),
            path: Uri::from_static("/v1/executions"),
            headers,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_host_and_a_port() {
        let target = Target::new("http://127.0.0.1:8080/", Some("key")).unwrap();
        assert_eq!((target.host.as_str(), target.port), ("127.0.0.1", 8080));
        assert_eq!(target.url, "http://127.0.0.1:8080");
        assert_eq!(target.headers[AUTHORIZATION], "Bearer key");
        let target = Target::new("http://[::1]", None).unwrap();
        assert_eq!((target.host.as_str(), target.port), ("::1", 80));
        for wrong in
            ["", "127.0.0.1:8080", "https://host", "http://", "http://host/v1", "http://me@host", "ftp://x"]
        {
            assert!(Target::new(wrong, None).is_err(), "{wrong}");
        }
        assert!(matches!(Target::new("http://host", Some("a\nb")), Err(BenchError::InvalidKey)));
    }

    #[test]
    fn a_key_is_never_shown() {
        let target = Target::new("http://host", Some("secret")).unwrap();
        assert!(!format!("{target:?}").contains("secret"));
    }
}
