//! Sockets: datagrams and connections, read into messages and written from octets.
//!
//! Bounds: what has been read waits in one queue, and datagrams that do not fit there are dropped,
//! as the network would; connections are counted, and each has a queue of its own.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sip::message::{self, Message, ReadError};
use sip::transaction::{Flow, Transport};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::config::Config;
use crate::input::Input;
use crate::socket;

/// Messages that wait to be written to a connection.
const WRITES_MAX: usize = 256;
/// A connection on which nothing comes is closed.
pub(crate) const IDLE: Duration = Duration::from_secs(15 * 60);
/// How long the rest of a message may take, and a connection until it stands.
pub(crate) const REST: Duration = Duration::from_secs(30);
pub(crate) const CONNECT: Duration = Duration::from_secs(10);
const DATAGRAM_MAX: usize = 65_535;
/// Names of TLS servers that are remembered.
const NAMES_MAX: usize = 1000;

/// A message that came, and where from.
pub(crate) struct Received {
    pub flow: Flow,
    pub message: Result<Message, ReadError>,
}

type Connections = HashMap<(Transport, SocketAddr), (u64, mpsc::Sender<Vec<u8>>)>;

/// Everything that is listened on and connected to.
pub(crate) struct Wires {
    udp: Vec<(SocketAddr, Arc<UdpSocket>)>,
    tcp: Vec<SocketAddr>,
    tls: Vec<SocketAddr>,
    ws: Vec<SocketAddr>,
    wss: Vec<SocketAddr>,
    external: Option<IpAddr>,
    connections: Mutex<Connections>,
    names: Mutex<HashMap<SocketAddr, String>>,
    next: std::sync::atomic::AtomicU64,
    seats: Arc<Semaphore>,
    inputs: mpsc::Sender<Input>,
    connector: Option<TlsConnector>,
}

/// What is bound, before it is served.
pub(crate) struct Bound {
    udp: Vec<(SocketAddr, Arc<UdpSocket>)>,
    tcp: Vec<(SocketAddr, TcpListener)>,
    tls: Vec<(SocketAddr, TcpListener)>,
    ws: Vec<(SocketAddr, TcpListener)>,
    wss: Vec<(SocketAddr, TcpListener)>,
}

async fn listeners(addresses: &[SocketAddr]) -> std::io::Result<Vec<(SocketAddr, TcpListener)>> {
    let mut all = Vec::new();
    for address in addresses {
        let listener = TcpListener::bind(address).await?;
        all.push((listener.local_addr()?, listener));
    }
    Ok(all)
}

impl Bound {
    /// UDP and TCP on each of `listen`, on one port where it is to be chosen.
    pub(crate) async fn bind(config: &Config) -> std::io::Result<Self> {
        let mut bound = Self {
            udp: Vec::new(),
            tcp: Vec::new(),
            tls: listeners(&config.listen_tls).await?,
            ws: listeners(&config.listen_ws).await?,
            wss: listeners(&config.listen_wss).await?,
        };
        for address in &config.listen {
            let (socket, listener) = bind_both(*address).await?;
            let local = socket.local_addr()?;
            bound.udp.push((local, Arc::new(socket)));
            bound.tcp.push((local, listener));
        }
        Ok(bound)
    }

    pub(crate) fn local(&self) -> Vec<SocketAddr> {
        self.udp.iter().map(|(address, _)| *address).collect()
    }

    pub(crate) fn local_ws(&self) -> Vec<SocketAddr> {
        self.ws.iter().map(|(address, _)| *address).collect()
    }
}

/// Whether messages come by WebSocket.
pub(crate) fn is_socket(transport: Transport) -> bool {
    matches!(transport, Transport::Ws | Transport::Wss)
}

async fn bind_both(address: SocketAddr) -> std::io::Result<(UdpSocket, TcpListener)> {
    let mut tries = 0;
    loop {
        let socket = UdpSocket::bind(address).await?;
        match TcpListener::bind(socket.local_addr()?).await {
            Ok(listener) => return Ok((socket, listener)),
            Err(error) if address.port() != 0 || tries > 20 => return Err(error),
            Err(_) => tries += 1,
        }
    }
}

impl Wires {
    pub(crate) fn serve(
        bound: Bound,
        external: Option<IpAddr>,
        connections_max: usize,
        acceptor: Option<TlsAcceptor>,
        connector: Option<TlsConnector>,
        inputs: mpsc::Sender<Input>,
        stop: &watch::Receiver<bool>,
    ) -> Arc<Self> {
        let addresses = |all: &[(SocketAddr, TcpListener)]| {
            all.iter().map(|(address, _)| *address).collect::<Vec<_>>()
        };
        let wires = Arc::new(Self {
            udp: bound.udp,
            tcp: addresses(&bound.tcp),
            tls: addresses(&bound.tls),
            ws: addresses(&bound.ws),
            wss: addresses(&bound.wss),
            external,
            connections: Mutex::default(),
            names: Mutex::default(),
            next: std::sync::atomic::AtomicU64::new(1),
            seats: Arc::new(Semaphore::new(connections_max)),
            inputs,
            connector,
        });
        for (_, socket) in &wires.udp {
            tokio::spawn(datagrams(socket.clone(), wires.inputs.clone(), stop.clone()));
        }
        for (transport, listeners) in [
            (Transport::Tcp, bound.tcp),
            (Transport::Tls, bound.tls),
            (Transport::Ws, bound.ws),
            (Transport::Wss, bound.wss),
        ] {
            let tls = acceptor.clone().filter(|_| transport.is_secure());
            for (_, listener) in listeners {
                let accepting =
                    wires.clone().accept(listener, transport, tls.clone(), stop.clone());
                tokio::spawn(accepting);
            }
        }
        wires
    }

    /// What others are told to reach us at by this transport when they are at `remote`.
    pub(crate) fn advertised(&self, transport: Transport, remote: IpAddr) -> SocketAddr {
        let udp = || self.udp.iter().map(|(address, _)| *address);
        let mut all: Vec<SocketAddr> = match transport {
            Transport::Udp => udp().collect(),
            Transport::Tls => self.tls.clone(),
            Transport::Tcp => self.tcp.clone(),
            Transport::Ws => self.ws.clone(),
            Transport::Wss => self.wss.clone(),
        };
        all.sort_by_key(|address| address.is_ipv4() != remote.is_ipv4());
        let port = all.first().map_or(5060, SocketAddr::port);
        SocketAddr::new(self.external.unwrap_or_else(|| self.address_to(remote)), port)
    }

    /// The address of ours that packets to `remote` have.
    pub(crate) fn address_to(&self, remote: IpAddr) -> IpAddr {
        let own = self.udp.iter().map(|(address, _)| *address).chain(self.tls.iter().copied());
        let own = own.filter(|own| own.is_ipv4() == remote.is_ipv4());
        if let Some(own) = own.map(|own| own.ip()).find(|ip| !ip.is_unspecified()) {
            return own;
        }
        let any = if remote.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        // Connecting a datagram socket sends nothing, and says which address would be used.
        let found = std::net::UdpSocket::bind(any).and_then(|socket| {
            socket.connect((remote, 9))?;
            socket.local_addr()
        });
        found.map_or(remote, |found| found.ip())
    }

    /// The name by which a TLS server is known.
    pub(crate) fn name(&self, address: SocketAddr, host: &str) {
        let mut names = self.names.lock().unwrap_or_else(|poison| poison.into_inner());
        if names.len() >= NAMES_MAX {
            names.clear();
        }
        names.insert(address, host.to_owned());
    }

    /// Sends octets, or says by [`Input::Lost`] that it cannot.
    pub(crate) fn send(self: &Arc<Self>, flow: Flow, octets: Vec<u8>) {
        if flow.transport == Transport::Udp {
            let fits = |(local, _): &&(SocketAddr, _)| local.is_ipv4() == flow.remote.is_ipv4();
            if let Some((_, socket)) = self.udp.iter().find(fits) {
                // A datagram that the system does not take is repeated, or missed, like a lost one.
                let _ = socket.try_send_to(&octets, flow.remote);
            }
            return;
        }
        let mut all = self.connections.lock().unwrap_or_else(|poison| poison.into_inner());
        if let Some((_, writes)) = all.get(&(flow.transport, flow.remote)) {
            if writes.try_send(octets).is_err() {
                tracing::warn!(remote = %flow.remote, "a SIP connection does not read");
            }
            return;
        }
        // Programs are not connected to: they connect.
        if is_socket(flow.transport) {
            drop(all);
            let wires = self.clone();
            tokio::spawn(async move { wires.lose(flow, 0).await });
            return;
        }
        let (writes, queue) = mpsc::channel(WRITES_MAX);
        let number = self.number();
        // The queue is empty, so the first message fits.
        let _ = writes.try_send(octets);
        all.insert((flow.transport, flow.remote), (number, writes));
        drop(all);
        tokio::spawn(self.clone().connect(flow, number, queue));
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }

    async fn connect(self: Arc<Self>, flow: Flow, number: u64, queue: mpsc::Receiver<Vec<u8>>) {
        let Ok(_seat) = self.seats.clone().try_acquire_owned() else {
            return self.lose(flow, number).await;
        };
        let stream = tokio::time::timeout(CONNECT, TcpStream::connect(flow.remote)).await;
        let Ok(Ok(stream)) = stream else { return self.lose(flow, number).await };
        if flow.transport != Transport::Tls {
            return self.run(stream, flow, number, queue).await;
        }
        let name = {
            let names = self.names.lock().unwrap_or_else(|poison| poison.into_inner());
            names.get(&flow.remote).cloned().unwrap_or_else(|| flow.remote.ip().to_string())
        };
        let (Some(connector), Ok(name)) = (&self.connector, ServerName::try_from(name)) else {
            return self.lose(flow, number).await;
        };
        match tokio::time::timeout(CONNECT, connector.connect(name, stream)).await {
            Ok(Ok(stream)) => self.clone().run(stream, flow, number, queue).await,
            _ => self.lose(flow, number).await,
        }
    }

    async fn lose(&self, flow: Flow, number: u64) {
        {
            let mut all = self.connections.lock().unwrap_or_else(|poison| poison.into_inner());
            let key = (flow.transport, flow.remote);
            if all.get(&key).is_some_and(|(known, _)| *known == number) {
                all.remove(&key);
            }
        }
        // Without an agent there is nobody to tell.
        let _ = self.inputs.send(Input::Lost(flow)).await;
    }

    async fn accept(
        self: Arc<Self>,
        listener: TcpListener,
        transport: Transport,
        tls: Option<TlsAcceptor>,
        mut stop: watch::Receiver<bool>,
    ) {
        loop {
            let accepted = tokio::select! {
                _ = stop.changed() => return,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, remote)) = accepted else { continue };
            let Ok(seat) = self.seats.clone().try_acquire_owned() else { continue };
            let (wires, tls) = (self.clone(), tls.clone());
            tokio::spawn(async move {
                let _seat = seat;
                let number = wires.number();
                let flow = Flow { transport, remote, connection: number };
                let (writes, queue) = mpsc::channel(WRITES_MAX);
                {
                    let mut all = wires.connections.lock().unwrap_or_else(|p| p.into_inner());
                    all.insert((transport, remote), (number, writes));
                }
                match tls {
                    None => wires.run(stream, flow, number, queue).await,
                    Some(tls) => match tokio::time::timeout(CONNECT, tls.accept(stream)).await {
                        Ok(Ok(stream)) => wires.run(stream, flow, number, queue).await,
                        _ => wires.lose(flow, number).await,
                    },
                }
            });
        }
    }

    /// A connection until either side is done with it.
    async fn run<S: AsyncRead + AsyncWrite + Unpin>(
        self: Arc<Self>,
        stream: S,
        flow: Flow,
        number: u64,
        queue: mpsc::Receiver<Vec<u8>>,
    ) {
        if is_socket(flow.transport) {
            socket::run(stream, flow, queue, &self.inputs).await;
            return self.lose(flow, number).await;
        }
        self.run_stream(stream, flow, number, queue).await;
    }

    async fn run_stream<S: AsyncRead + AsyncWrite + Unpin>(
        self: Arc<Self>,
        stream: S,
        flow: Flow,
        number: u64,
        mut queue: mpsc::Receiver<Vec<u8>>,
    ) {
        let (mut reads, mut writes) = tokio::io::split(stream);
        let mut pending = Vec::new();
        let mut octets = vec![0; 8192];
        loop {
            let patience = if pending.is_empty() { IDLE } else { REST };
            tokio::select! {
                next = queue.recv() => {
                    let Some(next) = next else { break };
                    let written = tokio::time::timeout(REST, writes.write_all(&next)).await;
                    if !matches!(written, Ok(Ok(()))) {
                        break;
                    }
                }
                read = tokio::time::timeout(patience, reads.read(&mut octets)) => {
                    let Ok(Ok(length @ 1..)) = read else { break };
                    pending.extend_from_slice(&octets[..length]);
                    let Ok(pings) = self.messages(flow, &mut pending).await else { break };
                    for _ in 0..pings {
                        if writes.write_all(b"\r\n").await.is_err() {
                            break;
                        }
                    }
                }
            }
        }
        self.lose(flow, number).await;
    }

    /// Tells every whole message; how many pings were among them (RFC 5626 §3.5.1).
    async fn messages(&self, flow: Flow, pending: &mut Vec<u8>) -> Result<usize, ()> {
        let mut pings = 0;
        loop {
            while pending.starts_with(b"\r\n\r\n") {
                pending.drain(..4);
                pings += 1;
            }
            while pending.starts_with(b"\r\n") && pending.len() > 2 {
                pending.drain(..2);
            }
            let length = match message::frame(pending) {
                Ok(Some(length)) => length,
                Ok(None) => return Ok(pings),
                Err(_) => {
                    // The sender is told if it is a request, and nothing is read after it.
                    let message = message::read(pending);
                    let _ = self.inputs.send(Input::Message(Received { flow, message })).await;
                    return Err(());
                }
            };
            let message = message::read(&pending[..length]);
            pending.drain(..length);
            let received = Input::Message(Received { flow, message });
            self.inputs.send(received).await.map_err(|_| ())?;
        }
    }
}

async fn datagrams(
    socket: Arc<UdpSocket>,
    inputs: mpsc::Sender<Input>,
    mut stop: watch::Receiver<bool>,
) {
    let mut octets = vec![0; DATAGRAM_MAX];
    loop {
        let read = tokio::select! {
            _ = stop.changed() => return,
            read = socket.recv_from(&mut octets) => read,
        };
        // Of an earlier datagram that nobody took: ICMP says so here.
        let Ok((length, remote)) = read else { continue };
        let message = message::read(&octets[..length]);
        if matches!(message, Err(ReadError::Drop(_))) {
            continue;
        }
        let flow = Flow { transport: Transport::Udp, remote, connection: 0 };
        // Under a flood what does not fit is dropped, and repeated by whoever means it.
        let _ = inputs.try_send(Input::Message(Received { flow, message }));
    }
}
