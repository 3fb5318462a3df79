//! Credentials for a program that has none.

use std::path::Path;

use crate::server::Env;

const SID: &str = "TWILIO_ACCOUNT_SID";
const TOKEN: &str = "TWILIO_AUTH_TOKEN";
const NUMBER: &str = "TWILIO_PHONE_NUMBER";

/// Names by which a program shows that it has credentials of its own.
const OWN: [&str; 6] = [
    SID,
    TOKEN,
    "TWILIO_API_KEY",
    "TWILIO_API_KEY_SID",
    "TWILIO_API_SECRET",
    "TWILIO_API_KEY_SECRET",
];

/// Files that programs read into their environment, without overriding what is set.
const FILES: [&str; 4] = [".env", ".env.local", ".env.development", ".env.development.local"];

/// The variables to set: none when the environment or a `.env` in `dir` has credentials,
/// because a number of ours belongs to no account but ours.
pub fn missing(
    env: &Env,
    existing: &dyn Fn(&str) -> Option<String>,
    dir: &Path,
) -> Vec<(&'static str, String)> {
    let files = FILES.map(|file| std::fs::read_to_string(dir.join(file)).unwrap_or_default());
    let has = |name: &str| {
        existing(name).is_some_and(|value| !value.is_empty())
            || files.iter().any(|file| file.lines().any(|line| sets(line, name)))
    };
    if OWN.iter().any(|name| has(name)) {
        return Vec::new();
    }
    let mut told = vec![(SID, env.account_sid.clone()), (TOKEN, env.auth_token.clone())];
    if !has(NUMBER) {
        told.push((NUMBER, env.phone_number.clone()));
    }
    told
}

/// Whether a line of a `.env` file gives `name` a value.
fn sets(line: &str, name: &str) -> bool {
    let line = line.trim_start();
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    line.strip_prefix(name)
        .and_then(|rest| rest.trim_start().strip_prefix('='))
        .is_some_and(|value| !value.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_set_a_name() {
        for line in ["A=1", "  A = 1", "export A='x'", "A=\"\"x"] {
            assert!(sets(line, "A"), "{line}");
        }
        for line in ["#A=1", "AB=1", "A", "A=", "B=A=1"] {
            assert!(!sets(line, "A"), "{line}");
        }
    }
}
