//! The types of the wire: what JSON clients send and get, and how it becomes the engine's types and back.
//!
//! Owns the shape of version 1 of the API. The engine's types never leave or enter unconverted.

mod accounting;
mod alerts;
mod bundle;
mod capacity;
mod compilation;
mod content;
mod execution;
mod figures;
mod file;
mod language;
mod limits;
mod listing;
mod live;
mod number;
mod request;
mod slo;
mod state;

pub(crate) use accounting::Accounting;
pub(crate) use alerts::{AlertList, notice};
pub(crate) use bundle::{Bundle, BundleList};
pub(crate) use capacity::Capacity;
pub(crate) use execution::Execution;
pub use execution::execution_json;
pub(crate) use language::{Health, LanguageList};
pub(crate) use listing::{ExecutionList, ListExecutions};
pub(crate) use live::Live;
pub(crate) use request::{CreateExecution, InvalidRequest};
pub(crate) use slo::Slo;

fn rfc_3339(time: std::time::SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}
