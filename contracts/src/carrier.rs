//! What a carrier remembers.

use crate::BoxFuture;

/// The notes cannot be read or written now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotesError(pub String);

impl std::fmt::Display for NotesError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotesError {}

/// A carrier's own durable notes: keyed text, sorted by key. A carrier needs no
/// SQL and reaches no account's rows.
pub trait CarrierNotes: Send + Sync {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, NotesError>>;

    /// Writes durably, replacing what was there.
    fn put<'a>(&'a self, key: &'a str, value: String) -> BoxFuture<'a, Result<(), NotesError>> {
        self.put_all(vec![(key.to_owned(), value)])
    }

    /// Writes all of them, or none.
    fn put_all(&self, notes: Vec<(String, String)>) -> BoxFuture<'_, Result<(), NotesError>>;

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), NotesError>>;

    /// At most `limit` notes whose key begins with `prefix`, greatest key first.
    fn newest<'a>(
        &'a self,
        prefix: &'a str,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<(String, String)>, NotesError>>;

    /// Waits until no other node changes what is called so; until the turn is dropped. Where there
    /// is one node there is nothing to wait for.
    fn turn<'a>(&'a self, what: &'a str) -> BoxFuture<'a, Result<Turn, NotesError>> {
        let _ = what;
        Box::pin(async { Ok(Turn::default()) })
    }
}

/// Held while a node changes something alone.
#[derive(Default)]
pub struct Turn(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Turn {
    /// `over` is told when it is over.
    pub fn new(over: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(over)))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(over) = self.0.take() {
            over();
        }
    }
}

/// A parameter of a carrier's configuration that cannot be used: which, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub String);

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}
