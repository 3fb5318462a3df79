//! What interception keeps on this machine, and finds in its environment.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use authority::Authority;
use door::{Foreign, Upstream, UpstreamError};

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
