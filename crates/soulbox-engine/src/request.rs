//! What a client asks to execute, parsed: no value of these types can harm what is below.
//!
//! Owns the rules for paths, arguments and environment variables. It knows nothing of JSON; the edge parses
//! into these types and shows their errors.

use std::collections::BTreeSet;
use std::ffi::{CString, NulError};
use std::sync::Arc;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::limits::{LimitError, LimitsRequest};
use crate::trace_context::TraceContext;

/// `NAME_MAX` (limits.h): what a directory entry can be called.
const MAX_COMPONENT_BYTES: usize = 255;

/// Well below `PATH_MAX`, with room for the workspace's own path.
const MAX_PATH_BYTES: usize = 1024;

/// What execve(2) takes as one argument or variable (`MAX_ARG_STRLEN`).
const MAX_STRING_BYTES: usize = 128 << 10;

/// Arguments and environment together; execve(2) takes a quarter of the stack's limit.
const MAX_STRINGS_BYTES: usize = 1 << 20;

/// Files of one request.
const MAX_FILES: usize = 1000;

/// A path below the workspace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkspacePath(String);

/// Why a path is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkspacePathError {
    /// Nothing.
    #[error("path is empty")]
    Empty,
    /// Longer than [`MAX_PATH_BYTES`].
    #[error("path has more than {MAX_PATH_BYTES} bytes")]
    TooLong,
    /// It starts with a slash.
    #[error("path {0:?} is absolute; paths are relative to /workspace")]
    Absolute(String),
    /// One of its parts cannot be the name of a file below the workspace.
    #[error("path {path:?} has the part {component:?}, which is not allowed")]
    Component {
        /// The path.
        path: String,
        /// The part.
        component: String,
    },
}

impl WorkspacePath {
    /// Accepts relative paths of plain names.
    ///
    /// # Errors
    /// [`WorkspacePathError`].
    pub fn parse(path: &str) -> Result<Self, WorkspacePathError> {
        if path.is_empty() {
            return Err(WorkspacePathError::Empty);
        }
        if path.len() > MAX_PATH_BYTES {
            return Err(WorkspacePathError::TooLong);
        }
        if path.starts_with('/') {
            return Err(WorkspacePathError::Absolute(path.to_owned()));
        }
        for component in path.split('/') {
            let plain = !matches!(component, "" | "." | "..")
                && component.len() <= MAX_COMPONENT_BYTES
                && !component.contains('\0');
            if !plain {
                let (path, component) = (path.to_owned(), component.to_owned());
                return Err(WorkspacePathError::Component { path, component });
            }
        }
        Ok(WorkspacePath(path.to_owned()))
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn to_c_string(&self) -> CString {
        without_nul(self.0.clone().into_bytes())
    }

    /// Every directory on the way to it.
    fn parents(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').map(|(at, _)| &self.0[..at])
    }
}

/// For bytes that a parser has found to have no NUL.
fn without_nul(bytes: Vec<u8>) -> CString {
    CString::new(bytes).unwrap_or_default()
}

/// A program's argument: anything but NUL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument(CString);

impl Argument {
    /// # Errors
    /// [`RequestError::Nul`] or [`RequestError::StringTooLong`].
    pub fn parse(argument: String) -> Result<Self, RequestError> {
        c_string("an argument", argument).map(Argument)
    }

    pub(crate) fn as_c_string(&self) -> &CString {
        &self.0
    }
}

/// An environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    name: String,
    assignment: CString,
}

impl Variable {
    /// # Errors
    /// [`RequestError`] when the name is empty or has `=`, or either has NUL.
    pub fn parse(name: &str, value: &str) -> Result<Self, RequestError> {
        if name.is_empty() || name.contains('=') {
            return Err(RequestError::VariableName(name.to_owned()));
        }
        let assignment = c_string("an environment variable", format!("{name}={value}"))?;
        Ok(Variable { name: name.to_owned(), assignment })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn as_c_string(&self) -> &CString {
        &self.assignment
    }
}

fn c_string(what: &'static str, text: String) -> Result<CString, RequestError> {
    if text.len() >= MAX_STRING_BYTES {
        return Err(RequestError::StringTooLong { what });
    }
    CString::new(text).map_err(|source| RequestError::Nul { what, source })
}

/// A file of the program.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Where it is laid.
    pub path: WorkspacePath,
    /// What it holds.
    pub content: Vec<u8>,
}

/// For whom an execution is: those of different tenants share nothing that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tenant(Arc<str>);

impl Tenant {
    /// A tenant of this name, which is no secret.
    pub fn new(name: &str) -> Self {
        Tenant(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a program is executed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The default bundle of the language with this name or alias.
    Language(String),
    /// The bundle with this name.
    Bundle(String),
    /// The language, and when there is none of this name, the bundle.
    Either(String),
}

/// A request to execute a program.
#[derive(Clone, Debug)]
pub struct ExecutionRequest {
    /// What to execute it in.
    pub target: Target,
    /// The program's text, laid at the entrypoint.
    pub code: Option<String>,
    /// Further files, or all of them.
    pub files: Vec<SourceFile>,
    /// Where the program starts; the language's usual file when absent.
    pub entrypoint: Option<WorkspacePath>,
    /// Arguments after the program's own name.
    pub args: Vec<Argument>,
    /// All of its standard input.
    pub stdin: Vec<u8>,
    /// Its environment, over the bundle's.
    pub env: Vec<Variable>,
    /// Its limits.
    pub limits: LimitsRequest,
    /// The files to give back when it has ended.
    pub output_files: OutputFiles,
    /// For whom; `None` where there are no tenants.
    pub tenant: Option<Tenant>,
    /// The trace that it is a part of, where its client has one.
    pub trace_context: Option<TraceContext>,
}

/// Patterns of paths below the workspace. `*` stays within a directory, `**` does not.
#[derive(Clone, Debug, Default)]
pub struct OutputFiles(GlobSet);

/// Patterns of one request.
const MAX_PATTERNS: usize = 32;

impl OutputFiles {
    /// # Errors
    /// [`RequestError::Pattern`] for the first that is none, [`RequestError::TooManyPatterns`].
    pub fn parse(patterns: &[String]) -> Result<Self, RequestError> {
        if patterns.len() > MAX_PATTERNS {
            return Err(RequestError::TooManyPatterns(patterns.len()));
        }
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            let error = |source| RequestError::Pattern { pattern: pattern.clone(), source };
            set.add(GlobBuilder::new(pattern).literal_separator(true).build().map_err(error)?);
        }
        let error = |source| RequestError::Pattern { pattern: patterns.join(", "), source };
        set.build().map(OutputFiles).map_err(error)
    }

    pub(crate) fn into_glob_set(self) -> GlobSet {
        self.0
    }
}

/// A request that cannot be executed as it is written.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// No bundle has this language.
    #[error("language {0:?} is unknown; this server has {1}")]
    UnknownLanguage(String, String),
    /// The language's bundle cannot be started on this host.
    #[error("language {0:?} is not available here: {1}")]
    UnavailableLanguage(String, String),
    /// No bundle has this name.
    #[error("bundle {0:?} is unknown; this server has {1}")]
    UnknownBundle(String, String),
    /// The bundle cannot be started on this host.
    #[error("bundle {0:?} is not available here: {1}")]
    UnavailableBundle(String, String),
    /// Neither code nor files.
    #[error("there is nothing to run: give code, or files and an entrypoint")]
    Nothing,
    /// Code of no bytes.
    #[error("code is empty")]
    EmptyCode,
    /// Code with a NUL.
    #[error("code has a NUL byte at offset {0}; binary content belongs into files, with encoding base64")]
    NulInCode(usize),
    /// Files, but nothing says where to start.
    #[error("entrypoint is missing: which of the files shall be run?")]
    NoEntrypoint,
    /// The entrypoint is none of the files.
    #[error("entrypoint {0:?} is none of the files")]
    UnknownEntrypoint(String),
    /// A file's path is not allowed.
    #[error(transparent)]
    Path(#[from] WorkspacePathError),
    /// Two files at the same place, or one where another needs a directory.
    #[error("path {0:?} collides with another file")]
    Collision(String),
    /// More files than allowed.
    #[error("there are {0} files; at most {MAX_FILES} are allowed")]
    TooManyFiles(usize),
    /// An environment variable's name is none.
    #[error("environment variable name {0:?} is not allowed: it must not be empty or have =")]
    VariableName(String),
    /// The same variable twice.
    #[error("environment variable {0:?} is given twice")]
    VariableTwice(String),
    /// A string with a NUL.
    #[error("{what} has a NUL character")]
    Nul {
        /// What the string is.
        what: &'static str,
        /// Where the NUL is.
        source: NulError,
    },
    /// A string that execve(2) would not take.
    #[error("{what} has {MAX_STRING_BYTES} bytes or more")]
    StringTooLong {
        /// What the string is.
        what: &'static str,
    },
    /// More than execve(2) would take.
    #[error("arguments and environment have more than {MAX_STRINGS_BYTES} bytes together")]
    StringsTooLong,
    /// The files do not fit into the sandbox.
    #[error("the files have {given} bytes, more than the disk limit of {limit}")]
    FilesTooLarge {
        /// Their bytes.
        given: u64,
        /// `disk_bytes`.
        limit: u64,
    },
    /// A pattern of output files is none.
    #[error("output_files has {pattern:?}, which is no pattern")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Where it is wrong.
        source: globset::Error,
    },
    /// More patterns than allowed.
    #[error("output_files has {0} patterns; at most {MAX_PATTERNS} are allowed")]
    TooManyPatterns(usize),
    /// A limit is out of its bounds.
    #[error(transparent)]
    Limit(#[from] LimitError),
}

/// What a request's files come to: all files, the code's among them, and where to start.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) files: Vec<SourceFile>,
    pub(crate) entrypoint: WorkspacePath,
}

impl Layout {
    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> usize {
        self.files.iter().map(|file| file.content.len()).sum()
    }
}

impl ExecutionRequest {
    /// A request with nothing to execute yet.
    pub fn new(target: Target) -> Self {
        ExecutionRequest {
            target,
            code: None,
            files: Vec::new(),
            entrypoint: None,
            args: Vec::new(),
            stdin: Vec::new(),
            env: Vec::new(),
            limits: LimitsRequest::default(),
            output_files: OutputFiles::default(),
            tenant: None,
            trace_context: None,
        }
    }

    /// Takes code, files and entrypoint together.
    pub(crate) fn lay_out(&mut self, file_name: &str, disk_bytes: u64) -> Result<Layout, RequestError> {
        let mut files = std::mem::take(&mut self.files);
        let given = self.entrypoint.take();
        let entrypoint = match (self.code.take(), given) {
            (Some(code), given) => {
                check_code(&code)?;
                let path = given.map_or_else(|| WorkspacePath::parse(file_name), Ok)?;
                files.insert(0, SourceFile { path: path.clone(), content: code.into_bytes() });
                path
            }
            (None, _) if files.is_empty() => return Err(RequestError::Nothing),
            (None, None) => return Err(RequestError::NoEntrypoint),
            (None, Some(path)) if files.iter().any(|file| file.path == path) => path,
            (None, Some(path)) => return Err(RequestError::UnknownEntrypoint(path.0)),
        };
        check_files(&files, disk_bytes)?;
        check_strings(&self.args, &self.env)?;
        Ok(Layout { files, entrypoint })
    }
}

fn check_code(code: &str) -> Result<(), RequestError> {
    if code.is_empty() {
        return Err(RequestError::EmptyCode);
    }
    code.find('\0').map_or(Ok(()), |at| Err(RequestError::NulInCode(at)))
}

fn check_files(files: &[SourceFile], disk_bytes: u64) -> Result<(), RequestError> {
    if files.len() > MAX_FILES {
        return Err(RequestError::TooManyFiles(files.len()));
    }
    let mut paths = BTreeSet::new();
    for file in files {
        if !paths.insert(file.path.as_str()) {
            return Err(RequestError::Collision(file.path.0.clone()));
        }
    }
    for file in files {
        if let Some(parent) = file.path.parents().find(|parent| paths.contains(parent)) {
            return Err(RequestError::Collision(parent.to_owned()));
        }
    }
    let given = files.iter().map(|file| file.content.len() as u64).sum();
    if given > disk_bytes {
        return Err(RequestError::FilesTooLarge { given, limit: disk_bytes });
    }
    Ok(())
}

fn check_strings(args: &[Argument], env: &[Variable]) -> Result<(), RequestError> {
    let mut names = BTreeSet::new();
    if let Some(twice) = env.iter().find(|variable| !names.insert(variable.name())) {
        return Err(RequestError::VariableTwice(twice.name().to_owned()));
    }
    let strings = args.iter().map(Argument::as_c_string).chain(env.iter().map(Variable::as_c_string));
    if strings.map(|string| string.as_bytes().len() + 1).sum::<usize>() > MAX_STRINGS_BYTES {
        return Err(RequestError::StringsTooLong);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> WorkspacePath {
        WorkspacePath::parse(text).unwrap()
    }

    fn request(code: Option<&str>, files: &[&str], entrypoint: Option<&str>) -> ExecutionRequest {
        ExecutionRequest {
            code: code.map(str::to_owned),
            files: files.iter().map(|name| SourceFile { path: path(name), content: b"x".to_vec() }).collect(),
            entrypoint: entrypoint.map(path),
            ..ExecutionRequest::new(Target::Language("python".to_owned()))
        }
    }

    fn lay_out(code: Option<&str>, files: &[&str], entrypoint: Option<&str>) -> Result<Layout, RequestError> {
        request(code, files, entrypoint).lay_out("main.py", 1000)
    }

    #[test]
    fn paths_that_leave_the_workspace_are_refused() {
        for bad in [
            "",
            "/etc/passwd",
            "..",
            "a/../b",
            "a//b",
            "./a",
            "a/",
            "a\0b",
            &"a".repeat(256),
            &"a/".repeat(600),
        ] {
            assert!(WorkspacePath::parse(bad).is_err(), "{bad:?}");
        }
        for good in ["main.py", "a/b/c.txt", "...", "..a", "ü/日本.txt", "-rf"] {
            assert_eq!(path(good).as_str(), good);
        }
    }

    #[test]
    fn code_is_laid_at_the_entrypoint_or_the_usual_file() {
        let layout = lay_out(Some("pass"), &["data.csv"], None).unwrap();
        assert_eq!((layout.entrypoint.as_str(), layout.files.len()), ("main.py", 2));
        let layout = lay_out(Some("pass"), &[], Some("src/app.py")).unwrap();
        assert_eq!(layout.entrypoint.as_str(), "src/app.py");
        let layout = lay_out(None, &["a.py", "b.py"], Some("b.py")).unwrap();
        assert_eq!(layout.entrypoint.as_str(), "b.py");
    }

    #[test]
    fn what_cannot_be_started_is_refused() {
        assert!(matches!(lay_out(None, &[], None), Err(RequestError::Nothing)));
        assert!(matches!(lay_out(Some(""), &[], None), Err(RequestError::EmptyCode)));
        assert!(matches!(lay_out(Some("a\0"), &[], None), Err(RequestError::NulInCode(1))));
        assert!(matches!(lay_out(None, &["a.py"], None), Err(RequestError::NoEntrypoint)));
        assert!(matches!(lay_out(None, &["a.py"], Some("b.py")), Err(RequestError::UnknownEntrypoint(_))));
    }

    #[test]
    fn files_that_collide_are_refused() {
        assert!(matches!(lay_out(Some("pass"), &["main.py"], None), Err(RequestError::Collision(_))));
        assert!(
            matches!(lay_out(Some("pass"), &["a/b", "a"], None), Err(RequestError::Collision(path)) if path == "a")
        );
        assert!(lay_out(Some("pass"), &["a/b", "a/c", "ab"], None).is_ok());
    }

    #[test]
    fn files_larger_than_the_disk_are_refused() {
        let code = "x".repeat(1001);
        assert!(matches!(
            lay_out(Some(&code), &[], None),
            Err(RequestError::FilesTooLarge { given: 1001, limit: 1000 })
        ));
    }

    #[test]
    fn patterns_are_checked() {
        let parse = |patterns: &[&str]| {
            OutputFiles::parse(&patterns.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>())
        };
        assert!(parse(&["*.png", "out/**/*.csv"]).is_ok());
        assert!(matches!(parse(&["[a"]), Err(RequestError::Pattern { pattern, .. }) if pattern == "[a"));
        assert!(matches!(parse(&["x"; 33]), Err(RequestError::TooManyPatterns(33))));
    }

    #[test]
    fn variables_have_plain_names_once() {
        for bad in ["", "A=B", "A\0"] {
            assert!(Variable::parse(bad, "value").is_err(), "{bad:?}");
        }
        assert_eq!(Variable::parse("A", "b=c").unwrap().as_c_string().as_c_str(), c"A=b=c");
        let variable = Variable::parse("A", "1").unwrap();
        let mut twice = request(Some("pass"), &[], None);
        twice.env = vec![variable.clone(), variable];
        assert!(matches!(twice.lay_out("main.py", 1000), Err(RequestError::VariableTwice(_))));
    }

    proptest! {
        #[test]
        fn an_accepted_path_stays_below_the_workspace(text in "[a./\\\\\0]{0,12}") {
            if let Ok(path) = WorkspacePath::parse(&text) {
                let mut depth = 0i32;
                for component in std::path::Path::new(path.as_str()).components() {
                    match component {
                        std::path::Component::Normal(_) => depth += 1,
                        other => prop_assert!(false, "{other:?}"),
                    }
                }
                prop_assert!(depth > 0);
            }
        }
    }
}
