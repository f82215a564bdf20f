//! The last step of a container's init process: its seccomp filter, and execve(2).
//!
//! Owns the enforcement of `linux.seccomp` for containers that have it in their configuration, since
//! libcontainer is built without libseccomp here. A zygote's configuration has none: the code inside it
//! installs the filters of each sandbox.

use std::io::{self, Write};

use libcontainer::oci_spec::runtime::Spec;
use libcontainer::workload::default::DefaultExecutor;
use libcontainer::workload::{Executor, ExecutorError, ExecutorValidationError};

use crate::error_chain::error_chain;
use crate::seccomp::Filters;

/// Executes the process of a container under the filter of its configuration.
#[derive(Clone)]
pub(crate) struct SeccompExecutor;

impl Executor for SeccompExecutor {
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let result = install(spec).and_then(|()| DefaultExecutor {}.exec(spec));
        if let Err(error) = &result {
            // This goes to the container's log, since nobody asks this process for the reason any more.
            let _ = writeln!(io::stderr(), "{}", error_chain(error));
        }
        result
    }

    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        DefaultExecutor {}.validate(spec)
    }
}

fn install(spec: &Spec) -> Result<(), ExecutorError> {
    let Some(profile) = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref()) else {
        return Ok(());
    };
    let filters = Filters::compile(profile).map_err(|error| ExecutorError::Execution(error.into()))?;
    filters.install().map_err(|error| ExecutorError::Execution(error.into()))
}
