//! The writer thread.

use std::path::Path;

use rusqlite::Connection;

use super::log::Log;
use super::{bind, collect, prepare};
use crate::batch::{Expect, Statement};
use crate::intake::{Intake, Write};
use crate::{Batch, Outcome, StoreError};

/// Starts the thread; it ends with the queue.
pub(super) fn start(path: &Path, queue: Intake) -> Result<(), StoreError> {
    let mut connection = Connection::open(path)?;
    prepare(&connection)?;
    // What is committed is made durable, and the log emptied, by threads of their own.
    // Of what is committed SQLite looks through all pages that it keeps: 8 MiB of them, so that this
    // costs little; the rest is in the page cache of the system.
    connection.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;
         PRAGMA temp_store=MEMORY; PRAGMA cache_size=-8192;",
    )?;
    connection.set_prepared_statement_cache_capacity(256);
    let log = Log::start(path, &mut connection)?;
    super::thread("store-writer", move || write_groups(connection, queue, &log))
}

/// Takes what is queued, commits it once, and lets everybody be answered when it is durable.
fn write_groups(connection: Connection, mut queue: Intake, log: &Log) {
    loop {
        let group = queue.blocking_group();
        if group.is_empty() {
            return;
        }
        let outcomes = match write_group(&connection, &group) {
            Ok(outcomes) => outcomes,
            Err(error) => group.iter().map(|_| Err(error.clone())).collect(),
        };
        log.answer_when_durable(group.into_iter().zip(outcomes).collect());
        log.keep_short(&connection);
    }
}

/// One transaction around the group. When a batch is refused everything is undone
/// and tried again with a savepoint around each, so that only that one fails.
fn write_group(
    connection: &Connection,
    group: &[Write],
) -> Result<Vec<Result<Outcome, StoreError>>, StoreError> {
    let together = in_transaction(connection, || {
        group.iter().map(|write| write_batch(connection, &write.batch).map(Ok)).collect()
    });
    match together {
        // A refusal is one batch's; the disk's and the lock's faults are everybody's.
        Err(StoreError::Unavailable(why)) => Err(StoreError::Unavailable(why)),
        Err(_) => in_transaction(connection, || write_each(connection, group)),
        done => done,
    }
}

fn write_each(
    connection: &Connection,
    group: &[Write],
) -> Result<Vec<Result<Outcome, StoreError>>, StoreError> {
    let mut outcomes = Vec::with_capacity(group.len());
    for write in group {
        run(connection, "SAVEPOINT batch")?;
        let outcome = write_batch(connection, &write.batch);
        if outcome.is_err() {
            run(connection, "ROLLBACK TO batch")?;
        }
        run(connection, "RELEASE batch")?;
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// Commits what `work` has written, or undoes it.
fn in_transaction<T>(
    connection: &Connection,
    work: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    run(connection, "BEGIN IMMEDIATE")?;
    let done = work().and_then(|done| run(connection, "COMMIT").map(|()| done));
    // Some faults have undone everything already.
    if done.is_err() && !connection.is_autocommit() {
        run(connection, "ROLLBACK")?;
    }
    done
}

fn run(connection: &Connection, sql: &str) -> Result<(), StoreError> {
    connection.prepare_cached(sql)?.raw_execute()?;
    Ok(())
}

fn write_batch(connection: &Connection, batch: &Batch) -> Result<Outcome, StoreError> {
    let mut outcome = Outcome::default();
    for Statement { sql, params, expect, returns, .. } in &batch.statements {
        let mut prepared = connection.prepare_cached(sql)?;
        bind(&mut prepared, sql, params)?;
        if *returns {
            outcome.rows.push(collect(&mut prepared)?);
        } else if prepared.raw_execute()? == 0 && *expect == Expect::Some {
            return Err(StoreError::Conflict);
        }
    }
    Ok(outcome)
}
