//! Media and recordings: files named by their content.

use std::path::PathBuf;

use aws_lc_rs::digest;
use tokio::io::AsyncWriteExt;

use crate::StoreError;

/// A directory of blobs. The name of a blob is the hex SHA-256 of its bytes, so
/// writing the same bytes twice is harmless.
#[derive(Clone)]
pub struct BlobStore {
    directory: PathBuf,
}

impl BlobStore {
    /// Creates the directory when it is absent.
    pub fn open(directory: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&directory)?;
        Ok(Self { directory })
    }

    /// Writes durably and returns the blob's name.
    pub async fn put(&self, bytes: &[u8]) -> Result<String, StoreError> {
        let hash = digest::digest(&digest::SHA256, bytes);
        let name: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let path = self.directory.join(&name);
        if tokio::fs::try_exists(&path).await.unwrap_or(false) {
            return Ok(name);
        }
        let part = self.directory.join(format!("{name}.part"));
        let write = async {
            let mut file = tokio::fs::File::create(&part).await?;
            file.write_all(bytes).await?;
            file.sync_all().await?;
            tokio::fs::rename(&part, &path).await
        };
        write.await.map_err(|error| StoreError::Unavailable(format!("blob: {error}")))?;
        Ok(name)
    }

    /// Deletes a blob, if it is there: for its only holder.
    pub async fn remove(&self, name: &str) -> Result<(), StoreError> {
        if !is_name(name) {
            return Ok(());
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
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::Unavailable(format!("blob: {error}"))),
        }
    }
}

fn is_name(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
