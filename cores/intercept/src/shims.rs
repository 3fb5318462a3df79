//! Small programs that run inside other programs, where variables alone do not reach.

use crate::DOMAINS;

/// `--require`d into Node: redirects connections.
pub fn node() -> String {
    fill(include_str!("shims/preload.cjs"))
}

/// On `PYTHONPATH` as `sitecustomize.py`: redirects name resolution.
pub fn python() -> String {
    fill(include_str!("shims/sitecustomize.py"))
}

/// `auto_prepend_file` of PHP: gives the `https` stream wrapper a proxy.
pub fn php() -> String {
    fill(include_str!("shims/prepend.php"))
}

/// A list of plain names is written alike in all three languages.
fn fill(text: &str) -> String {
    let names: Vec<String> = DOMAINS.iter().map(|domain| format!("'{domain}'")).collect();
    text.replace("__DOMAINS__", &format!("[{}]", names.join(", ")))
}
