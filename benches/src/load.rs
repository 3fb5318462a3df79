//! A plain HTTP/1.1 load: keep-alive connections, one request each at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What one load measured.
pub struct Measured {
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// The text of request `n`.
pub type Request = Arc<dyn Fn(usize) -> String + Send + Sync>;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Of several rounds the one in the middle: what a machine does meanwhile makes some slower, some
/// faster.
pub fn median(mut rounds: Vec<Measured>) -> Option<Measured> {
    rounds.sort_by(|one, other| one.per_second.total_cmp(&other.per_second));
    let middle = rounds.len() / 2;
    (!rounds.is_empty()).then(|| rounds.swap_remove(middle))
}

/// Sends `total` requests over `connections` connections; each must be answered 201.
pub async fn run(
    address: &str,
    connections: usize,
    total: usize,
    request: Request,
) -> Result<Measured, Failure> {
    run_for(201, address, connections, total, request).await
}

/// As [`run`], for a server whose success is another status.
pub async fn run_for(
    success: u16,
    address: &str,
    connections: usize,
    total: usize,
    request: Request,
) -> Result<Measured, Failure> {
    let next = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let (address, next, request) = (address.to_owned(), next.clone(), request.clone());
        tasks.push(tokio::spawn(async move {
            let mut stream = TcpStream::connect(&address).await?;
            stream.set_nodelay(true)?;
            let mut buffer = vec![0u8; 16 * 1024];
            let mut times = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= total {
                    return Ok::<_, Failure>(times);
                }
                let text = request(at);
                let began = Instant::now();
                stream.write_all(text.as_bytes()).await?;
                let (status, _) = read_response(&mut stream, &mut buffer).await?;
                if status != success {
                    return Err(format!("answered {status}, not {success}").into());
                }
                times.push(began.elapsed());
            }
        }));
    }
    let mut times: Vec<Duration> = Vec::with_capacity(total);
    for task in tasks {
        times.extend(task.await??);
    }
    Ok(measured(times, started.elapsed()))
}

fn measured(mut times: Vec<Duration>, elapsed: Duration) -> Measured {
    times.sort_unstable();
    let at = |share: f64| {
        let index = ((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1));
        times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    };
    let per_second = times.len() as f64 / elapsed.as_secs_f64();
    Measured { per_second, p50_ms: at(0.50), p99_ms: at(0.99) }
}

/// Sends `rate` requests a second for `seconds`, whatever is answered when; each is timed from when
/// it was due, so that a server that stalls does not hide what waited meanwhile.
pub async fn paced(
    success: u16,
    address: &str,
    rate: f64,
    seconds: f64,
    connections: usize,
    request: Request,
) -> Result<Measured, Failure> {
    let next = Arc::new(AtomicUsize::new(0));
    let total = (rate * seconds) as usize;
    let started = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let (address, next, request) = (address.to_owned(), next.clone(), request.clone());
        tasks.push(tokio::spawn(async move {
            let mut stream = TcpStream::connect(&address).await?;
            stream.set_nodelay(true)?;
            let mut buffer = vec![0u8; 16 * 1024];
            let mut times = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= total {
                    return Ok::<_, Failure>(times);
                }
                let text = request(at);
                let due = started + Duration::from_secs_f64(at as f64 / rate);
                tokio::time::sleep_until(due.into()).await;
                stream.write_all(text.as_bytes()).await?;
                let (status, _) = read_response(&mut stream, &mut buffer).await?;
                if status != success {
                    return Err(format!("answered {status}, not {success}").into());
                }
                times.push(due.elapsed());
            }
        }));
    }
    let mut times: Vec<Duration> = Vec::with_capacity(total);
    for task in tasks {
        times.extend(task.await??);
    }
    Ok(measured(times, started.elapsed()))
}

/// Status and body of one response; a body without length as it is, chunks and all.
pub async fn read_response(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
) -> Result<(u16, Vec<u8>), Failure> {
    let mut filled = 0;
    loop {
        if filled == buffer.len() {
            buffer.resize(filled * 2, 0);
        }
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Err("the server closed the connection".into());
        }
        filled += read;
        let Some(end) = buffer[..filled].windows(4).position(|w| w == b"\r\n\r\n") else {
            continue;
        };
        let head = std::str::from_utf8(&buffer[..end])?;
        let status = head.get(9..12).unwrap_or_default().parse()?;
        if head.to_ascii_lowercase().contains("\ntransfer-encoding: chunked") {
            if buffer[..filled].ends_with(b"\r\n0\r\n\r\n") {
                return Ok((status, buffer[end + 4..filled].to_vec()));
            }
            continue;
        }
        let length: usize = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(Ok(0), |(_, value)| value.trim().parse())?;
        let whole = end + 4 + length;
        if filled >= whole {
            return Ok((status, buffer[end + 4..whole].to_vec()));
        }
        if buffer.len() < whole {
            buffer.resize(whole, 0);
        }
    }
}
