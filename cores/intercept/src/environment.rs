//! The variables by which programs learn of the door and of the certificate authority.
//!
//! Which program heeds which variable was measured; docs/guides/run.md has the table.

use crate::{DOMAINS, keystore};

/// How a program's connections reach the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The operating system redirects them: only trust is told by variables.
    Syscall,
    /// Proxy variables, and shims where these are not heeded.
    Portable,
    /// Proxy variables alone.
    Env,
}

/// The names of the files, below one directory.
pub mod file {
    /// Our certificate, and those that the user's additive variables named.
    pub const EXTRA: &str = "extra.pem";
    /// The same and the system's roots.
    pub const BUNDLE: &str = "bundle.pem";
    pub const KEY_STORE: &str = "trust.jks";
    pub const NODE: &str = "node/preload.cjs";
    pub const PYTHON: &str = "python/sitecustomize.py";
    pub const PHP: &str = "php/prepend.php";
    /// PHP settings: trust.
    pub const PHP_TRUST: &str = "php/trust/offhook.ini";
    /// PHP settings: trust, and the file to prepend.
    pub const PHP_SHIM: &str = "php/shim/offhook.ini";
}

/// Variables that add to a program's roots.
const ADDING: [&str; 2] = ["NODE_EXTRA_CA_CERTS", "DENO_CERT"];

/// Variables that replace a program's roots.
const REPLACING: [&str; 12] = [
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "PIP_CERT",
    "NIX_SSL_CERT_FILE",
    "PERL_LWP_SSL_CA_FILE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "HTTPLIB2_CA_CERTS",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
];

/// Heeded by twilio-node only, and only worth setting when it is set.
const TWILIO_CA_BUNDLE: &str = "TWILIO_CA_BUNDLE";

/// The six spellings; `ALL_PROXY` never as SOCKS, which many clients cannot do.
const PROXIES: [&str; 6] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// Hosts that are never reached through a proxy: the program's own neighbours.
const LOCAL: &str = "localhost,127.0.0.1,::1,.local,host.docker.internal";

/// What the variables point at.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// `host:port`.
    pub door: &'a str,
    /// The directory of the files, absolute, as the program sees it.
    pub files: &'a str,
    /// The plain URL of the instance.
    pub url: &'a str,
}

/// PEM files that the user's variables name, and that our bundle must hold as well.
pub fn named_bundles(existing: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let mut named: Vec<String> = REPLACING
        .iter()
        .chain(&ADDING)
        .chain(&[TWILIO_CA_BUNDLE])
        .filter_map(|name| existing(name).filter(|value| !value.is_empty()))
        .collect();
    named.sort();
    named.dedup();
    named
}

/// The variables to set for a program that now has `existing`.
pub fn variables(
    mode: Mode,
    places: Places<'_>,
    existing: &dyn Fn(&str) -> Option<String>,
) -> Vec<(&'static str, String)> {
    let Places { door, files, url } = places;
    let path = |name: &str| format!("{files}/{name}");
    let set = |name: &str| existing(name).filter(|value| !value.is_empty());
    let mut out = vec![
        ("OFFHOOK", "1".to_owned()),
        ("OFFHOOK_URL", url.to_owned()),
        ("OFFHOOK_DOOR", door.to_owned()),
    ];
    out.extend(ADDING.map(|name| (name, path(file::EXTRA))));
    out.extend(REPLACING.map(|name| (name, path(file::BUNDLE))));
    if set(TWILIO_CA_BUNDLE).is_some() {
        out.push((TWILIO_CA_BUNDLE, path(file::BUNDLE)));
    }

    let proxy = format!("http://{door}");
    let proxied: Vec<&str> = match mode {
        // Whoever used a proxy never resolves the host: the proxy must be ours then.
        Mode::Syscall => PROXIES.into_iter().filter(|name| set(name).is_some()).collect(),
        Mode::Portable | Mode::Env => PROXIES.to_vec(),
    };
    if !proxied.is_empty() {
        let mut direct = set("no_proxy").or_else(|| set("NO_PROXY")).unwrap_or_default();
        direct = without_ours(&direct);
        let direct = match direct.as_str() {
            "" => LOCAL.to_owned(),
            given => appended(given, ",", LOCAL),
        };
        out.extend(NO_PROXY.map(|name| (name, direct.clone())));
    }
    out.extend(proxied.into_iter().map(|name| (name, proxy.clone())));

    out.push((
        "JAVA_TOOL_OPTIONS",
        java(mode, door, &path(file::KEY_STORE), set("JAVA_TOOL_OPTIONS")),
    ));
    let settings = match mode {
        Mode::Portable => file::PHP_SHIM,
        Mode::Syscall | Mode::Env => file::PHP_TRUST,
    };
    let settings = path(settings.trim_end_matches("/offhook.ini"));
    // An empty entry stands for the directory that PHP was built with.
    let before = set("PHP_INI_SCAN_DIR").unwrap_or_default();
    out.push(("PHP_INI_SCAN_DIR", appended(&before, ":", &settings)));
    match mode {
        Mode::Syscall => {}
        Mode::Env => out.push(("NODE_USE_ENV_PROXY", "1".to_owned())),
        Mode::Portable => {
            let preload = path(file::NODE).replace('\\', "\\\\").replace('"', "\\\"");
            let require = format!("--require \"{preload}\"");
            out.push((
                "NODE_OPTIONS",
                match set("NODE_OPTIONS") {
                    Some(before) => appended(&before, " ", &require),
                    None => require,
                },
            ));
            let shim = path(file::PYTHON.trim_end_matches("/sitecustomize.py"));
            out.push((
                "PYTHONPATH",
                match set("PYTHONPATH") {
                    Some(after) if after.split(':').any(|entry| entry == shim) => after,
                    Some(after) => format!("{shim}:{after}"),
                    None => shim,
                },
            ));
        }
    }
    out
}

/// `before` with `added` at its end, if it is not in it: a shell may be told twice.
fn appended(before: &str, separator: &str, added: &str) -> String {
    if before.contains(added) { before.to_owned() } else { format!("{before}{separator}{added}") }
}

/// System properties of every JVM. The last of two equal ones counts.
fn java(mode: Mode, door: &str, key_store: &str, before: Option<String>) -> String {
    // Quotes, because a path may have spaces.
    let mut options = format!(
        "'-Djavax.net.ssl.trustStore={key_store}' -Djavax.net.ssl.trustStorePassword={} \
         -Djavax.net.ssl.trustStoreType=jks",
        keystore::PASSWORD
    );
    if mode != Mode::Syscall {
        let (host, port) = door.rsplit_once(':').unwrap_or((door, ""));
        for scheme in ["http", "https"] {
            options.push_str(&format!(" -D{scheme}.proxyHost={host} -D{scheme}.proxyPort={port}"));
        }
    }
    match before {
        Some(before) => appended(&before, " ", &options),
        None => options,
    }
}

/// A `NO_PROXY` without what would lead around the door.
fn without_ours(no_proxy: &str) -> String {
    let is_ours = |entry: &str| {
        let name = entry.trim_start_matches('*').trim_start_matches('.').to_ascii_lowercase();
        entry == "*"
            || crate::is_intercepted(&name)
            || DOMAINS.iter().any(|domain| domain.ends_with(&format!(".{name}")))
    };
    let entries = no_proxy.split(',').map(str::trim);
    entries.filter(|entry| !entry.is_empty() && !is_ours(entry)).collect::<Vec<_>>().join(",")
}

/// PHP's settings in `directory`; the two files of [`file::PHP_TRUST`] and [`file::PHP_SHIM`].
pub fn php_settings(files: &str, has_shim: bool) -> String {
    let bundle = format!("{files}/{}", file::BUNDLE);
    let mut text = format!("curl.cainfo=\"{bundle}\"\nopenssl.cafile=\"{bundle}\"\n");
    if has_shim {
        text.push_str(&format!("auto_prepend_file=\"{files}/{}\"\n", file::PHP));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const PLACES: Places<'_> =
        Places { door: "127.0.0.1:7", files: "/s", url: "http://127.0.0.1:4010" };

    fn told(mode: Mode, existing: &[(&str, &str)]) -> HashMap<&'static str, String> {
        let existing: HashMap<&str, &str> = existing.iter().copied().collect();
        let lookup = |name: &str| existing.get(name).map(|value| (*value).to_owned());
        variables(mode, PLACES, &lookup).into_iter().collect()
    }

    #[test]
    fn trust_is_told_in_every_mode() {
        for mode in [Mode::Syscall, Mode::Portable, Mode::Env] {
            let told = told(mode, &[]);
            assert_eq!(told["NODE_EXTRA_CA_CERTS"], "/s/extra.pem");
            assert_eq!(told["SSL_CERT_FILE"], "/s/bundle.pem");
            assert!(told["JAVA_TOOL_OPTIONS"].contains("trustStore=/s/trust.jks"));
            assert!(!told.contains_key("TWILIO_CA_BUNDLE"));
        }
    }

    #[test]
    fn only_the_portable_modes_set_proxies_where_there_were_none() {
        assert!(!told(Mode::Syscall, &[]).contains_key("HTTPS_PROXY"));
        assert!(!told(Mode::Syscall, &[]).contains_key("NODE_OPTIONS"));
        let kept = told(Mode::Syscall, &[("https_proxy", "http://corp:1"), ("no_proxy", "a.b")]);
        assert_eq!(kept["https_proxy"], "http://127.0.0.1:7");
        assert!(!kept.contains_key("HTTP_PROXY") && kept["NO_PROXY"].starts_with("a.b,localhost"));
        assert_eq!(told(Mode::Env, &[])["NODE_USE_ENV_PROXY"], "1");
        assert!(!told(Mode::Env, &[]).contains_key("NODE_OPTIONS"));
    }

    #[test]
    fn what_the_user_had_stays() {
        let told = told(
            Mode::Portable,
            &[
                ("NODE_OPTIONS", "--max-old-space-size=99"),
                ("PYTHONPATH", "/mine"),
                ("JAVA_TOOL_OPTIONS", "-Xmx1g"),
                ("PHP_INI_SCAN_DIR", "/ini"),
            ],
        );
        assert_eq!(
            told["NODE_OPTIONS"],
            "--max-old-space-size=99 --require \"/s/node/preload.cjs\""
        );
        assert_eq!(told["PYTHONPATH"], "/s/python:/mine");
        assert!(told["JAVA_TOOL_OPTIONS"].starts_with("-Xmx1g '-Djavax"));
        assert!(told["JAVA_TOOL_OPTIONS"].ends_with("-Dhttps.proxyPort=7"));
        assert_eq!(told["PHP_INI_SCAN_DIR"], "/ini:/s/php/shim");
    }

    #[test]
    fn a_shell_that_is_told_twice_is_told_the_same() {
        let once = told(Mode::Portable, &[]);
        let existing: Vec<_> = once.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let twice = told(Mode::Portable, &existing);
        for name in
            ["NODE_OPTIONS", "PYTHONPATH", "JAVA_TOOL_OPTIONS", "PHP_INI_SCAN_DIR", "NO_PROXY"]
        {
            assert_eq!(twice[name], once[name], "{name}");
        }
    }

    #[test]
    fn no_proxy_cannot_lead_around_the_door() {
        let given = "*, twilio.com,.twilio.com,*.TWILIO.com,api.sendgrid.com,com,corp.example";
        assert_eq!(without_ours(given), "corp.example");
    }

    #[test]
    fn the_users_own_bundles_are_found() {
        let lookup = |name: &str| match name {
            "REQUESTS_CA_BUNDLE" | "SSL_CERT_FILE" => Some("/corp.pem".to_owned()),
            "NODE_EXTRA_CA_CERTS" => Some("/node.pem".to_owned()),
            _ => None,
        };
        assert_eq!(named_bundles(&lookup), ["/corp.pem", "/node.pem"]);
    }
}
