//! PostgreSQL: one writer task with pipelined group commit, pipelined readers.

use std::collections::HashMap;
use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as SyncMutex};

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

pub(crate) struct Postgres {
    writer: mpsc::Sender<Write>,
    readers: Vec<Connection>,
    next_reader: AtomicUsize,
}

impl Postgres {
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        migrate(url).await?;
        let (writer, queue) = intake::channel();
        tokio::spawn(write_groups(Connection::new(url), queue));
        let readers = (0..READERS).map(|_| Connection::new(url)).collect();
        Ok(Self { writer, readers, next_reader: AtomicUsize::new(0) })
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

async fn migrate(url: &str) -> Result<(), StoreError> {
    let (mut client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    client.execute("SELECT pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await?;
    let ran = migrations::migrations::runner().run_async(&mut client).await;
    client.execute("SELECT pg_advisory_unlock($1)", &[&MIGRATION_LOCK]).await?;
    ran.map(|_| ()).map_err(|error| StoreError::Failed(format!("migration: {error}")))
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

    /// The statements of a group or of one batch, sent without waiting in between.
    async fn pipeline(&self, statements: &[&Statement]) -> Result<Vec<Vec<Row>>, StoreError> {
        let prepared = try_join_all(statements.iter().map(|s| self.prepare(&s.sql))).await?;
        let answers = join_all(statements.iter().zip(&prepared).map(|(statement, prepared)| {
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
        let statements: Vec<&Statement> =
            batches.iter().flat_map(|batch| &batch.statements).collect();
        let begin = self.client.batch_execute("BEGIN");
        let (begun, answers) = futures_util::join!(begin, self.pipeline(&statements));
        let answers = match begun.map_err(StoreError::from).and(answers) {
            Ok(answers) => answers,
            Err(error) => {
                self.client.batch_execute("ROLLBACK").await?;
                return Err(error);
            }
        };
        self.client.batch_execute("COMMIT").await?;
        let mut answers = statements.iter().zip(answers);
        Ok(batches
            .iter()
            .map(|batch| Outcome {
                rows: answers
                    .by_ref()
                    .take(batch.statements.len())
                    .filter(|(statement, _)| statement.returns)
                    .map(|(_, rows)| rows)
                    .collect(),
            })
            .collect())
    }
}

/// The writer task. A group is tried as one transaction; when anything in it is
/// refused, each batch is tried alone, so that one conflict fails one caller.
async fn write_groups(connection: Connection, mut queue: Intake) {
    loop {
        let group = queue.group().await;
        if group.is_empty() {
            return;
        }
        let outcomes = write_group(&connection, &group).await;
        for (write, outcome) in group.into_iter().zip(outcomes) {
            // A caller that no longer waits has given up on the answer, not on the write.
            let _ = write.reply.send(outcome);
        }
    }
}

async fn write_group(connection: &Connection, group: &[Write]) -> Vec<Result<Outcome, StoreError>> {
    let session = match connection.session().await {
        Ok(session) => session,
        Err(error) => return group.iter().map(|_| Err(error.clone())).collect(),
    };
    let batches: Vec<&Batch> = group.iter().map(|write| &write.batch).collect();
    match session.transact(&batches).await {
        Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
        Err(error) if group.len() == 1 || session.client.is_closed() => {
            group.iter().map(|_| Err(error.clone())).collect()
        }
        Err(_) => {
            let mut outcomes = Vec::with_capacity(group.len());
            for batch in batches {
                let alone = session.transact(&[batch]).await;
                outcomes.push(alone.map(|mut outcomes| outcomes.remove(0)));
            }
            outcomes
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
            Some(code) if code.code().starts_with("40") => Self::Conflict,
            Some(code) if ["57", "53", "08"].iter().any(|c| code.code().starts_with(c)) => {
                Self::Unavailable(text)
            }
            Some(_) => Self::Failed(text),
            None if error.is_closed() => Self::Unavailable(text),
            None => Self::Failed(text),
        }
    }
}
