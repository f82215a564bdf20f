//! Files of a program as a client sends them.
//!
//! Owns their encodings. Where a file may lie is the engine's to say.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize};
use soulbox_engine::SourceFile;
use utoipa::ToSchema;

use crate::wire::request::{InvalidRequest, workspace_path};

/// The standard alphabet; padding may be left out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A file of the program.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object with path and content")]
#[schema(example = json!({"path": "data/in.csv", "content": "1,2\n"}))]
pub(crate) struct File {
    /// Where it is, relative to the workspace.
    path: String,
    /// What it holds, encoded as `encoding` says.
    content: String,
    /// How `content` is encoded: `utf8` unless said otherwise.
    #[schema(default = "utf8")]
    encoding: Option<Encoding>,
}

/// How a file's content is encoded.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Encoding {
    Utf8,
    Base64,
}

impl File {
    /// The file that it means; `index` is its place in the request.
    pub(super) fn decode(self, index: usize) -> Result<SourceFile, InvalidRequest> {
        let path = workspace_path(&self.path, || format!("files[{index}].path"))?;
        let content = match self.encoding.unwrap_or(Encoding::Utf8) {
            Encoding::Utf8 => self.content.into_bytes(),
            Encoding::Base64 => BASE64.decode(self.content).map_err(|source| InvalidRequest::Base64 {
                index,
                path: self.path,
                source,
            })?,
        };
        Ok(SourceFile { path, content })
    }
}
