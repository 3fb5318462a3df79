//! Where the authority lies: `authority.key` and `authority.pem` in one directory.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

const KEY: &str = "authority.key";
const CERTIFICATE: &str = "authority.pem";

/// An authority as it is kept.
pub struct Kept {
    /// PKCS #8, PEM.
    pub key: String,
    /// X.509, PEM.
    pub certificate: String,
}

/// `None` when `dir` does not exist.
pub fn load(dir: &Path) -> io::Result<Option<Kept>> {
    let read = |name: &str| {
        fs::read_to_string(dir.join(name)).map_err(|error| {
            let path = dir.join(name);
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })
    };
    match fs::metadata(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", dir.display()))),
        Ok(_) => Ok(Some(Kept { key: read(KEY)?, certificate: read(CERTIFICATE)? })),
    }
}

/// Writes a new authority whole: nobody sees a key without its certificate. Does
/// nothing when another process was quicker.
pub fn store(dir: &Path, kept: &Kept) -> io::Result<()> {
    let parent = dir.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent)?;
    let scratch =
        parent.join(format!(".authority-{}-{:x}", std::process::id(), rand::random::<u64>()));
    let written = write(&scratch, kept).and_then(|()| match fs::rename(&scratch, dir) {
        Err(_) if dir.is_dir() => Ok(()),
        outcome => outcome,
    });
    // After a rename nothing is left to remove.
    let _ = fs::remove_dir_all(&scratch);
    written
}

fn write(scratch: &Path, kept: &Kept) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(scratch)?;
    let file = |name: &str, text: &str| {
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(scratch.join(name))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    file(KEY, &kept.key)?;
    file(CERTIFICATE, &kept.certificate)
}
