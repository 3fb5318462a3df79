//! SQLite: one writer thread with group commit, a small pool of readers, and two threads for its log.

mod log;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, Statement as Prepared};
use tokio::sync::mpsc;

use crate::intake::{self, Write};
use crate::{Batch, Outcome, Row, StoreError, Value};

mod migrations {
    refinery::embed_migrations!("migrations/sqlite");
}

/// Idle reader connections that are kept.
const READERS_MAX: usize = 8;

pub(crate) struct Sqlite {
    path: PathBuf,
    writer: mpsc::Sender<Write>,
    readers: Mutex<Vec<Connection>>,
}

impl Sqlite {
    /// The schema must be up to date.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let (writer, queue) = intake::channel();
        writer::start(path, queue)?;
        Ok(Self { path: path.to_owned(), writer, readers: Mutex::default() })
    }

    pub async fn commit(&self, batch: Batch, background: bool) -> Result<Outcome, StoreError> {
        intake::submit(&self.writer, batch, background).await
    }

    pub async fn query(&self, sql: String, params: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        let connection = self.reader()?;
        let (connection, rows) = tokio::task::spawn_blocking(move || {
            let rows = read(&connection, &sql, &params);
            (connection, rows)
        })
        .await
        .map_err(|error| StoreError::Failed(error.to_string()))?;
        self.give_back(connection);
        rows
    }

    pub fn point(&self, sql: &str, params: &[Value]) -> Result<Option<Row>, StoreError> {
        let connection = self.reader()?;
        let rows = read(&connection, sql, params);
        self.give_back(connection);
        Ok(rows?.into_iter().next())
    }

    fn reader(&self) -> Result<Connection, StoreError> {
        let idle = self.readers.lock().unwrap_or_else(|poison| poison.into_inner()).pop();
        if let Some(connection) = idle {
            return Ok(connection);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        prepare(&connection)?;
        // Not mapped: whenever something was committed SQLite would map the file anew.
        connection.execute_batch("PRAGMA cache_size=-2048; PRAGMA mmap_size=0;")?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    }

    fn give_back(&self, connection: Connection) {
        let mut readers = self.readers.lock().unwrap_or_else(|poison| poison.into_inner());
        if readers.len() < READERS_MAX {
            readers.push(connection);
        }
    }
}

/// What every connection that serves requests is told.
fn prepare(connection: &Connection) -> Result<(), StoreError> {
    connection.busy_timeout(Duration::from_secs(10))?;
    // A plan does not depend on what is bound: statements are not parsed again for other values.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Starts a thread that nobody waits for.
fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    spawned.map(drop).map_err(|error| StoreError::Failed(format!("thread {name}: {error}")))
}

/// Brings the schema up to date.
pub(crate) fn migrate(path: &Path) -> Result<(), StoreError> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.execute_batch("PRAGMA journal_mode=WAL;")?;
    let runner = migrations::migrations::runner().set_abort_missing(false);
    let ran = runner.run(&mut connection);
    ran.map_err(|error| StoreError::Failed(format!("migration: {error}")))?;
    crate::schema::check(&missing(path)?)
}

/// What of the schema is missing.
pub(crate) fn missing(path: &Path) -> Result<Vec<String>, StoreError> {
    let mut applied: Vec<i32> = Vec::new();
    if path.exists() {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        let known = "SELECT count(*) FROM sqlite_master WHERE name = 'refinery_schema_history'";
        if connection.query_row(known, [], |row| row.get::<_, i64>(0))? > 0 {
            let mut rows = connection.prepare("SELECT version FROM refinery_schema_history")?;
            applied = rows.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        }
    }
    Ok(crate::schema::names_without(migrations::migrations::runner().get_migrations(), &applied))
}

fn read(connection: &Connection, sql: &str, params: &[Value]) -> Result<Vec<Row>, StoreError> {
    let mut prepared = connection.prepare_cached(sql)?;
    bind(&mut prepared, sql, params)?;
    collect(&mut prepared)
}

/// The numbers of the `$n` in a statement, each where it is first named: SQLite counts parameters so,
/// and asking it for their names takes longer than running many a statement.
fn numbers(sql: &str) -> impl Iterator<Item = usize> {
    let mut known = [false; 100];
    sql.split('$').skip(1).filter_map(move |rest| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: usize = rest[..digits].parse().ok()?;
        let seen = known.get_mut(number)?;
        (!std::mem::replace(seen, true)).then_some(number)
    })
}

/// Binds `$n` by its number, in whatever order the text names it.
fn bind(prepared: &mut Prepared<'_>, sql: &str, params: &[Value]) -> Result<(), StoreError> {
    let mut at = 0;
    for number in numbers(sql) {
        at += 1;
        debug_assert_eq!(prepared.parameter_name(at), Some(format!("${number}").as_str()), "{sql}");
        let value = params.get(number.wrapping_sub(1));
        match value {
            Some(Value::Null) => prepared.raw_bind_parameter(at, rusqlite::types::Null)?,
            Some(Value::Int(int)) => prepared.raw_bind_parameter(at, int)?,
            Some(Value::Real(real)) => prepared.raw_bind_parameter(at, real)?,
            Some(Value::Text(text)) => prepared.raw_bind_parameter(at, text.as_str())?,
            Some(Value::Blob(bytes)) => prepared.raw_bind_parameter(at, bytes.as_slice())?,
            None => return Err(StoreError::Failed(format!("parameter ${number} has no value"))),
        }
    }
    match prepared.parameter_count() == at {
        true => Ok(()),
        false => Err(StoreError::Failed(format!("not every parameter is a $n: {sql}"))),
    }
}

fn collect(prepared: &mut Prepared<'_>) -> Result<Vec<Row>, StoreError> {
    let columns = prepared.column_count();
    let mut rows = Vec::new();
    let mut cursor = prepared.raw_query();
    while let Some(row) = cursor.next()? {
        let mut values = Vec::with_capacity(columns);
        for at in 0..columns {
            values.push(match row.get_ref(at)? {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(int) => Value::Int(int),
                ValueRef::Real(real) => Value::Real(real),
                ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
                ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
            });
        }
        rows.push(Row(values));
    }
    Ok(rows)
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => Self::Duplicate(error.to_string()),
            Some(
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen,
            ) => Self::Unavailable(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    /// How often what claims jobs is parsed again when it is run with other values.
    fn parsed_again(connection: &Connection) -> i32 {
        let sql = "UPDATE job SET leased_until = $1 WHERE id IN (SELECT id FROM job
                   WHERE ready_at <= $2 AND leased_until <= $3 AND (node IS NULL OR node = $5)
                   ORDER BY ready_at, id LIMIT $4) RETURNING id";
        let mut prepared = connection.prepare(sql).unwrap();
        for time in 1i64..=3 {
            let values = [time.into(), time.into(), time.into(), 64i64.into(), "node".into()];
            bind(&mut prepared, sql, &values).unwrap();
            assert!(collect(&mut prepared).unwrap().is_empty());
        }
        prepared.get_status(StatementStatus::RePrepare)
    }

    #[test]
    fn parameters_are_bound_by_their_numbers() {
        let connection = Connection::open_in_memory().unwrap();
        let values: Vec<Value> = vec!["one".into(), "two".into()];
        let read = |sql| {
            let mut prepared = connection.prepare(sql)?;
            bind(&mut prepared, sql, &values)?;
            collect(&mut prepared)
        };
        let rows = read("SELECT $2, $1, $2, '$.path'").unwrap();
        let texts: Vec<&str> = (0..4).map(|at| rows[0].text(at)).collect();
        assert_eq!(texts, ["two", "one", "two", "$.path"]);
        assert!(
            matches!(read("SELECT $1, $3"), Err(StoreError::Failed(why)) if why.contains("$3"))
        );
        assert!(matches!(read("SELECT $1, ?"), Err(StoreError::Failed(_))), "not a $n");
    }

    #[test]
    fn a_statement_is_parsed_once_whatever_is_bound() {
        let path = std::env::temp_dir().join(format!("offhook-parsed-{}.db", std::process::id()));
        migrate(&path).unwrap();
        let connection = Connection::open(&path).unwrap();
        assert!(parsed_again(&connection) > 0, "SQLite no longer needs to be told");
        prepare(&connection).unwrap();
        assert_eq!(parsed_again(&connection), 0);
        drop(connection);
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
        }
    }
}
