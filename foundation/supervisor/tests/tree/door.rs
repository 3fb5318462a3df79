//! A front door that greets whoever comes.

use std::io::Write;
use std::net::{SocketAddr, SocketAddrV4, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// What everybody hears who reaches a door.
pub const GREETING: &str = "you reached the door";

pub struct Door {
    pub address: SocketAddrV4,
    /// The local port of each who came.
    pub came: Receiver<u16>,
}

impl Door {
    pub fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let SocketAddr::V4(address) = listener.local_addr().unwrap() else { unreachable!() };
        let (tell, came) = channel();
        std::thread::spawn(move || {
            while let Ok((mut stream, peer)) = listener.accept() {
                // Some leave before they are greeted.
                let _ = stream.write_all(GREETING.as_bytes());
                if tell.send(peer.port()).is_err() {
                    return;
                }
            }
        });
        Self { address, came }
    }

    /// The port of the next who comes.
    pub fn next(&self) -> u16 {
        self.came.recv_timeout(Duration::from_secs(10)).expect("somebody comes")
    }
}
