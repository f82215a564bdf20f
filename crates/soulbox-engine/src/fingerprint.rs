//! What tells programs apart for those who learn from how they ended.
//!
//! Owns which parts of a request count. It is made once for each request, and what it costs is bounded, however long a
//! program is.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::keeper::Keeper;
use crate::request::{ExecutionRequest, Layout, Tenant};

/// So much of each part is looked at, beside its length: enough to tell programs apart, and never long.
const LOOKED_AT: usize = 4096;

/// Hashes, the same over restarts. Two that are taken for one are of one tenant, or it is no harm: whoever aims for that
/// has two of its own compared, and what was predicted of another becomes a little wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    /// The bundle, whichever version of it.
    pub(crate) bundle: u64,
    /// The same for the same program of one tenant, whatever its input: it needs about the same memory.
    pub(crate) program: u64,
    /// The same for the same program with the same input: it costs the same each time it runs.
    pub(crate) with_input: u64,
}

impl Fingerprint {
    pub(crate) fn of(keeper: &Keeper, request: &ExecutionRequest, layout: &Layout) -> Self {
        Self::of_parts(keeper.bundle().name(), request, layout)
    }

    fn of_parts(bundle: &str, request: &ExecutionRequest, layout: &Layout) -> Self {
        let mut hasher = DefaultHasher::new();
        let part = |hasher: &mut DefaultHasher, bytes: &[u8]| {
            bytes.len().hash(hasher);
            bytes.get(..LOOKED_AT).unwrap_or(bytes).hash(hasher);
        };
        part(&mut hasher, bundle.as_bytes());
        let of_bundle = hasher.finish();
        part(&mut hasher, request.tenant.as_ref().map_or("", Tenant::as_str).as_bytes());
        part(&mut hasher, layout.entrypoint.as_str().as_bytes());
        for file in &layout.files {
            part(&mut hasher, file.path.as_str().as_bytes());
            part(&mut hasher, &file.content);
        }
        let program = hasher.finish();
        for argument in &request.args {
            part(&mut hasher, argument.as_c_string().as_bytes());
        }
        part(&mut hasher, &request.stdin);
        Fingerprint { bundle: of_bundle, program, with_input: hasher.finish() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{SourceFile, Target, WorkspacePath};

    fn of(tenant: Option<&str>, entrypoint: &str, files: &[(&str, &[u8])], stdin: &str) -> Fingerprint {
        let path = |text| WorkspacePath::parse(text).unwrap();
        let files = files.iter().map(|(name, text)| SourceFile { path: path(name), content: text.to_vec() });
        let layout = Layout { files: files.collect(), entrypoint: path(entrypoint) };
        let mut request = ExecutionRequest::new(Target::Bundle("python".to_owned()));
        request.tenant = tenant.map(Tenant::new);
        request.stdin = stdin.as_bytes().to_vec();
        Fingerprint::of_parts("python", &request, &layout)
    }

    #[test]
    fn programs_are_told_apart_by_code_files_and_tenant() {
        let large = vec![b'x'; LOOKED_AT + 1];
        let all = [
            of(None, "main.py", &[("main.py", b"a")], ""),
            of(None, "main.py", &[("main.py", b"b")], ""),
            of(Some("one"), "main.py", &[("main.py", b"a")], ""),
            of(Some("two"), "main.py", &[("main.py", b"a")], ""),
            of(None, "a", &[("main.py", b"a"), ("a", b"")], ""),
            of(None, "main.py", &[("main.py", b"a"), ("a", b"")], ""),
            of(None, "main.py", &[("main.pya", b"")], ""),
            of(None, "main.py", &[("main.py", &large)], ""),
            of(None, "main.py", &[("main.py", &large[1..])], ""),
        ];
        for (index, one) in all.iter().enumerate() {
            let same = |other: &&Fingerprint| other.program == one.program;
            assert_eq!(all.iter().filter(same).count(), 1, "{index}");
            assert_eq!(one.bundle, all[0].bundle);
        }
        assert_eq!(all[0], of(None, "main.py", &[("main.py", b"a")], ""));
    }

    #[test]
    fn input_is_no_part_of_a_program() {
        let [one, other] = ["1", "2"].map(|stdin| of(None, "main.py", &[("main.py", b"a")], stdin));
        assert_eq!((one.bundle, one.program), (other.bundle, other.program));
        assert_ne!(one.with_input, other.with_input);
    }
}
