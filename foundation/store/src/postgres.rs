//! PostgreSQL: one writer task with pipelined group commit, pipelined readers.
//!
//! Rows that batches append ([`Batch::append`]) are inserted by one statement for many of them.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as SyncMutex};
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use tokio::sync::{Mutex, mpsc};
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, NoTls, Statement as Prepared};

use crate::batch::{Expect, Statement};
use crate::intake::{self, Intake, Write};
use crate::{Batch, Outcome, Row, StoreError, Value};

mod migrations {
    refinery::embed_migrations!("migrations/postgres");
}

/// Reader connections; each carries many statements at once.
const READERS: usize = 4;
/// "offhook" in the low bytes: serialises migrations of several nodes.
const MIGRATION_LOCK: i64 = 0x006f_6666_686f_6f6b;

/// Taken by whoever numbers events, until the commit: who reads by number misses none.
const EVENTS_IN_ORDER: &str = "SELECT pg_advisory_xact_lock(hashtextextended('offhook.event', 0))";
/// Rows of one insert at most.
const ROWS_MAX: usize = 64;
/// Rows after which the planner is left to the server's own daemon.
const GROWN: usize = 100_000;
/// How often a transaction is tried that lost to another node's.
const TRIES: u32 = 5;
const BETWEEN_TRIES: Duration = Duration::from_millis(5);

pub(crate) struct Postgres {
    writer: mpsc::Sender<Write>,
    readers: Vec<Connection>,
    next_reader: AtomicUsize,
}

impl Postgres {
    /// The schema must be up to date.
    pub fn open(url: &str) -> Self {
        let (writer, queue) = intake::channel();
        tokio::spawn(write_groups(Connection::new(url), queue));
        let readers = (0..READERS).map(|_| Connection::new(url)).collect();
        Self { writer, readers, next_reader: AtomicUsize::new(0) }
    }

    pub async fn commit(&self, batch: Batch, background: bool) -> Result<Outcome, StoreError> {
        intake::submit(&self.writer, batch, background).await
    }

    pub async fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Row>, StoreError> {
        let at = self.next_reader.fetch_add(1, Ordering::Relaxed) % self.readers.len();
        let session = self.readers[at].session().await?;
        session.rows(sql, params).await
    }
}

/// Brings the schema up to date, one node after the other.
pub(crate) async fn migrate(url: &str) -> Result<(), StoreError> {
    let (mut client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    client.execute("SELECT pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await?;
    // A node of an older version finds migrations of a newer one, and runs with them.
    let runner = migrations::migrations::runner().set_abort_missing(false);
    let ran = runner.run_async(&mut client).await;
    client.execute("SELECT pg_advisory_unlock($1)", &[&MIGRATION_LOCK]).await?;
    ran.map_err(|error| StoreError::Failed(format!("migration: {error}")))?;
    crate::schema::check(&missing(url).await?)
}

/// What of the schema is missing.
pub(crate) async fn missing(url: &str) -> Result<Vec<String>, StoreError> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    let known =
        client.query("SELECT to_regclass('refinery_schema_history') IS NOT NULL", &[]).await?;
    let mut applied: Vec<i32> = Vec::new();
    if known.first().is_some_and(|row| row.get(0)) {
        let rows = client.query("SELECT version FROM refinery_schema_history", &[]).await?;
        applied.extend(rows.iter().map(|row| row.get::<_, i32>(0)));
    }
    Ok(crate::schema::names_without(migrations::migrations::runner().get_migrations(), &applied))
}

/// A connection that is made when needed and made again when it broke.
struct Connection {
    url: String,
    session: Mutex<Option<Arc<Session>>>,
}

/// One open connection and its prepared statements.
struct Session {
    client: Client,
    prepared: SyncMutex<HashMap<String, Prepared>>,
}

impl Connection {
    fn new(url: &str) -> Self {
        Self { url: url.to_owned(), session: Mutex::new(None) }
    }

    async fn session(&self) -> Result<Arc<Session>, StoreError> {
        let mut slot = self.session.lock().await;
        if let Some(session) = slot.as_ref().filter(|session| !session.client.is_closed()) {
            return Ok(session.clone());
        }
        let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::warn!(%error, "a database connection broke");
            }
        });
        let session = Arc::new(Session { client, prepared: SyncMutex::default() });
        *slot = Some(session.clone());
        Ok(session)
    }
}

/// A statement of a batch, prepared.
struct Ready<'a> {
    statement: Cow<'a, Statement>,
    prepared: Prepared,
}

/// Statements of a group in the order in which they are sent: what is appended first, many rows at
/// once, and events last. What is added to one row is added at once.
fn in_order<'a>(batches: &[&'a Batch]) -> Vec<Cow<'a, Statement>> {
    let all = || batches.iter().flat_map(|batch| &batch.statements);
    let mut rows: Vec<(&str, Vec<&Statement>)> = Vec::new();
    for statement in all().filter(|statement| statement.appends && !statement.is_event()) {
        match rows.iter_mut().find(|(sql, _)| *sql == statement.sql) {
            Some((_, rows)) => rows.push(statement),
            None => rows.push((&statement.sql, vec![statement])),
        }
    }
    let mut ordered: Vec<_> = rows.iter().flat_map(|(_, rows)| joined(rows)).collect();
    for statement in all().filter(|statement| !statement.appends) {
        let adds = statement.amounts > 0;
        match ordered.iter_mut().find(|known| adds && known.adds_to_the_row_of(statement)) {
            Some(known) => known.to_mut().add_amounts_of(statement),
            None => ordered.push(Cow::Borrowed(statement)),
        }
    }
    // In their order, which their numbers show.
    let events: Vec<&Statement> = all().filter(|statement| statement.is_event()).collect();
    for alike in events.chunk_by(|a, b| a.sql == b.sql) {
        ordered.extend(joined(alike));
    }
    ordered
}

/// Inserts of one row each as inserts of many: of powers of two, so that few texts are prepared.
fn joined<'a>(mut rows: &[&'a Statement]) -> Vec<Cow<'a, Statement>> {
    let mut statements = Vec::new();
    while !rows.is_empty() {
        let count = (1 << rows.len().ilog2()).min(ROWS_MAX);
        let (now, rest) = rows.split_at(count);
        rows = rest;
        statements.push(match now {
            [one] => Cow::Borrowed(*one),
            [first, ..] => Cow::Owned(Statement {
                sql: times(&first.sql, first.params.len(), count).into(),
                params: now.iter().flat_map(|row| row.params.iter().cloned()).collect(),
                ..(*first).clone()
            }),
            [] => continue,
        });
    }
    statements
}

/// `INSERT … VALUES ($1, …)` with so many rows instead of the one.
fn times(insert: &str, params: usize, count: usize) -> String {
    let (head, row) = insert.split_once("VALUES ").unwrap_or((insert, ""));
    let pieces: Vec<&str> = row.split('$').collect();
    let mut sql = format!("{head}VALUES ");
    for at in 0..count {
        sql.push_str(if at == 0 { "" } else { ", " });
        sql.push_str(pieces[0]);
        for piece in &pieces[1..] {
            let digits = piece.len() - piece.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let number: usize = piece[..digits].parse().unwrap_or(0);
            let _ = write!(sql, "${}{}", number + at * params, &piece[digits..]);
        }
    }
    sql
}

impl Session {
    async fn prepare(&self, sql: &str) -> Result<Prepared, StoreError> {
        let known = self.prepared.lock().unwrap_or_else(|p| p.into_inner()).get(sql).cloned();
        if let Some(prepared) = known {
            return Ok(prepared);
        }
        let prepared = self.client.prepare(sql).await?;
        let mut cache = self.prepared.lock().unwrap_or_else(|p| p.into_inner());
        if cache.len() >= 512 {
            cache.clear();
        }
        cache.insert(sql.to_owned(), prepared.clone());
        Ok(prepared)
    }

    async fn rows(&self, sql: &str, params: &[Value]) -> Result<Vec<Row>, StoreError> {
        let prepared = self.prepare(sql).await?;
        let rows = self.client.query(&prepared, &refs(params)).await?;
        rows.iter().map(row).collect()
    }

    /// Statements that are prepared, sent without waiting in between.
    async fn pipeline(&self, statements: &[&Ready<'_>]) -> Result<Vec<Vec<Row>>, StoreError> {
        let answers = join_all(statements.iter().map(|Ready { statement, prepared }| {
            let params = refs(&statement.params);
            async move {
                if statement.returns {
                    let rows = self.client.query(prepared, &params).await?;
                    return rows.iter().map(row).collect();
                }
                let touched = self.client.execute(prepared, &params).await?;
                if touched == 0 && statement.expect == Expect::Some {
                    return Err(StoreError::Conflict);
                }
                Ok(Vec::new())
            }
        }))
        .await;
        answers.into_iter().collect()
    }

    /// One transaction around `batches`; any refusal undoes all of them.
    async fn transact(&self, batches: &[&Batch]) -> Result<Vec<Outcome>, StoreError> {
        let ready = try_join_all(in_order(batches).into_iter().map(|statement| async move {
            let prepared = self.prepare(&statement.sql).await?;
            Ok::<_, StoreError>(Ready { statement, prepared })
        }))
        .await?;
        let (events, others): (Vec<_>, Vec<_>) =
            ready.iter().partition(|ready| ready.statement.is_event());
        let begin = begin(batches);
        let begin = self.client.batch_execute(&begin);
        let changes = self.pipeline(&others);
        let number = async {
            match events.is_empty() {
                true => Ok(()),
                // Whoever has the lock commits before the next gets numbers.
                false => self.client.batch_execute(EVENTS_IN_ORDER).await,
            }
        };
        let (begun, changed, numbered, told) =
            futures_util::join!(begin, changes, number, self.pipeline(&events));
        let done = begun.and(numbered).map_err(StoreError::from);
        let changed = match changed.and_then(|rows| done.and(told).map(|_| rows)) {
            Ok(changed) => changed,
            Err(error) => {
                self.client.batch_execute("ROLLBACK").await?;
                return Err(error);
            }
        };
        self.client.batch_execute("COMMIT").await?;
        let mut changed = others.iter().zip(changed).filter(|(ready, _)| ready.statement.returns);
        let outcome = |batch: &&Batch| {
            let returning = batch.statements.iter().filter(|statement| statement.returns).count();
            Outcome { rows: changed.by_ref().take(returning).map(|(_, rows)| rows).collect() }
        };
        Ok(batches.iter().map(outcome).collect())
    }
}

/// Begins a transaction with the locks of what others write too, in one order for all nodes.
fn begin(batches: &[&Batch]) -> String {
    let shared: BTreeSet<i64> = batches.iter().flat_map(|batch| &batch.shared).copied().collect();
    if shared.is_empty() {
        return "BEGIN".to_owned();
    }
    let rows: Vec<String> = shared.iter().map(|key| format!("({key})")).collect();
    format!(
        "BEGIN; SELECT pg_advisory_xact_lock(key) FROM (VALUES {}) AS shared (key)",
        rows.join(",")
    )
}

/// The writer task. A group is tried as one transaction; when anything in it is
/// refused, each batch is tried alone, so that one conflict fails one caller.
async fn write_groups(connection: Connection, mut queue: Intake) {
    let mut growth = Growth::default();
    loop {
        let group = queue.group().await;
        if group.is_empty() {
            return;
        }
        let outcomes = write_group(&connection, &group).await;
        growth.note(&group, &connection.url);
        for (write, outcome) in group.into_iter().zip(outcomes) {
            write.answer(outcome);
        }
    }
}

/// What was appended since the start, so that the planner learns of tables that grow from nothing:
/// its own daemon looks every minute, and until then a look-up by key may read all of an account.
#[derive(Default)]
struct Growth {
    rows: usize,
    analyzed: usize,
    tables: BTreeSet<String>,
}

impl Growth {
    fn note(&mut self, group: &[Write], url: &str) {
        let statements = group.iter().flat_map(|write| &write.batch.statements);
        for statement in statements.filter(|statement| statement.appends) {
            self.rows += 1;
            if let Some(table) = statement.sql.split_whitespace().nth(2)
                && !self.tables.contains(table)
            {
                self.tables.insert(table.to_owned());
            }
        }
        if self.analyzed < GROWN && self.rows >= (self.analyzed * 4).max(GROWN / 256) {
            self.analyzed = self.rows;
            let tables: Vec<&str> = self.tables.iter().map(String::as_str).collect();
            let (sql, connection) =
                (format!("ANALYZE {}", tables.join(", ")), Connection::new(url));
            tokio::spawn(async move {
                let analyzed = match connection.session().await {
                    Ok(session) => session.client.batch_execute(&sql).await.map_err(Into::into),
                    Err(error) => Err(error),
                };
                if let Err(error) = analyzed {
                    tracing::debug!(%error, "the planner has not learnt of new rows");
                }
            });
        }
    }
}

async fn write_group(connection: &Connection, group: &[Write]) -> Vec<Result<Outcome, StoreError>> {
    let session = match connection.session().await {
        Ok(session) => session,
        Err(error) => return group.iter().map(|_| Err(error.clone())).collect(),
    };
    let batches: Vec<&Batch> = group.iter().map(|write| &write.batch).collect();
    match session.insist(&batches).await {
        Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
        Err(error) if group.len() == 1 || session.client.is_closed() => {
            group.iter().map(|_| Err(error.clone())).collect()
        }
        Err(_) => {
            let mut outcomes = Vec::with_capacity(group.len());
            for batch in batches {
                let alone = session.insist(&[batch]).await;
                outcomes.push(alone.map(|mut outcomes| outcomes.remove(0)));
            }
            outcomes
        }
    }
}

impl Session {
    /// A transaction that lost to another node's (a deadlock, a serialisation failure) left
    /// nothing behind and is tried again.
    async fn insist(&self, batches: &[&Batch]) -> Result<Vec<Outcome>, StoreError> {
        let mut tries = 1;
        loop {
            match self.transact(batches).await {
                Err(StoreError::Unavailable(why)) if tries < TRIES && !self.client.is_closed() => {
                    tracing::debug!(%why, "a transaction is tried again");
                    tokio::time::sleep(BETWEEN_TRIES * tries).await;
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }
}

fn refs(params: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    params.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

impl ToSql for Value {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Value::Null => Ok(IsNull::Yes),
            Value::Int(int) if *ty == Type::INT4 => i32::try_from(*int)?.to_sql(ty, out),
            Value::Int(int) if *ty == Type::INT8 => int.to_sql(ty, out),
            Value::Real(real) if *ty == Type::FLOAT8 => real.to_sql(ty, out),
            Value::Text(text) if <&str as ToSql>::accepts(ty) => text.as_str().to_sql(ty, out),
            Value::Blob(bytes) if *ty == Type::BYTEA => bytes.as_slice().to_sql(ty, out),
            other => Err(format!("{other:?} given where {ty} is wanted").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn row(row: &tokio_postgres::Row) -> Result<Row, StoreError> {
    let mut values = Vec::with_capacity(row.len());
    for (at, column) in row.columns().iter().enumerate() {
        let ty = column.type_();
        let value = match *ty {
            Type::INT8 => row.try_get::<_, Option<i64>>(at)?.into(),
            Type::INT4 => row.try_get::<_, Option<i32>>(at)?.map(i64::from).into(),
            Type::BOOL => row.try_get::<_, Option<bool>>(at)?.into(),
            Type::FLOAT8 => row.try_get::<_, Option<f64>>(at)?.into(),
            Type::BYTEA => row.try_get::<_, Option<Vec<u8>>>(at)?.into(),
            _ => row.try_get::<_, Option<String>>(at)?.into(),
        };
        values.push(value);
    }
    Ok(Row(values))
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        let text = match error.as_db_error() {
            Some(db) => db.to_string(),
            None => {
                error.source().map_or_else(|| error.to_string(), |why| format!("{error}: {why}"))
            }
        };
        match error.code() {
            Some(&tokio_postgres::error::SqlState::UNIQUE_VIOLATION) => Self::Duplicate(text),
            // Lost to another transaction; out of resources; shutting down; the connection.
            Some(code) if ["40", "53", "57", "08"].iter().any(|c| code.code().starts_with(c)) => {
                Self::Unavailable(text)
            }
            Some(_) => Self::Failed(text),
            None if error.is_closed() || is_of_the_socket(&error) => Self::Unavailable(text),
            None => Self::Failed(text),
        }
    }
}

/// The server was not reached, or broke off.
fn is_of_the_socket(error: &tokio_postgres::Error) -> bool {
    error.source().is_some_and(|why| why.is::<std::io::Error>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_many_batches_are_inserted_by_few_statements() {
        let insert = "INSERT INTO t (a, b, c) VALUES ($1, $2, $2)";
        let batches: Vec<Batch> = (0i64..7)
            .map(|at| {
                let mut batch = Batch::new();
                batch.run("DELETE FROM u WHERE a = $1", vec![at.into()]);
                batch.append(insert, vec![at.into(), (at * 10).into()]);
                batch
            })
            .collect();
        let ordered = in_order(&batches.iter().collect::<Vec<_>>());
        let texts: Vec<&str> = ordered.iter().map(|statement| &*statement.sql).collect();
        let four = "INSERT INTO t (a, b, c) VALUES ($1, $2, $2), ($3, $4, $4), ($5, $6, $6), \
                    ($7, $8, $8)";
        let two = "INSERT INTO t (a, b, c) VALUES ($1, $2, $2), ($3, $4, $4)";
        assert_eq!(texts[..3], [four, two, insert]);
        assert_eq!(texts[3..], ["DELETE FROM u WHERE a = $1"; 7]);
        let tally = |row: &str, amount: i64| {
            let mut batch = Batch::new();
            batch.tally("INSERT INTO c VALUES ($1, $2)", vec![row.into(), amount.into()], 1);
            batch
        };
        let tallies = [tally("a", 1), tally("b", 10), tally("a", 2)];
        let added = in_order(&tallies.iter().collect::<Vec<_>>());
        let added: Vec<&[Value]> = added.iter().map(|statement| &*statement.params).collect();
        assert_eq!(added, [&["a".into(), 3i64.into()], &["b".into(), Value::Int(10)]]);
        let values: Vec<Value> = vec![4i64.into(), 40i64.into(), 5i64.into(), 50i64.into()];
        assert_eq!(ordered[1].params, values);
    }
}
