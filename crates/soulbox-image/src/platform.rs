//! For which systems an image is, in the words of the Go language as OCI has them.

use std::fmt;
use std::str::FromStr;

/// An operating system and an architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// `linux` for all that runs here.
    pub os: String,
    /// Such as `amd64`.
    pub architecture: String,
    /// Such as `v7`, where it matters.
    pub variant: Option<String>,
}

/// A text that names no platform.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no platform, such as linux/amd64")]
pub struct PlatformError(String);

impl Platform {
    /// That of this host.
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "x86" => "386",
            "aarch64" => "arm64",
            "powerpc64" => "ppc64le",
            "loongarch64" => "loong64",
            other => other,
        };
        Platform { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: None }
    }

    /// Whether an image for that one runs on this one.
    pub(crate) fn takes(&self, image: &Platform) -> bool {
        let variant = |platform: &Platform| match platform.variant.as_deref() {
            // There is no other.
            Some("v8") if platform.architecture == "arm64" => None,
            variant => variant.map(str::to_owned),
        };
        self.os == image.os
            && self.architecture == image.architecture
            && (variant(self).is_none() || variant(image).is_none() || variant(self) == variant(image))
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(formatter, "/{variant}"))
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts.as_slice() {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some((*variant).to_owned())),
            _ => return Err(PlatformError(text.to_owned())),
        };
        if parts.iter().any(|part| part.is_empty()) {
            return Err(PlatformError(text.to_owned()));
        }
        Ok(Platform { os: (*os).to_owned(), architecture: (*architecture).to_owned(), variant })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn variants_matter_where_both_say_one() {
        assert!(platform("linux/arm64").takes(&platform("linux/arm64/v8")));
        assert!(platform("linux/arm/v7").takes(&platform("linux/arm")));
        assert!(!platform("linux/arm/v6").takes(&platform("linux/arm/v7")));
        assert!(!platform("linux/amd64").takes(&platform("linux/arm64")));
        assert!(!platform("linux/amd64").takes(&platform("windows/amd64")));
    }

    #[test]
    fn texts_that_are_no_platform_are_refused() {
        for bad in ["", "linux", "linux/", "/amd64", "linux/arm/v7/x"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad:?}");
        }
        assert_eq!(platform("linux/arm/v7").to_string(), "linux/arm/v7");
    }
}
