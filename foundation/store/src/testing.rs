//! Fresh databases for tests, on every backend that is at hand.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use bus::Bus;

use crate::{Location, Store};

/// A database that exists for one test.
pub struct TestDatabase {
    pub store: Store,
    pub location: Location,
    directory: PathBuf,
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl TestDatabase {
    /// A directory of this test's own, removed with it.
    pub fn directory(&self) -> &std::path::Path {
        &self.directory
    }
}

/// A fresh SQLite database, and a fresh PostgreSQL one when the environment
/// variable `OFFHOOK_TEST_POSTGRES` holds the URL of a server to make it on.
/// `cargo xtask test` always sets it; without it the reason is printed.
pub async fn databases() -> Vec<TestDatabase> {
    let mut all = vec![sqlite().await];
    match std::env::var("OFFHOOK_TEST_POSTGRES") {
        Ok(url) => all.push(postgres(&url).await),
        Err(_) => eprintln!("PostgreSQL not tested: OFFHOOK_TEST_POSTGRES is not set"),
    }
    all
}

/// A fresh SQLite database.
pub async fn sqlite() -> TestDatabase {
    let directory = fresh_directory();
    let location = Location::Sqlite(directory.join("offhook.db"));
    let store = Store::open(&location, Bus::default()).await.expect("a fresh database opens");
    TestDatabase { store, location, directory }
}

async fn postgres(url: &str) -> TestDatabase {
    let directory = fresh_directory();
    let name = directory.file_name().expect("the directory has a name").to_string_lossy();
    // A server that outlives a test may have met this process id before.
    let now = std::time::UNIX_EPOCH.elapsed().expect("the clock is past 1970").as_nanos();
    let name = format!("{}_{now:x}", name.replace('-', "_"));
    let (client, connection) =
        tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("the test server answers");
    tokio::spawn(connection);
    client.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("a database can be made");
    let base = url.rsplit_once('/').map_or(url, |(base, _)| base);
    let location = Location::Postgres(format!("{base}/{name}"));
    let store = Store::open(&location, Bus::default()).await.expect("a fresh database opens");
    TestDatabase { store, location, directory }
}

fn fresh_directory() -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("offhook-test-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&path).expect("the temporary directory is writable");
    path
}
