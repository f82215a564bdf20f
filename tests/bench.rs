//! `soulbox bench` against real servers, and against stubs that behave badly.
