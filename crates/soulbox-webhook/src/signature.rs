//! The signature by which a receiver knows who sent a document.
//!
//! Owns the secret, and never shows it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// How generated secrets begin by the specification; the rest is base64.
const PREFIX: &str = "whsec_";

/// What documents are signed with.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// `whsec_` and base64, or else the characters as they are.
    pub fn new(text: &str) -> Self {
        let decoded = text.strip_prefix(PREFIX).and_then(|rest| STANDARD.decode(rest).ok());
        Secret(decoded.unwrap_or_else(|| text.as_bytes().to_vec()))
    }

    pub(crate) fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        // Keys of every length can be used.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return String::new() };
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_specifications_example() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signature =
            secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_never_shown() {
        assert_eq!(format!("{:?}", Secret::new("secret")), "Secret(…)");
    }
}
