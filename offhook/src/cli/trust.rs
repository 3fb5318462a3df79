//! `offhook trust`: the certificate authority in the system's trust store.
//!
//! Never needed by `offhook run` on Linux. On macOS and Windows it is the only way for
//! programs that ask the system alone, such as those in Go and .NET.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use super::output::outln;
use super::{Failure, Outcome};
use crate::interception;

#[derive(Args)]
pub struct Trust {
    /// Take it out again
    #[arg(long)]
    undo: bool,
    /// Only print where the certificate is and what would be done
    #[arg(long)]
    dry_run: bool,
}

/// How a system is told to trust a certificate.
struct Store {
    /// Where certificates are put; `None` when the commands take the file themselves.
    folder: Option<&'static str>,
    add: &'static [&'static str],
    remove: &'static [&'static str],
}

/// The name of our certificate in a folder.
const NAME: &str = "offhook.crt";

/// Linux distributions, by the folder that they have.
const LINUX: [Store; 4] = [
    // Debian, Ubuntu, Alpine.
    Store {
        folder: Some("/usr/local/share/ca-certificates"),
        add: &["update-ca-certificates"],
        remove: &["update-ca-certificates", "--fresh"],
    },
    // Fedora, RHEL.
    Store {
        folder: Some("/etc/pki/ca-trust/source/anchors"),
        add: &["update-ca-trust"],
        remove: &["update-ca-trust"],
    },
    // Arch.
    Store {
        folder: Some("/etc/ca-certificates/trust-source/anchors"),
        add: &["trust", "extract-compat"],
        remove: &["trust", "extract-compat"],
    },
    // SUSE.
    Store {
        folder: Some("/etc/pki/trust/anchors"),
        add: &["update-ca-certificates"],
        remove: &["update-ca-certificates"],
    },
];

/// `{}` is the certificate's file.
const MACOS: Store = Store {
    folder: None,
    add: &["security", "add-trusted-cert", "-r", "trustRoot", "-p", "ssl", "{}"],
    remove: &["security", "remove-trusted-cert", "{}"],
};

const WINDOWS: Store = Store {
    folder: None,
    add: &["certutil", "-user", "-addstore", "Root", "{}"],
    remove: &["certutil", "-user", "-delstore", "Root", "Offhook on this machine"],
};

pub fn run(args: &Trust) -> Outcome {
    let authority = interception::authority()?;
    let certificate = interception::directory()?.join("ca/authority.pem");
    let store = match std::env::consts::OS {
        "macos" => &MACOS,
        "windows" => &WINDOWS,
        _ => LINUX
            .iter()
            .find(|store| store.folder.is_some_and(|folder| Path::new(folder).is_dir()))
            .ok_or_else(|| {
                Failure(format!(
                    "no trust store of this system is known; the certificate is {}",
                    certificate.display()
                ))
            })?,
    };
    let target = store.folder.map(|folder| PathBuf::from(folder).join(NAME));
    let command: Vec<String> = if args.undo { store.remove } else { store.add }
        .iter()
        .map(|word| word.replace("{}", &certificate.display().to_string()))
        .collect();
    let command_text = command.join(" ");
    if args.dry_run {
        outln!("certificate  {}", certificate.display());
        if let Some(target) = &target {
            let verb = if args.undo { "removed from" } else { "copied to" };
            outln!("{verb}  {}", target.display());
        }
        outln!("then         {command_text}");
        return Ok(());
    }
    if let Some(target) = &target {
        let done = match args.undo {
            true => std::fs::remove_file(target),
            false => std::fs::write(target, authority.pem()),
        };
        done.map_err(|error| match error.kind() {
            std::io::ErrorKind::PermissionDenied => Failure(format!(
                "{}: only root may do this: run `sudo OFFHOOK_STATE={} offhook trust{}`",
                target.display(),
                certificate.parent().and_then(Path::parent).unwrap_or(Path::new("")).display(),
                if args.undo { " --undo" } else { "" },
            )),
            _ => Failure(format!("{}: {error}", target.display())),
        })?;
    }
    let status = Command::new(&command[0]).args(&command[1..]).status();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => return Err(Failure(format!("{command_text} failed: {status}"))),
        Err(error) => return Err(Failure(format!("{command_text}: {error}"))),
    }
    match args.undo {
        true => outln!("this system no longer trusts Offhook's certificates"),
        false => outln!(
            "this system trusts Offhook's certificates for the intercepted hosts; \
             `offhook trust --undo` takes that back"
        ),
    }
    Ok(())
}
