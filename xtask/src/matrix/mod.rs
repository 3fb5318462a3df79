//! Unmodified programs under `offhook run`: every stack, in every mode, as root
//! and as an ordinary user.

mod apps;
mod install;
mod rows;
mod server;

use std::collections::VecDeque;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use crate::{Outcome, run};
use rows::{FAMILIES, NOT_OBTAINABLE, Proof};
use server::Server;

const MODES: &[&str] = &["syscall", "portable"];
/// Seconds a program may take.
const BOUND: &str = "40";
/// Rows that run at the same time.
const WORKERS: usize = 2;
/// The ordinary user when we are root: `nobody`.
const NOBODY: u32 = 65534;

/// A column of the table: how a program is run.
#[derive(Clone, Copy)]
struct Column {
    user: User,
    mode: &'static str,
}

#[derive(Clone, Copy, PartialEq)]
enum User {
    Root,
    /// Somebody without rights; `become_nobody` when we are root ourselves.
    Ordinary {
        become_nobody: bool,
    },
}

/// What the cells of the table say.
#[derive(Default)]
pub struct Count {
    pub passed: u64,
    pub failed: u64,
    not_obtainable: u64,
}

/// Where a run takes place.
struct Place {
    server: Server,
    /// A copy that everybody may run.
    offhook: PathBuf,
    /// What was installed.
    home: PathBuf,
    /// Homes and state directories of the users. Dropped, and removed, after the server.
    scratch: Scratch,
}

/// A directory that goes with its owner.
struct Scratch(PathBuf);

/// One row that can run.
struct Row {
    name: String,
    program: Vec<String>,
    proof: Proof,
}

/// `matrix [--only SUBSTRING] [--mode MODE] [--as root|user]`.
pub fn run(args: &[&str]) -> Result<Count, String> {
    let (mut only, mut mode, mut user) = ("", None, None);
    for pair in args.chunks(2) {
        match pair {
            ["--only", text] => only = *text,
            ["--mode", name] if MODES.contains(name) => mode = Some(*name),
            ["--as", name @ ("root" | "user")] => user = Some(*name),
            _ => return Err(format!("matrix does not know {}", pair.join(" "))),
        }
    }
    let mut columns = columns();
    columns.retain(|column| mode.is_none_or(|mode| mode == column.mode));
    columns.retain(|column| user.is_none_or(|user| user == column.user.name()));
    if columns.is_empty() {
        return Err("only root can run programs as root".to_owned());
    }
    let place = Place::prepare()?;
    let heads: Vec<String> = columns.iter().map(Column::title).collect();
    println!("{:<36}{}", "", in_columns(&heads));
    let mut count = Count::default();
    let rows = obtainable(&place.home, only, &mut count);
    run_rows(&place, &columns, rows, &mut count);
    for story in apps::STORIES.iter().filter(|story| story.name.contains(only)) {
        let cells = columns.iter().map(|column| apps::tell(&place, story, *column)).collect();
        count.add(story.name, &columns, cells);
    }
    for (name, why) in NOT_OBTAINABLE.iter().filter(|(name, _)| name.contains(only)) {
        count.miss(name, why);
    }
    let Count { passed, failed, not_obtainable } = &count;
    println!("matrix: {passed} passed, {failed} failed, {not_obtainable} not obtainable");
    Ok(count)
}

fn columns() -> Vec<Column> {
    let users: &[User] = match is_root() {
        true => &[User::Root, User::Ordinary { become_nobody: true }],
        false => &[User::Ordinary { become_nobody: false }],
    };
    let mut columns = Vec::new();
    for &user in users {
        columns.extend(MODES.iter().map(|&mode| Column { user, mode }));
    }
    columns
}

/// The rows that this machine can run; the others are counted as not obtainable.
fn obtainable(home: &Path, only: &str, count: &mut Count) -> VecDeque<Row> {
    let mut rows = VecDeque::new();
    for family in FAMILIES {
        for program in family.programs.iter().copied().flatten() {
            let name = format!("{} {}", family.runtime, program.library);
            if !name.contains(only) {
                continue;
            }
            let words: Vec<&str> = family.command.iter().chain([&program.file]).copied().collect();
            let is_package = words[0].contains("node_modules/");
            if is_package && !home.join(words[0]).exists() && !cfg!(target_arch = "x86_64") {
                count.miss(&name, "its package is for x86-64");
                continue;
            }
            let words = words.into_iter().map(str::to_owned).collect();
            rows.push_back(Row { name, program: words, proof: program.proof });
        }
    }
    rows
}

/// Runs the rows, two at a time, and prints each when its cells are known.
fn run_rows(place: &Place, columns: &[Column], rows: VecDeque<Row>, count: &mut Count) {
    let (rows, count) = (Mutex::new(rows), Mutex::new(count));
    let next = || rows.lock().expect("no worker panics").pop_front();
    let work = || {
        while let Some(row) = next() {
            let cells = columns.iter().map(|column| place.try_row(&row, *column)).collect();
            count.lock().expect("no worker panics").add(&row.name, columns, cells);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(work);
        }
    });
}

impl Count {
    /// Fails when anything failed or nothing ran.
    pub fn verdict(self) -> Outcome {
        match (self.passed, self.failed) {
            (0, 0) => Err("no row of the matrix is called so".to_owned()),
            (_, 0) => Ok(()),
            (_, failed) => Err(format!("{failed} cells of the matrix do not work")),
        }
    }

    /// Prints a row, and below it why it does not work.
    fn add(&mut self, name: &str, columns: &[Column], cells: Vec<Result<(), String>>) {
        let words: Vec<String> = cells
            .iter()
            .map(|cell| if cell.is_ok() { "works" } else { "does not" }.to_owned())
            .collect();
        println!("{name:<36}{}", in_columns(&words));
        for (column, cell) in columns.iter().zip(cells) {
            match cell {
                Ok(()) => self.passed += 1,
                Err(why) => {
                    self.failed += 1;
                    println!("    {} does not: {why}", column.title());
                }
            }
        }
    }

    fn miss(&mut self, name: &str, why: &str) {
        self.not_obtainable += 1;
        println!("{name:<36}not obtainable: {why}");
    }
}

impl User {
    fn name(self) -> &'static str {
        if self == Self::Root { "root" } else { "user" }
    }
}

impl Column {
    fn title(&self) -> String {
        format!("{} {}", self.user.name(), self.mode)
    }
}

impl Place {
    /// Installs and builds what is needed, and starts the server.
    fn prepare() -> Result<Self, String> {
        let mut home = install::install()?;
        run::cargo(&["build", "-p", "offhook"])?;
        let name = format!("offhook-matrix-{}", std::process::id());
        let scratch = Scratch(std::env::temp_dir().join(name));
        let path = &scratch.0;
        let failed = |error| format!("{}: {error}", path.display());
        std::fs::create_dir_all(path).map_err(failed)?;
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).map_err(failed)?;
        let offhook = path.join("offhook");
        std::fs::copy(run::target().join("debug/offhook"), &offhook).map_err(failed)?;
        for user in ["root", "user"] {
            let folder = path.join(user);
            std::fs::create_dir(&folder).map_err(failed)?;
            if user == "user" && is_root() {
                chown(&folder, Some(NOBODY), Some(NOBODY)).map_err(failed)?;
            }
        }
        let log = home.join("offhook.log");
        if is_root() && !is_open_to_all(&home) {
            println!("{} is closed to other users: they get a copy", home.display());
            let copy = path.join("programs");
            run::command("cp", &["-a", &home.display().to_string(), &copy.display().to_string()])?;
            home = copy;
        }
        let server = Server::start(&offhook, &path.join("server"), &log)?;
        Ok(Self { server, offhook, home, scratch })
    }

    /// `offhook run -- PROGRAM` as a column says, in an environment of its own.
    fn command(
        &self,
        column: Column,
        wrapper: &[&str],
        folder: &Path,
        program: &[String],
    ) -> Command {
        let home = self.scratch.0.join(column.user.name());
        let nobody = NOBODY.to_string();
        let mut words: Vec<&str> = wrapper.to_vec();
        if column.user == (User::Ordinary { become_nobody: true }) {
            words.extend(["setpriv", "--reuid", &nobody, "--regid", &nobody, "--clear-groups"]);
        }
        let offhook = self.offhook.display().to_string();
        words.extend([&offhook, "--url", &self.server.url, "run", "--mode", column.mode, "--"]);
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(program).current_dir(folder).env_clear();
        let tools = ["cli/node_modules/.bin", "node/node_modules/node-20/bin"]
            .map(|folder| self.home.join(folder).display().to_string());
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", tools.join(":"));
        command.env("PATH", path).env("LANG", "C.UTF-8").env("HOME", &home);
        command.env("OFFHOOK_STATE", home.join("state"));
        command.stdin(std::process::Stdio::null());
        command
    }

    /// Runs a program and asks the server whether it really arrived.
    fn try_row(&self, row: &Row, column: Column) -> Result<(), String> {
        let text = format!("{}, {}", row.name, column.title());
        let program = [&row.program[..], std::slice::from_ref(&text)].concat();
        let output = self
            .command(column, &["timeout", "--kill-after=5", BOUND], &self.home, &program)
            .output()
            .map_err(|error| format!("timeout: {error}"))?;
        let (out, err) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        match output.status.code() {
            Some(0) => {}
            Some(124 | 137) => return Err(format!("no end after {BOUND} s; {}", reason(&err))),
            _ => return Err(reason(&err)),
        }
        let reached = out.lines().find_map(|line| line.strip_prefix("reached "));
        let reached = reached.ok_or_else(|| format!("it reached nothing: {}", reason(&err)))?;
        match row.proof {
            Proof::Message => self.check_message(reached.trim(), &text),
            Proof::Mail => self.check_mail(&text),
            Proof::Answer { host } => check_answer(reached, host, &err),
        }
    }

    /// The programs write to this address.
    fn check_mail(&self, subject: &str) -> Result<(), String> {
        let path = "/_offhook/v1/mailboxes/customer@example.com/mails?limit=1000";
        let arrived = || {
            let found = self.server.get(path).ok()?;
            let mut mails = found["mails"].as_array()?.iter();
            mails.any(|mail| mail["subject"] == subject).then_some(())
        };
        let found = server::wait_for(std::time::Duration::from_secs(10), arrived);
        found.ok_or_else(|| "the mail did not arrive".to_owned())
    }

    fn check_message(&self, sid: &str, text: &str) -> Result<(), String> {
        let path = format!("Messages/{sid}.json");
        let message = self.server.rest(&self.server.login, &path, &[])?;
        match message["body"] == text {
            true => Ok(()),
            false => Err(format!("the server has {} for {sid}", message["body"])),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The program saw an HTTP status, and `offhook run` says that it intercepted the host.
fn check_answer(reached: &str, host: &str, err: &str) -> Result<(), String> {
    let status = reached.split_whitespace().next().unwrap_or_default();
    if status.len() != 3 || !status.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("'{reached}' is no HTTP status"));
    }
    let is_said = err.lines().any(|line| line.starts_with("offhook") && line.contains(host));
    if is_said { Ok(()) } else { Err(format!("{status}, but {host} was not intercepted")) }
}

/// What a failed program and `offhook run` said about it, in a line.
fn reason(err: &str) -> String {
    let lines = err.lines().map(str::trim).filter(|line| !line.is_empty());
    let (ours, theirs): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with("offhook"));
    let is_error = |line: &&&str| ["rror: ", "xception: "].iter().any(|word| line.contains(word));
    let error = theirs.iter().rfind(is_error).or(theirs.last());
    let said: Vec<String> =
        error.into_iter().chain(ours.last()).map(|line| line.chars().take(200).collect()).collect();
    said.join("; ")
}

/// Whether everybody may read a folder: no directory above it is closed.
fn is_open_to_all(folder: &Path) -> bool {
    folder
        .ancestors()
        .filter(|path| !path.as_os_str().is_empty())
        .all(|path| path.metadata().is_ok_and(|found| found.permissions().mode() & 0o005 == 0o005))
}

fn in_columns(cells: &[String]) -> String {
    let padded: Vec<String> = cells.iter().map(|cell| format!("{cell:<15}")).collect();
    padded.concat().trim_end().to_owned()
}

fn is_root() -> bool {
    run::output("id", &["-u"]).is_some_and(|id| id.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_programs_error_and_our_own_last_line() {
        let err = "offhook: ready\nOSError: unknown name\n    at line 1\n\
                   offhook: nothing was intercepted\n";
        assert_eq!(reason(err), "OSError: unknown name; offhook: nothing was intercepted");
    }

    #[test]
    fn an_answer_is_a_status_from_an_intercepted_host() {
        let said = "offhook: intercepted 1 request: api.segment.io 1";
        assert!(check_answer("404 Not Found", "api.segment.io", said).is_ok());
        assert!(check_answer("404 Not Found", "api.sendgrid.com", said).is_err());
        assert!(check_answer("nothing", "api.segment.io", said).is_err());
        assert!(check_answer("404", "api.segment.io", "it reached api.segment.io").is_err());
    }
}
