//! `offhook migrate`, `backup` and `restore`: the state as a whole.

use std::path::{Path, PathBuf};

use clap::Args;
use store::{Location, Store, backup};

use super::Outcome;
use super::output::outln;
use super::up::location;

/// Which database.
#[derive(Args)]
pub struct Database {
    /// postgres://user:password@host/database; by default SQLite in the data directory
    #[arg(long, env = "OFFHOOK_DATABASE")]
    pub database: Option<String>,
}

#[derive(Args)]
pub struct Migrate {
    #[command(flatten)]
    database: Database,
    /// Say what is missing, and do nothing; exit code 1 when something is
    #[arg(long)]
    check: bool,
}

#[derive(Args)]
pub struct Backup {
    /// The file to write; it must not exist
    file: PathBuf,
    #[command(flatten)]
    database: Database,
}

#[derive(Args)]
pub struct Restore {
    /// A file that `offhook backup` has written
    file: PathBuf,
}

pub async fn migrate(args: Migrate, data: &Path) -> Outcome {
    let location = location(args.database.database, data);
    if matches!(location, Location::Sqlite(_)) && !args.check {
        std::fs::create_dir_all(data)?;
    }
    let missing = Store::missing(&location).await?;
    if missing.is_empty() {
        outln!("the schema is up to date");
        return Ok(());
    }
    for name in &missing {
        outln!("{} {name}", if args.check { "missing" } else { "running" });
    }
    if args.check {
        return Err("the schema is not up to date: run `offhook migrate`".into());
    }
    Store::migrate(&location).await?;
    outln!("the schema is up to date");
    Ok(())
}

pub fn backup(args: &Backup, data: &Path) -> Outcome {
    if args.database.database.is_some() {
        return Err(format!(
            "PostgreSQL has tools of its own: `pg_dump --format=custom --file={} DATABASE-URL` takes \
             everything but one file; copy {} too, which opens the secrets in it",
            args.file.display(),
            data.join("secret.key").display()
        )
        .into());
    }
    let contents = backup::write(data, &args.file)?;
    let (bytes, blobs) = (contents.bytes, contents.blobs);
    outln!(
        "{}: {bytes} bytes, {blobs} media files; keep it as secret as its keys",
        args.file.display()
    );
    Ok(())
}

pub fn restore(args: &Restore, data: &Path) -> Outcome {
    let contents = backup::restore(&args.file, data)?;
    outln!(
        "{}: restored with {} media files; `offhook up` goes on",
        data.display(),
        contents.blobs
    );
    Ok(())
}
