//! Has the suite embedded again when a file of it comes or goes; the macro that embeds it sees changes alone.

#![allow(clippy::print_stdout, reason = "how cargo is told")]

fn main() {
    println!("cargo::rerun-if-changed=../../tests/hostile");
}
