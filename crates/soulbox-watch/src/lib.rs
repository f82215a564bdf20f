//! Whether a server keeps what it promises, and whether it is as it was.
//!
//! Owns objectives with their error budgets ([`slo`]), the detection of changes for the worse ([`change`]), and the
//! alerts that follow from both ([`alerts`]). It reads no clock, opens no file, starts no thread and knows no HTTP:
//! times are passed in, so that weeks can be simulated in a moment.
//!
//! ```text
//! Observation ──► Watch ──► slo: good and bad, by the minute ──► burn rates ─┐
//!                   │                                                        ├─► alerts ──► who is to be told
//!                   └─────► change: blocks ──► ranks ──► CUSUM ──────────────┘
//! ```

pub mod alerts;
pub mod change;
mod observation;
mod saved;
pub mod slo;
mod watch;

pub use observation::{Observation, Started, Verdict};
pub use saved::SavedError;
pub use watch::{Config, Watch};
