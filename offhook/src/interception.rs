//! What interception keeps on this machine, and finds in its environment.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use authority::Authority;
use aws_lc_rs::digest;
use base64::Engine;
use door::{Foreign, Upstream, UpstreamError};
use intercept::environment::{self, file};
use intercept::{keystore, shims};

/// Where the certificate authority and the files that intercepted programs read are kept:
/// `$OFFHOOK_STATE`, `$XDG_STATE_HOME/offhook`, or `offhook` where the system keeps a user's
/// state. They belong to a user, not to one project's data.
///
/// # Errors
/// When the user has no home, with what to set.
pub fn directory() -> io::Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(own) = set("OFFHOOK_STATE") {
        return Ok(own.into());
    }
    if let Some(xdg) = set("XDG_STATE_HOME") {
        return Ok(PathBuf::from(xdg).join("offhook"));
    }
    let home = set("HOME").or_else(|| set("LOCALAPPDATA")).map(PathBuf::from).ok_or_else(|| {
        io::Error::other("there is no home directory; set OFFHOOK_STATE to a private directory")
    })?;
    Ok(match std::env::consts::OS {
        "macos" => home.join("Library/Application Support/offhook"),
        "windows" => home.join("offhook"),
        _ => home.join(".local/state/offhook"),
    })
}

/// The certificate authority of this machine and user, made when there is none.
pub fn authority() -> io::Result<Arc<Authority>> {
    Authority::open(&directory()?.join("ca")).map(Arc::new)
}

/// The proxy that this environment names for foreign traffic, unless it is the door at `own`.
pub fn upstream(own: Option<SocketAddr>) -> Result<Option<Arc<Upstream>>, UpstreamError> {
    let set = |names: [&str; 2]| {
        names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    };
    let proxy = set(["https_proxy", "HTTPS_PROXY"])
        .or_else(|| set(["http_proxy", "HTTP_PROXY"]))
        .or_else(|| set(["all_proxy", "ALL_PROXY"]));
    let Some(proxy) = proxy else { return Ok(None) };
    if own.is_some_and(|own| proxy.trim_end_matches('/').ends_with(&own.to_string())) {
        return Ok(None);
    }
    let no_proxy = set(["no_proxy", "NO_PROXY"]).unwrap_or_default();
    Upstream::parse(&proxy, &no_proxy).map(|upstream| Some(Arc::new(upstream)))
}

/// What a door on `listen` does with foreign traffic: only loopback is nobody's open proxy.
pub fn foreign(listen: SocketAddr) -> Foreign {
    if !listen.ip().is_loopback() {
        return Foreign::Refuse;
    }
    let upstream = upstream(Some(listen)).unwrap_or_else(|error| {
        tracing::warn!(%error, "foreign traffic is passed on without it");
        None
    });
    Foreign::Pass { upstream, offline: false }
}

/// The files that intercepted programs read, in a directory named by their content: what
/// one run reads, no other run changes.
///
/// # Errors
/// When the state directory cannot be written.
pub fn write_files(authority: &Authority) -> io::Result<String> {
    let contents = contents(authority);
    let mut digest = digest::Context::new(&digest::SHA256);
    for (name, content) in &contents {
        digest.update(name.as_bytes());
        digest.update(content);
    }
    let digest: String =
        digest.finish().as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let dir = std::path::absolute(directory()?)?.join("run").join(digest);
    let shown = text(&dir)?.to_owned();
    if !dir.is_dir() {
        write_once(&dir, &with_settings(contents, &shown))?;
    }
    Ok(shown)
}

/// The same files for programs elsewhere, who see them at `seen_at`, in a directory that
/// may exist: what lies there under the same names is replaced.
pub fn export_files(
    authority: &Authority,
    into: &Path,
    seen_at: Option<&str>,
) -> io::Result<String> {
    let into = std::path::absolute(into)?;
    let shown = match seen_at {
        Some(path) => path.trim_end_matches('/').to_owned(),
        None => text(&into)?.to_owned(),
    };
    write_all(&into, &with_settings(contents(authority), &shown))?;
    Ok(shown)
}

fn text(path: &Path) -> io::Result<&str> {
    path.to_str().ok_or_else(|| {
        io::Error::other(format!("{}: variables need a path that is text", path.display()))
    })
}

type Contents = Vec<(&'static str, Vec<u8>)>;

/// PHP's settings name the directory that they lie in.
fn with_settings(mut contents: Contents, shown: &str) -> Contents {
    contents.push((file::PHP_TRUST, environment::php_settings(shown, false).into_bytes()));
    contents.push((file::PHP_SHIM, environment::php_settings(shown, true).into_bytes()));
    contents
}

fn contents(authority: &Authority) -> Contents {
    let existing = |name: &str| std::env::var(name).ok();
    let ours = authority.certificate().clone();
    let mut extra = vec![ours];
    let mut roots = rustls_native_certs::load_native_certs().certs;
    if roots.is_empty() {
        // A bare container: the programs in it have roots of their own, which we replace.
        roots.extend(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    }
    for path in environment::named_bundles(&existing) {
        // A variable that names nothing readable is as useless to the program as to us.
        let loaded = rustls_native_certs::load_certs_from_paths(Some(path.as_ref()), None).certs;
        roots.extend(loaded.iter().cloned());
        if existing("NODE_EXTRA_CA_CERTS").as_deref() == Some(path.as_str()) {
            extra.extend(loaded);
        }
    }
    roots.splice(0..0, extra.iter().cloned());
    let mut seen = HashSet::new();
    roots.retain(|certificate| seen.insert(certificate.clone()));

    let bundle: String = roots.iter().map(|certificate| pem(certificate)).collect();
    let extra: String = extra.iter().map(|certificate| pem(certificate)).collect();
    vec![
        (file::EXTRA, extra.into_bytes()),
        (file::BUNDLE, bundle.into_bytes()),
        (file::KEY_STORE, keystore::jks(roots.iter().map(|certificate| &certificate[..]))),
        (file::NODE, shims::node().into_bytes()),
        (file::PYTHON, shims::python().into_bytes()),
        (file::PHP, shims::php().into_bytes()),
    ]
}

/// Writes a directory whole, unless it is there by then.
fn write_once(dir: &Path, contents: &[(&str, Vec<u8>)]) -> io::Result<()> {
    let parent = dir.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent)?;
    let scratch = parent.join(format!(".{}-{:x}", std::process::id(), rand::random::<u64>()));
    let written = write_all(&scratch, contents).and_then(|()| match fs::rename(&scratch, dir) {
        Err(_) if dir.is_dir() => Ok(()),
        outcome => outcome,
    });
    // After a rename nothing is left to remove.
    let _ = fs::remove_dir_all(&scratch);
    written
}

fn write_all(dir: &Path, contents: &[(&str, Vec<u8>)]) -> io::Result<()> {
    for (name, content) in contents {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap_or(dir))?;
        fs::write(path, content)?;
    }
    Ok(())
}

/// RFC 7468.
fn pem(der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap_or(""));
    let lines = lines.collect::<Vec<_>>().join("\n");
    format!("-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_files_is_written_once_and_whole() {
        let root = std::env::temp_dir().join(format!("offhook-files-{}", std::process::id()));
        let dir = root.join("run/abc");
        write_once(&dir, &[("a/b.txt", b"one".to_vec()), ("c.txt", b"two".to_vec())]).unwrap();
        write_once(&dir, &[("a/b.txt", b"other".to_vec())]).unwrap();
        assert_eq!(fs::read(dir.join("a/b.txt")).unwrap(), b"one");
        assert_eq!(fs::read_dir(dir.parent().unwrap()).unwrap().count(), 1);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn certificates_become_pem_again() {
        use tokio_rustls::rustls::pki_types::CertificateDer;
        use tokio_rustls::rustls::pki_types::pem::PemObject;
        let first = &webpki_root_certs::TLS_SERVER_ROOT_CERTS[0];
        let again = CertificateDer::from_pem_slice(pem(first).as_bytes()).unwrap();
        assert_eq!(&again, first);
    }
}
