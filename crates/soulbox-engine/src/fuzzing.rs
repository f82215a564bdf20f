//! What the targets of `fuzz/` reach of this crate that is otherwise its own. Owns nothing; not part of the interface.

use crate::request::{ExecutionRequest, RequestError, SourceFile, WorkspacePath};

/// All files of a request, the code's among them, and where it starts.
///
/// # Errors
/// [`RequestError`] when they cannot be laid out.
pub fn lay_out(
    request: &mut ExecutionRequest,
    file_name: &str,
    disk_bytes: u64,
) -> Result<(Vec<SourceFile>, WorkspacePath), RequestError> {
    request.lay_out(file_name, disk_bytes).map(|layout| (layout.files, layout.entrypoint))
}
