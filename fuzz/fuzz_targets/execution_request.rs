//! The body of `POST /v1/executions`: a line with its content type, then the body. What is accepted can be laid out
//! within the workspace, and handed to a sandbox.

#![no_main]

use std::collections::BTreeSet;
use std::ffi::CString;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use soulbox_api::fuzzing::read_execution;
use soulbox_engine::{LimitPolicy, fuzzing::lay_out};
use soulbox_protocol::{Program, ProgramEncoder};
use tokio::runtime::{Builder, Runtime};

/// Small, so that it is met.
const MAX_BODY: usize = 4096;
const DISK: u64 = 1000;

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime needs nothing"));

fuzz_target!(|bytes: &[u8]| {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return };
    let (content_type, body) = (&bytes[..end], &bytes[end + 1..]);
    let Ok(content_type) = content_type.try_into() else { return };
    let result = RUNTIME.block_on(read_execution(content_type, body.to_vec(), MAX_BODY));
    let mut request = match result {
        Ok(request) => request,
        Err((status, detail)) => {
            assert!(matches!(status, 400 | 413 | 415) && !detail.is_empty(), "{status} {detail}");
            return;
        }
    };
    assert!(body.len() <= MAX_BODY);
    let policy = LimitPolicy::default();
    if let Ok(limits) = policy.resolve(&request.limits) {
        assert!(limits.wall_time <= policy.maximum.wall_time && limits.cpu_time <= policy.maximum.cpu_time);
        assert!(limits.memory_bytes <= policy.maximum.memory_bytes && limits.cpus <= policy.maximum.cpus);
    }
    let Ok((files, entrypoint)) = lay_out(&mut request, "main.py", DISK) else { return };
    let paths: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths.len(), files.len());
    assert!(paths.contains(entrypoint.as_str()));
    assert!(files.iter().map(|file| file.content.len() as u64).sum::<u64>() <= DISK);

    let mut encoder = ProgramEncoder::new([], []).expect("it is empty");
    for file in &files {
        let path = file.path.as_str();
        assert!(!path.starts_with('/') && path.split('/').all(|part| !matches!(part, "" | "." | "..")));
        assert!(
            path.match_indices('/').all(|(at, _)| !paths.contains(&path[..at])),
            "a file is no directory"
        );
        let path = CString::new(path).expect("a path has no NUL");
        encoder.file(&path, &file.content).expect("it is small");
    }
    let encoded = encoder.finish();
    let program = Program::parse(&encoded).expect("it was encoded");
    assert!(
        program.files().zip(&files).all(|(read, file)| read.is_ok_and(|read| read.content == file.content))
    );
});
