//! Media and recordings: bytes named by their content.

use std::borrow::Cow;
use std::path::PathBuf;

use aws_lc_rs::digest;
use tokio::io::AsyncWriteExt;

use crate::seal::{Mac, Sealer, Vault};
use crate::{Batch, Store, StoreError, Value};

/// What a sealed blob begins with.
const SEALED: &[u8] = b"OFFHOOK\x01";

/// Blobs. The name of one is the hex SHA-256 of its bytes, so writing the same bytes twice is
/// harmless, and what was read once never changes. Where blobs are sealed, the name is a keyed hash,
/// which tells nobody what is in it; plain ones from before are read as they are.
///
/// Beside SQLite they are files of a directory. Beside PostgreSQL they are rows, which every node
/// sees, and the directory is this node's memory of them.
#[derive(Clone)]
pub struct BlobStore {
    directory: PathBuf,
    rows: Option<Store>,
    key: Option<Key>,
}

/// What seals blobs.
#[derive(Clone)]
struct Key {
    vault: Vault,
    names: Mac,
    /// New ones are sealed; else only old ones are opened.
    seals: bool,
}

impl BlobStore {
    /// Creates the directory when it is absent.
    pub fn open(directory: PathBuf, store: &Store) -> std::io::Result<Self> {
        std::fs::create_dir_all(&directory)?;
        let rows = (store.kind() == "postgres").then(|| store.clone());
        Ok(Self { directory, rows, key: None })
    }

    /// Opens what was sealed, and seals what is written when `seals`.
    pub fn sealed_by(mut self, sealer: &Sealer, seals: bool) -> Self {
        self.key = Some(Key { vault: sealer.vault("blob"), names: sealer.mac("blob"), seals });
        self
    }

    /// Writes durably and returns the blob's name.
    pub async fn put(&self, bytes: &[u8]) -> Result<String, StoreError> {
        let (name, bytes) = match self.key.as_ref().filter(|key| key.seals) {
            None => (plain_name(bytes), Cow::Borrowed(bytes)),
            Some(key) => {
                let name = hex(&key.names.of(&[bytes]));
                let sealed = [SEALED, &key.vault.seal(&name, bytes)].concat();
                (name, Cow::Owned(sealed))
            }
        };
        let bytes = bytes.as_ref();
        if let Some(store) = &self.rows {
            let mut batch = Batch::new();
            batch.run(
                "INSERT INTO blob (name, bytes) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
                vec![name.as_str().into(), Value::Blob(bytes.to_vec())],
            );
            store.commit(batch).await?;
        }
        self.write(&name, bytes).await?;
        Ok(name)
    }

    async fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.directory.join(name);
        if tokio::fs::try_exists(&path).await.unwrap_or(false) {
            return Ok(());
        }
        // Two that write the same bytes at once do not write the same file.
        let part = self.directory.join(format!("{name}.{:016x}.part", random()));
        let write = async {
            let mut file = tokio::fs::File::create(&part).await?;
            file.write_all(bytes).await?;
            file.sync_all().await?;
            tokio::fs::rename(&part, &path).await
        };
        let written = write.await;
        if written.is_err() {
            let _ = tokio::fs::remove_file(&part).await;
        }
        written.map_err(|error| StoreError::Unavailable(format!("blob: {error}")))
    }

    /// Deletes a blob, if it is there: for its only holder.
    pub async fn remove(&self, name: &str) -> Result<(), StoreError> {
        if !is_name(name) {
            return Ok(());
        }
        if let Some(store) = &self.rows {
            let mut batch = Batch::new();
            batch.run("DELETE FROM blob WHERE name = $1", vec![name.into()]);
            store.commit(batch).await?;
        }
        match tokio::fs::remove_file(self.directory.join(name)).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::Unavailable(format!("blob: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// The bytes, or `None` when the blob is gone. `name` must come from [`BlobStore::put`].
    pub async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        if !is_name(name) {
            return Ok(None);
        }
        match tokio::fs::read(self.directory.join(name)).await {
            Ok(bytes) => return self.opened(name, bytes).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::Unavailable(format!("blob: {error}"))),
        }
        let Some(store) = &self.rows else { return Ok(None) };
        let sql = "SELECT bytes FROM blob WHERE name = $1";
        let Some(row) = store.point(sql, vec![name.into()]).await? else { return Ok(None) };
        let bytes = row.blob(0).to_vec();
        // A full disk of this node's is no reason not to answer.
        if let Err(error) = self.write(name, &bytes).await {
            tracing::warn!(%error, "a blob is not kept on this node");
        }
        self.opened(name, bytes).map(Some)
    }

    fn opened(&self, name: &str, bytes: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        // A plain one may begin like a sealed one; its name tells.
        let Some(sealed) = bytes.strip_prefix(SEALED).filter(|_| plain_name(&bytes) != name) else {
            return Ok(bytes);
        };
        let opened = self.key.as_ref().and_then(|key| key.vault.open(name, sealed).ok());
        opened.ok_or_else(|| {
            StoreError::Failed("a blob does not open with this instance's key".to_owned())
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn plain_name(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn is_name(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has randomness");
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::databases;

    #[tokio::test]
    async fn every_node_of_a_cluster_sees_it() {
        for database in databases().await {
            let open = |name: &str| {
                BlobStore::open(database.directory().join(name), &database.store).unwrap()
            };
            let name = open("one").put(b"picture").await.unwrap();
            assert_eq!(open("one").get(&name).await.unwrap().as_deref(), Some(&b"picture"[..]));
            let elsewhere = open("two").get(&name).await.unwrap();
            assert_eq!(elsewhere.is_some(), database.store.kind() == "postgres");
            assert_eq!(open("one").get("../secret.key").await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn what_is_sealed_opens_with_its_key_and_what_was_plain_stays_readable() {
        for database in databases().await {
            let sealer = Sealer::new(&[7; 32]);
            let directory = database.directory().join("sealed");
            let open = |sealer: Option<&Sealer>, seals| {
                let plain = BlobStore::open(directory.clone(), &database.store).unwrap();
                sealer.map_or(plain.clone(), |sealer| plain.sealed_by(sealer, seals))
            };
            let like_sealed = [SEALED, b"but is not"].concat();
            let old = open(None, false).put(b"old sound").await.unwrap();
            let odd = open(None, false).put(&like_sealed).await.unwrap();
            let sealed = open(Some(&sealer), true);
            let name = sealed.put(b"new sound").await.unwrap();
            assert_eq!(sealed.put(b"new sound").await.unwrap(), name, "the same bytes are one");
            assert_ne!(name, plain_name(b"new sound"));
            let file = std::fs::read(directory.join(&name)).unwrap();
            assert!(!file.windows(5).any(|part| part == b"sound"));
            for seals in [true, false] {
                let blobs = open(Some(&sealer), seals);
                for (name, bytes) in
                    [(&old, &b"old sound"[..]), (&name, b"new sound"), (&odd, &like_sealed)]
                {
                    assert_eq!(blobs.get(name).await.unwrap().as_deref(), Some(bytes));
                }
            }
            for stranger in [open(None, false), open(Some(&Sealer::new(&[8; 32])), true)] {
                assert!(stranger.get(&name).await.is_err());
            }
            // Another node has nothing but the row.
            if database.store.kind() == "postgres" {
                let elsewhere = database.directory().join("elsewhere");
                let other = BlobStore::open(elsewhere, &database.store).unwrap();
                let other = other.sealed_by(&sealer, true);
                assert_eq!(other.get(&name).await.unwrap().as_deref(), Some(&b"new sound"[..]));
            }
        }
    }
}
