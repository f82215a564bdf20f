//! What an image says about the programs in it, in a form that a container can be made from.
//!
//! Owns the refusal of values that no container could have.

use std::collections::BTreeMap;

use crate::error::ImageError;
use crate::platform::Platform;
use crate::source::Image;

/// How programs of an image are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSettings {
    /// Variables, each as name and value, in the image's order and with the last of each name alone.
    pub environment: Vec<(String, String)>,
    /// Where they start; absolute.
    pub working_directory: String,
    /// Who they are: `user`, `uid`, `user:group`…, as the image says; empty for root.
    pub user: String,
    /// What the image runs: its entrypoint and its command, as one list.
    pub command: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// When it was made, in the words of RFC 3339.
    pub created: Option<String>,
    /// What it runs on.
    pub platform: Platform,
}

/// Reads an image's configuration.
///
/// # Errors
/// [`ImageError::Config`] for the first value that no container could have.
pub fn settings(image: &Image) -> Result<ImageSettings, ImageError> {
    let empty = oci_spec::image::Config::default();
    let config = image.config.config().as_ref().unwrap_or(&empty);
    let mut environment: Vec<(String, String)> = Vec::new();
    for variable in config.env().iter().flatten() {
        let variable = checked("Env", variable)?;
        match variable.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                environment.retain(|(other, _)| other != name);
                environment.push((name.to_owned(), value.to_owned()));
            }
            _ => return Err(bad("Env", "has a variable without a name or a value", variable)),
        }
    }
    let working_directory = match config.working_dir().as_deref().unwrap_or_default() {
        "" => "/",
        directory if directory.starts_with('/') => checked("WorkingDir", directory)?,
        directory => return Err(bad("WorkingDir", "is not absolute", directory)),
    };
    let command = config.entrypoint().iter().flatten().chain(config.cmd().iter().flatten());
    let command = command.map(|word| checked("Cmd", word).map(str::to_owned)).collect::<Result<_, _>>()?;
    let mut labels = BTreeMap::new();
    for (name, value) in config.labels().iter().flatten() {
        labels.insert(checked("Labels", name)?.to_owned(), checked("Labels", value)?.to_owned());
    }
    Ok(ImageSettings {
        environment,
        working_directory: working_directory.to_owned(),
        user: checked("User", config.user().as_deref().unwrap_or_default())?.to_owned(),
        command,
        labels,
        created: image.config.created().clone(),
        platform: image.platform.clone(),
    })
}

fn checked<'a>(field: &'static str, value: &'a str) -> Result<&'a str, ImageError> {
    if value.contains('\0') { Err(bad(field, "has a NUL", value)) } else { Ok(value) }
}

fn bad(field: &'static str, problem: &'static str, value: &str) -> ImageError {
    ImageError::Config { field, problem, value: value.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(config: serde_json::Value) -> Result<ImageSettings, ImageError> {
        let rootfs = serde_json::json!({"type": "layers", "diff_ids": []});
        let config = serde_json::json!({"os": "linux", "architecture": "amd64", "rootfs": rootfs, "config": config, "created": "2024-01-01T00:00:00Z"});
        let platform: Platform = "linux/amd64".parse().unwrap();
        let raw = config.to_string().into_bytes();
        settings(&crate::manifest::image(None, String::new(), raw, Vec::new(), &platform).unwrap())
    }

    #[test]
    fn what_the_image_says_is_kept() {
        let settings = read(serde_json::json!({
            "Env": ["PATH=/bin", "A=1=2", "PATH=/usr/bin"], "WorkingDir": "/work", "User": "1000:100",
            "Entrypoint": ["python3"], "Cmd": ["-m", "x"], "Labels": {"a": "b"},
        }))
        .unwrap();
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(settings.environment, [variable("A", "1=2"), variable("PATH", "/usr/bin")]);
        assert_eq!((settings.working_directory.as_str(), settings.user.as_str()), ("/work", "1000:100"));
        assert_eq!(settings.command, ["python3", "-m", "x"]);
        assert_eq!(settings.labels["a"], "b");
        assert_eq!(settings.created.as_deref(), Some("2024-01-01T00:00:00Z"));
    }

    #[test]
    fn an_image_may_say_nothing() {
        let settings = read(serde_json::json!({})).unwrap();
        assert_eq!((settings.working_directory.as_str(), settings.user.as_str()), ("/", ""));
        assert!(settings.command.is_empty() && settings.environment.is_empty());
    }

    #[test]
    fn values_that_no_container_could_have_are_refused() {
        for config in [
            serde_json::json!({"Env": ["NAME"]}),
            serde_json::json!({"Env": ["=value"]}),
            serde_json::json!({"Env": ["A=\u{0}"]}),
            serde_json::json!({"Cmd": ["\u{0}"]}),
            serde_json::json!({"User": "a\u{0}"}),
            serde_json::json!({"WorkingDir": "relative"}),
        ] {
            assert!(matches!(read(config.clone()), Err(ImageError::Config { .. })), "{config}");
        }
    }
}
