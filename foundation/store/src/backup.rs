//! One file that holds everything of an instance on SQLite.
//!
//! A backup is a SQLite database: a copy of the one at a moment (`VACUUM INTO`, while it is
//! written to), with the blobs and the key in a table of their own. What a row names was written
//! before the row, so every blob of the copy is there when the copy is made.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::StoreError;

/// Files beside the database that belong to it.
const KEY: &str = "secret.key";
const BLOBS: &str = "blobs";
const DATABASE: &str = "offhook.db";

fn file(error: std::io::Error, path: &Path) -> StoreError {
    StoreError::Failed(format!("{}: {error}", path.display()))
}

/// What a backup holds, or a restore has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    pub bytes: u64,
    pub blobs: u64,
}

/// Writes the instance in `data` to `target`, which must not exist. The instance may run.
pub fn write(data: &Path, target: &Path) -> Result<Contents, StoreError> {
    let source = data.join(DATABASE);
    if !source.exists() {
        return Err(StoreError::Failed(format!("there is no {}", source.display())));
    }
    if target.exists() {
        return Err(StoreError::Failed(format!("{} exists already", target.display())));
    }
    let part = target.with_extension("part");
    let _ = std::fs::remove_file(&part);
    let connection = Connection::open_with_flags(&source, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(std::time::Duration::from_secs(30))?;
    connection.execute("VACUUM INTO ?1", [part.to_string_lossy()])?;
    drop(connection);
    // The backup opens the sealed secrets: for its owner's eyes alone.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let only = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&part, only).map_err(|error| file(error, &part))?;
    }
    let mut copy = Connection::open(&part)?;
    let transaction = copy.transaction()?;
    transaction.execute_batch("CREATE TABLE backup_file (name TEXT PRIMARY KEY, bytes BLOB)")?;
    let mut blobs = 0;
    let keep = |name: &str, path: &Path| -> Result<(), StoreError> {
        let bytes = std::fs::read(path).map_err(|error| file(error, path))?;
        transaction.execute("INSERT INTO backup_file VALUES (?1, ?2)", (name, bytes))?;
        Ok(())
    };
    keep(KEY, &data.join(KEY))?;
    let directory = data.join(BLOBS);
    if directory.exists() {
        for entry in std::fs::read_dir(&directory).map_err(|error| file(error, &directory))? {
            let path = entry.map_err(|error| file(error, &directory))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if is_blob(name) {
                keep(&format!("{BLOBS}/{name}"), &path)?;
                blobs += 1;
            }
        }
    }
    transaction.commit()?;
    copy.close().map_err(|(_, error)| error)?;
    let sync = std::fs::File::open(&part).and_then(|part| part.sync_all());
    sync.and_then(|()| std::fs::rename(&part, target)).map_err(|error| file(error, target))?;
    let bytes = std::fs::metadata(target).map_err(|error| file(error, target))?.len();
    Ok(Contents { bytes, blobs })
}

/// Makes the instance of a backup in `data`, where none may be yet.
pub fn restore(source: &Path, data: &Path) -> Result<Contents, StoreError> {
    let database = data.join(DATABASE);
    for taken in [&database, &data.join(KEY)] {
        if taken.exists() {
            let why = format!("{} exists: move it away, or restore elsewhere", taken.display());
            return Err(StoreError::Failed(why));
        }
    }
    let bytes = std::fs::metadata(source).map_err(|error| file(error, source))?.len();
    std::fs::create_dir_all(data.join(BLOBS)).map_err(|error| file(error, data))?;
    let part = data.join("offhook.db.part");
    std::fs::copy(source, &part).map_err(|error| file(error, &part))?;
    let copy = Connection::open(&part)?;
    let found: i64 = copy.query_row(
        "SELECT count(*) FROM sqlite_master WHERE name = 'backup_file'",
        [],
        |row| row.get(0),
    )?;
    if found == 0 {
        let _ = std::fs::remove_file(&part);
        return Err(StoreError::Failed(format!("{} is no backup", source.display())));
    }
    let mut blobs = 0;
    {
        let mut files = copy.prepare("SELECT name, bytes FROM backup_file")?;
        let mut rows = files.query([])?;
        while let Some(row) = rows.next()? {
            let (name, bytes): (String, Vec<u8>) = (row.get(0)?, row.get(1)?);
            let blob = name.strip_prefix("blobs/");
            if name != KEY && !blob.is_some_and(is_blob) {
                return Err(StoreError::Failed(format!("the backup has a file {name:?}")));
            }
            let path = data.join(&name);
            std::fs::write(&path, bytes).map_err(|error| file(error, &path))?;
            blobs += u64::from(blob.is_some());
            #[cfg(unix)]
            if name == KEY {
                use std::os::unix::fs::PermissionsExt;
                let only = std::fs::Permissions::from_mode(0o600);
                std::fs::set_permissions(&path, only).map_err(|error| file(error, &path))?;
            }
        }
    }
    copy.execute_batch("DROP TABLE backup_file; VACUUM;")?;
    copy.close().map_err(|(_, error)| error)?;
    std::fs::rename(&part, &database).map_err(|error| file(error, &database))?;
    Ok(Contents { bytes, blobs })
}

fn is_blob(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
