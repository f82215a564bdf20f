//! What programs will use of memory and processors, and what a machine can do with that.
//!
//! Owns what is learnt of programs from how they ended (`Learner`), how much memory is set aside for the next one
//! (`Prediction`), what a run costs (`Costs`), and what follows for the load that a machine can take
//! (`answer`). It runs nothing, reads no clock and opens no file: times are passed in, so that hours can be
//! simulated in a moment.

mod capacity;
mod costs;
mod learner;
mod queueing;
mod regression;
mod sketch;

pub use capacity::{Answer, Asked, Here, Language, Machine, Needed, Point, Refused, answer, maximum_rps};
pub use costs::{Cost, Costs, Ended, Used};
pub use learner::{Known, Learner, Policy, Prediction, ProgramKey};
pub use queueing::{Queueing, Station};
pub use sketch::{Sketch, UpperBound};
