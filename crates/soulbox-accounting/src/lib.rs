//! Accounts: what every execution used, kept in an embedded database, and what it cost.
//!
//! Owns the store and the thread that alone writes to it, how long what is kept, the sums by minute, hour and day, and
//! the answers to what is asked of them. It knows neither HTTP nor the engine, and whoever hands in a record never waits:
//! one that cannot be kept is counted as lost.
//!
//! ```text
//! Accounts::record ──► bounded queue ──► writer thread ──► SQLite: executions, sums by minute, hour, day
//!                          │ full: lost, by reason             ▲
//!                          ▼                                   │ a connection of its own
//!                       metrics            Accounts::query ────┘
//! ```
//!
//! Several servers may share one store. Each writes whole batches in a transaction, and SQLite's write-ahead log keeps
//! them apart.

mod accounts;
mod aside;
mod clock;
mod config;
mod error;
mod labels;
mod losses;
mod plan;
mod prices;
mod query;
mod record;
mod resolution;
mod schema;
mod sketch;
mod store;
mod sums;
mod writer;

pub use accounts::{Accounts, State};
pub use config::{AccountsConfig, ConfigError, Retention};
pub use error::{AccountsError, QueryError};
pub use losses::{LossReason, Losses};
pub use prices::Prices;
pub use query::{Answer, Group, Query, Scope};
pub use record::{Figures, Record, Times};
pub use resolution::{Dimension, Resolution, UnknownName};
pub use sketch::Sketch;
pub use sums::Sums;
