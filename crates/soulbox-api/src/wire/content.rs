//! Bytes of a program on their way to a client: text where they are, base64 where they are not.
//!
//! Owns how bytes become JSON. It never copies them to do so.

use std::borrow::Cow;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use soulbox_engine::CollectedFile;
use utoipa::ToSchema;

use crate::wire::file::Encoding;

/// An output stream as text, and whole when the text is not.
#[derive(Debug)]
pub(super) struct Output<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) base64: Option<Base64<'a>>,
}

/// Bytes that are base64 in JSON.
#[derive(Clone, Copy, Debug)]
pub(super) struct Base64<'a>(&'a [u8]);

/// A file that the program has left.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OutputFile<'a> {
    /// Where it is, relative to the workspace.
    path: Cow<'a, str>,
    /// What it holds, encoded as `encoding` says.
    #[schema(value_type = String)]
    content: Content<'a>,
    /// `utf8` when it is UTF-8, `base64` otherwise.
    encoding: Encoding,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(&'a str),
    Bytes(Base64<'a>),
}

impl Base64<'_> {
    /// How long it is in JSON.
    pub(super) fn len(&self) -> usize {
        self.0.len().div_ceil(3) * 4
    }
}

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
    }
}

impl<'a> From<&'a [u8]> for Output<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let base64 = matches!(text, Cow::Owned(_)).then_some(Base64(bytes));
        Output { text, base64 }
    }
}

impl OutputFile<'_> {
    /// How much of it is a user's.
    pub(super) fn content_bytes(&self) -> usize {
        let content = match &self.content {
            Content::Text(text) => text.len(),
            Content::Bytes(bytes) => bytes.len(),
        };
        self.path.len() + content
    }
}

impl<'a> From<&'a CollectedFile> for OutputFile<'a> {
    fn from(file: &'a CollectedFile) -> Self {
        let (content, encoding) = match std::str::from_utf8(&file.content) {
            Ok(text) => (Content::Text(text), Encoding::Utf8),
            Err(_) => (Content::Bytes(Base64(&file.content)), Encoding::Base64),
        };
        OutputFile { path: file.path.to_string_lossy(), content, encoding }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn output_that_is_not_text_is_there_whole_as_well() {
        let output = Output::from(&b"a\xff\xfeb"[..]);
        assert_eq!(output.text, "a\u{fffd}\u{fffd}b");
        let base64 = output.base64.unwrap();
        assert_eq!((serde_json::to_value(base64).unwrap(), base64.len()), (json!("Yf/+Yg=="), 8));
        let output = Output::from("ü".as_bytes());
        assert_eq!((&*output.text, output.base64.is_none()), ("ü", true));
    }

    #[test]
    fn files_are_text_where_they_can_be() {
        let file = |path: &str, content: &[u8]| {
            let file = CollectedFile { path: path.into(), content: content.to_vec() };
            serde_json::to_value(OutputFile::from(&file)).unwrap()
        };
        let expected = json!({"path": "out/a.txt", "content": "ü\n", "encoding": "utf8"});
        assert_eq!(file("out/a.txt", "ü\n".as_bytes()), expected);
        let expected = json!({"path": "b.bin", "content": "AP8=", "encoding": "base64"});
        assert_eq!(file("b.bin", b"\0\xff"), expected);
    }
}
