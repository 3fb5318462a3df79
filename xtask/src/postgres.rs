//! A PostgreSQL server for one test run: own directory, own port, gone at the end.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use crate::{needs, run};

/// A running server; stopped and removed when dropped.
pub struct Postgres {
    programs: String,
    directory: PathBuf,
    port: u16,
}

impl Postgres {
    /// Starts a server on a free loopback port.
    pub fn start() -> Result<Self, String> {
        let programs = needs::postgres_programs()?;
        let directory =
            std::env::temp_dir().join(format!("offhook-postgres-{}", std::process::id()));
        std::fs::create_dir_all(&directory).map_err(|error| format!("{directory:?}: {error}"))?;
        let server = Self { programs, directory, port: free_port()? };
        if run::is_root() {
            // PostgreSQL refuses to run as root.
            run::command("chown", &["postgres", &server.path("")])?;
        }
        let data = server.path("data");
        server.run("initdb", &["-D", &data, "-A", "trust", "-U", "offhook", "-N"])?;
        let (options, log) = (server.options(server.port), server.path("log"));
        server.run("pg_ctl", &["-D", &data, "-o", &options, "-l", &log, "-w", "start"])?;
        Ok(server)
    }

    /// Where databases can be made.
    pub fn url(&self) -> String {
        format!("postgres://offhook@127.0.0.1:{}/postgres", self.port)
    }

    /// The command of a shell that ends the server as a crash would, and starts it again.
    pub fn crash_and_restart(&self) -> String {
        let (place, programs) = (self.path(""), self.programs_of_a_shell());
        format!("cd {place} && {programs}/pg_ctl -D data -l log -m immediate -w restart")
    }

    /// Starts a second server that has every commit before it is acknowledged. The command of a shell
    /// that ends the first as a crash would, lets the second take its place and its address, and
    /// starts another second one.
    pub fn with_standby(&self) -> Result<String, String> {
        let programs = self.programs_of_a_shell();
        let (first, second) = (self.options(self.port), self.options(free_port()?));
        let url = self.url();
        let standby = format!(
            "{programs}/pg_basebackup -D spare -R -X stream -c fast -N -d {url} && \
             {programs}/pg_ctl -D spare -o '{second}' -l spare.log -w start && \
             {programs}/psql -X -q -d {url} -c \"ALTER SYSTEM SET synchronous_standby_names = '*'\" \
             -c 'SELECT pg_reload_conf()'"
        );
        let place = format!("cd {}", self.path(""));
        let made = Command::new("sh")
            .args(["-c", &format!("{place} && {standby}")])
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .status();
        if !made.is_ok_and(|status| status.success()) {
            return Err("a standby of PostgreSQL could not be made".to_owned());
        }
        Ok(format!(
            "{place} && {programs}/pg_ctl -D data -m immediate -w stop && \
             {programs}/pg_ctl -D spare -w promote && {programs}/pg_ctl -D spare -m fast -w stop && \
             rm -rf data && mv spare data && \
             {programs}/pg_ctl -D data -o '{first}' -l log -w start && {standby}"
        ))
    }

    /// Before `/pg_ctl` and its like: PostgreSQL refuses to run as root.
    fn programs_of_a_shell(&self) -> String {
        let user = if run::is_root() { "runuser -u postgres -- " } else { "" };
        format!("{user}{}", self.programs)
    }

    fn options(&self, port: u16) -> String {
        let directory = self.path("");
        format!("-p {port} -c listen_addresses=127.0.0.1 -c max_connections=400 -k {directory}")
    }

    fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    fn run(&self, program: &str, args: &[&str]) -> Result<(), String> {
        let program = format!("{}/{program}", self.programs);
        let mut command = if run::is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--", &program]);
            command
        } else {
            Command::new(&program)
        };
        let output = command
            .args(args)
            .current_dir(&self.directory)
            // A server that inherits our pipes keeps them open for ever.
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status();
        match output {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("{program} {}: {status}", args.join(" "))),
            Err(error) => Err(format!("{program}: {error}")),
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        for server in ["spare", "data"] {
            let directory = self.path(server);
            if std::path::Path::new(&directory).exists() {
                let _ = self.run("pg_ctl", &["-D", &directory, "-m", "immediate", "-w", "stop"]);
            }
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|error| format!("no free port: {error}"))
}
