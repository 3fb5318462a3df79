//! What `offhook run` costs a program's other traffic: paired rounds of 1,000 connections
//! to a server that is not intercepted, each with one small exchange.
//!
//! The program under test is this one again. It times itself, so that neither its start
//! nor that of `offhook run` counts.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Instant;

use crate::Outcome;
use crate::process::{fresh_directory, platform_binary};
use crate::report::{figure, say};

const ROUNDS: usize = 9;
const EXCHANGE: &[u8; 16] = b"sixteen bytes !\n";

/// Prints the median of the rounds, with and without.
pub fn run(connections: usize) -> Outcome {
    let port = serve()?;
    let home = fresh_directory("foreign")?;
    let me = std::env::current_exe()?;
    let port = port.to_string();
    let count = connections.to_string();
    let args = ["connect", port.as_str(), count.as_str()];
    say!("{connections} foreign connections per round, {ROUNDS} rounds in turn, 16 bytes each way");
    say!("{:<24} {:>12} {:>10}", "program", "µs each", "of plain");
    let (mut plain, mut supervised) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        plain.push(measured(Command::new(&me).args(args))?);
        let mut command = Command::new(platform_binary()?);
        command.args(["--data".as_ref(), home.as_os_str()]);
        command.args(["run", "--quiet", "--mode", "syscall", "--"]).arg(&me).args(args);
        command.env("OFFHOOK_STATE", home.join("state"));
        supervised.push(measured(&mut command)?);
    }
    let (plain, supervised) = (median(plain), median(supervised));
    say!("{:<24} {plain:>12.1} {:>8} %", "plain", 100);
    let share = supervised / plain * 100.0;
    figure("foreign.share", share / 100.0);
    say!("{:<24} {supervised:>12.1} {share:>8.0} %", "under offhook run");
    let _ = std::fs::remove_dir_all(home);
    Ok(())
}

/// The program under test: prints microseconds per connection.
pub fn connect(port: u16, connections: usize) -> Outcome {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let started = Instant::now();
    for _ in 0..connections {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(EXCHANGE)?;
        stream.read_exact(&mut [0; 16])?;
    }
    println!("{}", started.elapsed().as_secs_f64() * 1e6 / connections as f64);
    Ok(())
}

fn measured(command: &mut Command) -> Result<f64, Box<dyn std::error::Error>> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// A server that answers each connection with what it sent, as long as this process lives.
fn serve() -> std::io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let answered = stream.and_then(|mut stream| {
                let mut bytes = [0; 16];
                stream.read_exact(&mut bytes)?;
                stream.write_all(&bytes)
            });
            if let Err(error) = answered {
                eprintln!("the foreign server: {error}");
            }
        }
    });
    Ok(port)
}
