//! Media and recordings: bytes named by their content.

use std::path::PathBuf;

use aws_lc_rs::digest;
use tokio::io::AsyncWriteExt;

use crate::{Batch, Store, StoreError, Value};

/// Blobs. The name of one is the hex SHA-256 of its bytes, so writing the same bytes twice is
/// harmless, and what was read once never changes.
///
/// Beside SQLite they are files of a directory. Beside PostgreSQL they are rows, which every node
/// sees, and the directory is this node's memory of them.
#[derive(Clone)]
pub struct BlobStore {
    directory: PathBuf,
    rows: Option<Store>,
}

impl BlobStore {
    /// Creates the directory when it is absent.
    pub fn open(directory: PathBuf, store: &Store) -> std::io::Result<Self> {
        std::fs::create_dir_all(&directory)?;
        let rows = (store.kind() == "postgres").then(|| store.clone());
        Ok(Self { directory, rows })
    }

    /// Writes durably and returns the blob's name.
    pub async fn put(&self, bytes: &[u8]) -> Result<String, StoreError> {
        let hash = digest::digest(&digest::SHA256, bytes);
        let name: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
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
            Ok(bytes) => return Ok(Some(bytes)),
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
        Ok(Some(bytes))
    }
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
}
