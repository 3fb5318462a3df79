//! SQLite's write-ahead log: made durable, and kept short, while the writer goes on.
//!
//! The writer commits without waiting for the disk (`synchronous=NORMAL`). It waits itself where the
//! disk is fast; where it is not, a thread does, for whatever was committed meanwhile at once. Only
//! then is anybody answered: who was answered is on disk. Whoever reads may see a commit a moment
//! before that; whatever is done about it is another commit of the same log, durable after it.
//!
//! Another thread copies the log into the database when it has grown. What the writer adds
//! meanwhile, the writer copies itself, which is little; then the log begins anew.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::thread;
use crate::intake::Write;
use crate::{Outcome, StoreError};

/// Pages of the log from which on it is copied.
const PAGES_TO_COPY: u64 = 4_000;
/// A disk that takes no longer is fast: smaller groups would cost more than its time.
const FAST: Duration = Duration::from_millis(1);
/// Pages from which on the writer waits for readers, so that the log can begin anew.
const PAGES_MOST: u64 = 100_000;

/// What was committed together, and what became of each.
type Group = Vec<(Write, Result<Outcome, StoreError>)>;

/// The writer's side.
pub(super) struct Log {
    flusher: SyncSender<Group>,
    disk: Arc<Mutex<Disk>>,
    copier: SyncSender<()>,
    copying: Arc<Copying>,
    /// Pages in the log after the last commit.
    pages: Arc<AtomicU64>,
}

/// What is being done to keep the log short.
#[derive(Default)]
struct Copying(AtomicU8);

impl Copying {
    const NOTHING: u8 = 0;
    const COPIER: u8 = 1;
    /// The copier is done; the rest is the writer's.
    const WRITER: u8 = 2;

    fn is(&self, state: u8) -> bool {
        self.0.load(Ordering::Acquire) == state
    }

    fn set(&self, state: u8) {
        self.0.store(state, Ordering::Release);
    }
}

impl Log {
    /// Starts the threads; they end with the writer.
    pub fn start(path: &Path, writer: &mut Connection) -> Result<Self, StoreError> {
        let pages = Arc::new(AtomicU64::new(0));
        let counted = pages.clone();
        // It takes the place of copying at a commit.
        writer.wal_hook(Some(move |_: &mut _, pages| {
            counted.store(u64::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        let (flusher, groups) = sync_channel(1);
        let disk = Arc::new(Mutex::new(Disk::of(path)));
        thread("store-flusher", {
            let disk = disk.clone();
            move || flush(&groups, &disk)
        })?;
        let (copier, wakes) = sync_channel(1);
        let copying = Arc::<Copying>::default();
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        thread("store-copier", {
            let copying = copying.clone();
            move || copy(&connection, &wakes, &copying)
        })?;
        Ok(Self { flusher, disk, copier, copying, pages })
    }

    /// Waits for a fast disk, else only while it is a group behind.
    pub fn answer_when_durable(&self, group: Group) {
        if let Ok(mut disk) = self.disk.try_lock()
            && disk.took <= FAST
        {
            return answer(group, &disk.flush());
        }
        // Without the thread nobody is answered: nothing is known to be durable.
        let _ = self.flusher.send(group);
    }

    /// Between two commits.
    pub fn keep_short(&self, writer: &Connection) {
        let pages = self.pages.load(Ordering::Relaxed);
        if self.copying.is(Copying::WRITER) {
            let mode = if pages < PAGES_MOST { "PASSIVE" } else { "RESTART" };
            checkpoint(writer, mode);
            self.copying.set(Copying::NOTHING);
        } else if pages >= PAGES_TO_COPY && self.copying.is(Copying::NOTHING) {
            self.copying.set(Copying::COPIER);
            let _ = self.copier.try_send(());
        }
    }
}

fn copy(connection: &Connection, wakes: &Receiver<()>, copying: &Copying) {
    while wakes.recv().is_ok() {
        checkpoint(connection, "PASSIVE");
        copying.set(Copying::WRITER);
    }
}

/// One that fails is tried again when the log has grown.
fn checkpoint(connection: &Connection, mode: &str) {
    let done = connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()));
    if let Err(error) = done {
        tracing::warn!(%error, "the log of the database could not be copied");
    }
}

/// Answers groups when they are on disk, as many at once as were committed meanwhile.
fn flush(groups: &Receiver<Group>, disk: &Mutex<Disk>) {
    while let Ok(mut group) = groups.recv() {
        let mut disk = disk.lock().unwrap_or_else(PoisonError::into_inner);
        group.extend(groups.try_iter().flatten());
        let flushed = disk.flush();
        drop(disk);
        answer(group, &flushed);
    }
}

fn answer(group: Group, flushed: &Result<(), StoreError>) {
    for (write, outcome) in group {
        write.answer(flushed.clone().and(outcome));
    }
}

/// Where the log lies.
struct Disk {
    path: PathBuf,
    log: Option<File>,
    /// What it took the last time.
    took: Duration,
    /// Of a disk that has failed nothing is known: what it says later is not believed.
    failed: Option<StoreError>,
}

impl Disk {
    fn of(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-wal");
        Self { path: path.into(), log: None, took: Duration::ZERO, failed: None }
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        self.sync().map_err(|error| {
            let why = format!("{}: {error}; restart when the disk is well", self.path.display());
            tracing::error!(%error, "the log of the database is not on disk");
            self.failed.insert(StoreError::Unavailable(why)).clone()
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        let log = match &mut self.log {
            Some(log) => log,
            none => none.insert(open(&self.path)?),
        };
        let begun = Instant::now();
        let synced = log.sync_data();
        self.took = begun.elapsed();
        synced
    }
}

/// Opens the log, whose name is on disk then.
fn open(path: &Path) -> io::Result<File> {
    let log = OpenOptions::new().write(true).open(path)?;
    #[cfg(unix)]
    if let Some(directory) = path.parent() {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        File::open(directory)?.sync_all()?;
    }
    Ok(log)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use bus::Bus;
    use tokio::sync::oneshot;

    use super::*;
    use crate::intake::Answer;
    use crate::{Batch, Location, Store};

    fn group(outcome: Result<Outcome, StoreError>) -> (Group, oneshot::Receiver<Answer>) {
        let (reply, answer) = oneshot::channel();
        (vec![(Write { batch: Batch::new(), background: false, reply }, outcome)], answer)
    }

    #[test]
    fn a_slow_disk_is_waited_for_aside_and_a_failed_one_is_not_believed_again() {
        let file = std::env::temp_dir().join(format!("offhook-disk-{}", std::process::id()));
        let log = format!("{}-wal", file.display());
        std::fs::write(&log, "").unwrap();
        let disk = Arc::new(Mutex::new(Disk::of(&file)));
        let (sender, groups) = sync_channel(2);
        let (first, answer) = group(Ok(Outcome::default()));
        sender.send(first).unwrap();
        let (refused, conflict) = group(Err(StoreError::Conflict));
        sender.send(refused).unwrap();
        drop(sender);
        flush(&groups, &disk);
        assert!(answer.blocking_recv().unwrap().0.is_ok());
        assert!(matches!(conflict.blocking_recv().unwrap().0, Err(StoreError::Conflict)));

        std::fs::remove_file(&log).unwrap();
        let mut gone = Disk::of(&file);
        assert!(matches!(gone.flush(), Err(StoreError::Unavailable(_))));
        std::fs::write(&log, "").unwrap();
        let (late, answer) = group(Ok(Outcome::default()));
        super::answer(late, &gone.flush());
        assert!(matches!(answer.blocking_recv().unwrap().0, Err(StoreError::Unavailable(_))));
        std::fs::remove_file(&log).unwrap();
    }

    /// How often the log has begun anew, as its header says (fileformat2 §4.1, offset 12).
    fn beginnings(log: &std::path::Path) -> u32 {
        let mut header = [0; 16];
        std::fs::File::open(log).unwrap().read_exact(&mut header).unwrap();
        u32::from_be_bytes([header[12], header[13], header[14], header[15]])
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_log_begins_anew_while_it_is_written_and_read() {
        let directory = std::env::temp_dir().join(format!("offhook-log-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("offhook.db");
        let store = Store::open(&Location::Sqlite(path.clone()), Bus::default()).await.unwrap();
        let log = directory.join("offhook.db-wal");
        let mut first = Batch::new();
        first.run("INSERT INTO carrier_note (carrier, note, value) VALUES ('', '', '')", vec![]);
        store.commit(first).await.unwrap();
        let before = beginnings(&log);
        let mut written = 0i64;
        while beginnings(&log) < before + 2 {
            assert!(written < 20_000, "the log has never begun anew");
            let mut batch = Batch::new();
            written += 1;
            batch.run(
                "INSERT INTO carrier_note (carrier, note, value) VALUES ('', $1, $2)",
                vec![written.to_string().into(), "x".repeat(100_000).into()],
            );
            store.commit(batch).await.unwrap();
            let row =
                store.point("SELECT count(*) FROM carrier_note", vec![]).await.unwrap().unwrap();
            assert_eq!(row.int(0), written + 1);
        }
        drop(store);
        let _ = std::fs::remove_dir_all(&directory);
    }
}
