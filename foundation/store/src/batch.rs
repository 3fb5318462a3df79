//! Writes as values.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::{Row, Value};

/// What a statement demands of the number of rows it touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    Any,
    /// At least one, else the batch is a conflict.
    Some,
}

#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub sql: Cow<'static, str>,
    pub params: Vec<Value>,
    pub expect: Expect,
    pub returns: bool,
    /// Inserts rows that nothing else of the batch touches.
    pub appends: bool,
    /// So many of the last parameters are amounts that are added to a row which the others name.
    pub amounts: usize,
}

impl Statement {
    fn plain(sql: Cow<'static, str>, params: Vec<Value>) -> Self {
        Self { sql, params, expect: Expect::Any, returns: false, appends: false, amounts: 0 }
    }

    /// Both add amounts to one row.
    pub fn adds_to_the_row_of(&self, other: &Self) -> bool {
        let names = |statement: &Self| statement.params.len() - statement.amounts;
        self.amounts > 0
            && self.amounts == other.amounts
            && self.sql == other.sql
            && self.params[..names(self)] == other.params[..names(other)]
    }

    pub fn add_amounts_of(&mut self, other: &Self) {
        let from = self.params.len() - self.amounts;
        for (mine, theirs) in self.params[from..].iter_mut().zip(&other.params[from..]) {
            if let (Value::Int(mine), Value::Int(theirs)) = (mine, theirs) {
                *mine = mine.saturating_add(*theirs);
            }
        }
    }

    /// Events are numbered in the order in which they become visible: where several nodes
    /// write, they are inserted last.
    pub fn is_event(&self) -> bool {
        self.sql.starts_with("INSERT INTO event ")
    }
}

/// Statements that commit together or not at all.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub(crate) statements: Vec<Statement>,
    pub(crate) has_jobs: bool,
    pub(crate) has_events: bool,
    /// What several nodes write in whatever order, in an order: see [`Batch::shares`].
    pub(crate) shared: BTreeSet<i64>,
}

/// What a committed batch answers: the rows of its `returning` statements, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    pub rows: Vec<Vec<Row>>,
}

impl Batch {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }

    /// Adds a statement that may touch any number of rows.
    pub fn run(&mut self, sql: impl Into<Cow<'static, str>>, params: Vec<Value>) -> &mut Self {
        self.statements.push(Statement::plain(sql.into(), params));
        self
    }

    /// Adds a plain `INSERT … VALUES (…)` of a row that no statement before it in the batch reads or
    /// writes: where that is cheaper, rows of many batches are inserted by one statement.
    pub fn append(&mut self, sql: impl Into<Cow<'static, str>>, params: Vec<Value>) -> &mut Self {
        let statement = Statement { appends: true, ..Statement::plain(sql.into(), params) };
        self.statements.push(statement);
        self
    }

    /// Adds an upsert that adds amounts, the last `amounts` of `params`, to a row that the others name
    /// and that nothing else of the batch touches: what many batches add may be added at once.
    pub fn tally(
        &mut self,
        sql: impl Into<Cow<'static, str>>,
        params: Vec<Value>,
        amounts: usize,
    ) -> &mut Self {
        let statement = Statement { amounts, ..Statement::plain(sql.into(), params) };
        self.statements.push(statement);
        self
    }

    /// Adds a statement that must touch a row, or the batch conflicts.
    pub fn must(&mut self, sql: impl Into<Cow<'static, str>>, params: Vec<Value>) -> &mut Self {
        let statement = Statement { expect: Expect::Some, ..Statement::plain(sql.into(), params) };
        self.statements.push(statement);
        self
    }

    /// Adds a statement with a `RETURNING` clause whose rows are in the [`Outcome`].
    pub fn returning(
        &mut self,
        sql: impl Into<Cow<'static, str>>,
        params: Vec<Value>,
    ) -> &mut Self {
        let statement = Statement { returns: true, ..Statement::plain(sql.into(), params) };
        self.statements.push(statement);
        self
    }

    /// Says that the batch adds jobs: committing it wakes the workers.
    pub fn wakes_jobs(&mut self) -> &mut Self {
        self.has_jobs = true;
        self
    }

    /// Says that the batch adds events: committing it wakes the watchers.
    pub fn wakes_events(&mut self) -> &mut Self {
        self.has_events = true;
        self
    }

    /// Says that the batch writes a row that other nodes write too, in commits with others of its
    /// kind. Such rows are locked in one order, so that nodes never wait for each other in a circle.
    pub fn shares(&mut self, row: impl Hash) -> &mut Self {
        let mut hasher = DefaultHasher::new();
        row.hash(&mut hasher);
        self.shared.insert(hasher.finish().cast_signed());
        self
    }

    /// Everything of `other`, in the same commit.
    pub fn extend(&mut self, other: Batch) -> &mut Self {
        self.statements.extend(other.statements);
        self.has_jobs |= other.has_jobs;
        self.has_events |= other.has_events;
        self.shared.extend(other.shared);
        self
    }
}
