//! What a client gets to know of languages, and of the server's own state.
//!
//! Owns the shape of these documents. It never decides what is available.

use serde::Serialize;
use soulbox_engine::LanguageInfo;
use utoipa::ToSchema;

/// All languages, also those that are not available on this host.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LanguageList {
    languages: Vec<Language>,
}

/// A language.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "name": "python", "aliases": ["py", "python3"], "file_name": "main.py",
    "example": "print('hello')\n", "bundle": "python",
    "version": "3.13.5", "start_mode": "fork", "ready": true, "unavailable_reason": null
}))]
struct Language {
    /// Its name.
    name: String,
    /// Other names.
    aliases: Vec<String>,
    /// What `code` is called in the workspace.
    file_name: String,
    /// A program that prints `hello` and a newline.
    example: String,
    /// The bundle that it runs in.
    bundle: String,
    /// The version, once it is known.
    #[schema(required)]
    version: Option<String>,
    /// `fork` when programs start as forks of a warm interpreter, `spawn` when one is started for each.
    start_mode: &'static str,
    /// Whether programs can start without delay.
    ready: bool,
    /// Why it is not available on this host, when it is not.
    #[schema(required)]
    unavailable_reason: Option<String>,
}

/// The server's own state.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok` or `ready`.
    pub(crate) status: &'static str,
}

impl FromIterator<LanguageInfo> for LanguageList {
    fn from_iter<I: IntoIterator<Item = LanguageInfo>>(languages: I) -> Self {
        LanguageList { languages: languages.into_iter().map(Language::from).collect() }
    }
}

impl From<LanguageInfo> for Language {
    fn from(info: LanguageInfo) -> Self {
        Language {
            name: info.name,
            aliases: info.aliases,
            file_name: info.file_name,
            example: info.example,
            bundle: info.bundle,
            version: info.version,
            start_mode: info.start_mode,
            ready: info.ready,
            unavailable_reason: info.unavailable,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_unavailable_language_says_why() {
        let info = LanguageInfo {
            name: "node".to_owned(),
            aliases: vec!["js".to_owned()],
            file_name: "main.js".to_owned(),
            example: String::new(),
            bundle: "node".to_owned(),
            version: None,
            start_mode: "fork",
            ready: false,
            unavailable: Some("no node here".to_owned()),
        };
        let list = LanguageList::from_iter([info]);
        let expected = json!({"languages": [{
            "name": "node", "aliases": ["js"], "file_name": "main.js", "example": "", "bundle": "node",
            "version": null,
            "start_mode": "fork", "ready": false, "unavailable_reason": "no node here"
        }]});
        assert_eq!(serde_json::to_value(list).unwrap(), expected);
    }
}
