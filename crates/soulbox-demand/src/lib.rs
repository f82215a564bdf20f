//! How many sandboxes of a bundle shall wait for the requests to come.
//!
//! Owns the prediction: what is observed of one bundle's requests, the history of the days before, and what follows
//! for its pool. It makes no sandbox, reads no clock and opens no file: times are passed in, so that days can be
//! simulated in a moment.
//!
//! The pool is a base-stock inventory: each sandbox that is taken is ordered anew, and orders are filled when the
//! host has time. A request is served from a pool of `n` if fewer than `n` are on order when it comes. So the *depth*,
//! the number that would be on order if the pool were never empty, tells of each request which pool would have served
//! it, whatever the pool was ([`Backlog`](backlog::Backlog)); the `n`-th sandbox serves the requests that come at
//! depth `n - 1`. It is worth keeping if it does so often enough, and that alone is decided ([`worth`]): a rate, a
//! quantile and a burst size are all in the same counts, of the last minutes ([`recent`]) and of the same time on the
//! days before ([`history`]).

mod backlog;
mod demand;
mod history;
mod recent;
mod worth;

pub use demand::{Bounds, Demand, Prediction};
pub use history::{Histories, History, HistoryError};

/// The most sandboxes of one bundle that are ever thought about.
pub const MAX_DEPTH: usize = 256;
