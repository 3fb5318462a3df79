//! `offhook`: the communications platform you run yourself.
//!
//! This crate is the command line, the configuration and the wiring; it decides
//! nothing about messages, calls or accounts. The library exists for the binary,
//! and for the tests that start a whole platform in their own process.

pub mod cli;
pub mod config;
mod interception;
pub mod server;
