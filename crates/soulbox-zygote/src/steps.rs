//! A fallible step of a sandbox's set-up: ties a system call's error to the step's name and item.

use soulbox_protocol::{SetupError, SetupStep};

use crate::sys::Errno;

/// Names the step that a result belongs to.
pub(crate) trait OfStep<T> {
    /// Ties an error to a step that has one item.
    fn of(self, step: SetupStep) -> Result<T, SetupError>;

    /// Ties an error to one item of a step, counted from 0.
    fn of_item(self, step: SetupStep, index: usize) -> Result<T, SetupError>;
}

impl<T> OfStep<T> for Result<T, Errno> {
    fn of(self, step: SetupStep) -> Result<T, SetupError> {
        self.of_item(step, 0)
    }

    fn of_item(self, step: SetupStep, index: usize) -> Result<T, SetupError> {
        let index = u16::try_from(index).unwrap_or(u16::MAX);
        self.map_err(|Errno(errno)| SetupError { step, index, errno })
    }
}
