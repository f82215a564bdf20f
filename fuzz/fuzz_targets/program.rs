//! A job's program as it lies in memory: it is refused, or it is what the encoder makes of its parts.

#![no_main]

use std::ffi::CStr;

use libfuzzer_sys::fuzz_target;
use soulbox_protocol::{Program, ProgramEncoder};

fuzz_target!(|bytes: &[u8]| {
    let Ok(program) = Program::parse(bytes) else { return };
    let strings = program.strings().split_inclusive(|byte| *byte == 0);
    let strings: Vec<&CStr> = strings
        .map(|string| CStr::from_bytes_with_nul(string).expect("each is ended by its only NUL"))
        .collect();
    assert_eq!(strings.len(), program.arg_count() + program.variable_count());
    let (args, variables) = strings.split_at(program.arg_count());

    let mut encoder = ProgramEncoder::new(args.iter().copied(), variables.iter().copied())
        .expect("it was no larger before");
    for file in program.files() {
        let Ok(file) = file else { return };
        encoder.file(file.path, file.content).expect("it was no larger before");
    }
    // What follows the last file is nobody's.
    assert!(bytes.starts_with(&encoder.finish()));
});
