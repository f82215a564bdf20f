//! Attacks on the sandbox: hostile programs, and the judge that runs them and says whether they were held.
//!
//! Owns the suite of `tests/hostile`, the format of its headers, what a hostile program is told of the host, and
//! the verdict. It runs programs as any client of the engine does, and makes no system call of its own: what it
//! finds, it finds from where an attacker and an operator stand.

mod attack;
mod error;
mod header;
mod host;
mod judge;
mod suite;
mod syscalls;

pub use attack::{Attack, Group, Right};
pub use error::{JudgeError, SuiteError};
pub use judge::{Judge, Judgement, Verdict};
pub use suite::suite;
pub use syscalls::expected_calls;
