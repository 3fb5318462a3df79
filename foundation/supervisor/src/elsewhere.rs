//! Platforms without seccomp user notification, or on which nobody has tried it.

use std::convert::Infallible;
use std::io;
use std::process::{Child, Command};

use crate::{Caller, Facts, Method, Rules, Unsupported};

const WHY: &str = "supervising a program takes Linux on x86-64 or ARM64";

/// A supervised program, of which there is none here.
pub struct Supervised(Infallible);

/// Always fails.
pub fn probe() -> Result<Method, Unsupported> {
    Err(Unsupported(WHY.to_owned()))
}

/// Always fails.
pub fn spawn(_: Command, _: Rules, _: Method) -> io::Result<Supervised> {
    Err(io::Error::new(io::ErrorKind::Unsupported, WHY))
}

impl Supervised {
    pub fn child(&mut self) -> &mut Child {
        match self.0 {}
    }

    pub fn facts(&self) -> Facts {
        match self.0 {}
    }

    pub fn behind(&self, _port: u16) -> Option<Caller> {
        match self.0 {}
    }

    pub fn is_over(&self) -> bool {
        match self.0 {}
    }
}
