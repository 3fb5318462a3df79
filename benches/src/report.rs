//! What a run prints, kept for the page of results, and the figures that its verdicts compare.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

static TEXT: Mutex<String> = Mutex::new(String::new());
static FIGURES: Mutex<BTreeMap<String, f64>> = Mutex::new(BTreeMap::new());

/// Prints a line, and keeps it.
macro_rules! say {
    ($($arg:tt)*) => { $crate::report::line(&format!($($arg)*)) };
}
pub(crate) use say;

pub fn line(text: &str) {
    println!("{text}");
    let mut all = TEXT.lock().unwrap_or_else(PoisonError::into_inner);
    all.push_str(text);
    all.push('\n');
}

/// What was said since the last time.
pub fn take() -> String {
    std::mem::take(&mut *TEXT.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Keeps a figure by its name.
pub fn figure(name: &str, value: f64) {
    FIGURES.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), value);
}

/// A figure of this run; none where its part did not run.
pub fn get(name: &str) -> Option<f64> {
    FIGURES.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied()
}
