//! The writer thread.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use super::log::Log;
use super::{bind, collect};
use crate::batch::{Expect, Statement};
use crate::intake::{Intake, Write};
use crate::{Batch, Outcome, StoreError};

/// Starts the thread; it ends with the queue.
pub(super) fn start(path: &Path, queue: Intake) -> Result<(), StoreError> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    // What is committed is made durable, and the log emptied, by threads of their own.
    connection.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;
         PRAGMA temp_store=MEMORY; PRAGMA cache_size=-65536;",
    )?;
    connection.set_prepared_statement_cache_capacity(256);
    let log = Log::start(path, &mut connection)?;
    super::thread("store-writer", move || write_groups(connection, queue, &log))
}

/// Takes what is queued, commits it once, and lets everybody be answered when it is durable.
fn write_groups(mut connection: Connection, mut queue: Intake, log: &Log) {
    loop {
        let group = queue.blocking_group();
        if group.is_empty() {
            return;
        }
        let outcomes = match write_group(&mut connection, &group) {
            Ok(outcomes) => outcomes,
            Err(error) => group.iter().map(|_| Err(error.clone())).collect(),
        };
        let replies = group.into_iter().map(|write| write.reply);
        log.answer_when_durable(replies.zip(outcomes).collect());
        log.keep_short(&connection);
    }
}

/// One transaction around the group. When a batch is refused everything is undone
/// and tried again with a savepoint around each, so that only that one fails.
fn write_group(
    connection: &mut Connection,
    group: &[Write],
) -> Result<Vec<Result<Outcome, StoreError>>, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let together: Result<Vec<_>, StoreError> =
        group.iter().map(|write| write_batch(&transaction, &write.batch).map(Ok)).collect();
    if let Ok(outcomes) = together {
        transaction.commit()?;
        return Ok(outcomes);
    }
    transaction.rollback()?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut outcomes = Vec::with_capacity(group.len());
    for write in group {
        transaction.prepare_cached("SAVEPOINT batch")?.execute([])?;
        let outcome = write_batch(&transaction, &write.batch);
        if outcome.is_err() {
            transaction.prepare_cached("ROLLBACK TO batch")?.execute([])?;
        }
        transaction.prepare_cached("RELEASE batch")?.execute([])?;
        outcomes.push(outcome);
    }
    transaction.commit()?;
    Ok(outcomes)
}

fn write_batch(connection: &Connection, batch: &Batch) -> Result<Outcome, StoreError> {
    let mut outcome = Outcome::default();
    for Statement { sql, params, expect, returns, .. } in &batch.statements {
        let mut prepared = connection.prepare_cached(sql)?;
        bind(&mut prepared, params)?;
        if *returns {
            outcome.rows.push(collect(&mut prepared)?);
        } else if prepared.raw_execute()? == 0 && *expect == Expect::Some {
            return Err(StoreError::Conflict);
        }
    }
    Ok(outcome)
}
