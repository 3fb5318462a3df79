//! Calls over SIP: how many are set up a second, each with a document of its own, beside SIPp against
//! itself; and how the sound keeps its time under many calls at once.

use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::Outcome;
use crate::load;
use crate::process::{Server, fresh_directory, local};
use crate::report::{figure, say};

type Failure = Box<dyn std::error::Error>;

/// Rates that are tried, in calls a second, until one fails.
const RATES: [u32; 7] = [50, 100, 150, 200, 300, 400, 600];
/// How long each rate is kept.
const RATE_SECONDS: u32 = 10;
/// How long the sound is watched.
const WATCHED: Duration = Duration::from_secs(10);
/// How calls are brought up for it.
const RAMP: u32 = 50;

/// The document that every call gets.
#[derive(Clone, Default)]
struct Document(Arc<Mutex<String>>);

impl Document {
    fn set(&self, inside: &str) {
        let whole = format!("<Response>{inside}</Response>");
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = whole;
    }

    async fn serve(&self) -> Result<u16, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let this = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let this = this.clone();
                tokio::spawn(async move {
                    // A caller that breaks off gets no document.
                    let _ = this.answer(stream).await;
                });
            }
        });
        Ok(port)
    }

    async fn answer(&self, mut stream: TcpStream) -> Result<(), Failure> {
        let mut buffer = vec![0; 16 * 1024];
        let mut length = 0;
        while !buffer[..length].windows(4).any(|four| four == b"\r\n\r\n") {
            match stream.read(&mut buffer[length..]).await? {
                0 => return Ok(()),
                count => length += count,
            }
        }
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await?;
        // What is left of the request is read, so that the answer is not reset away.
        stream.shutdown().await?;
        while stream.read(&mut buffer).await? > 0 {}
        Ok(())
    }
}

/// A port that nobody has, for UDP and for TCP.
fn sip_port() -> Result<u16, Failure> {
    for _ in 0..100 {
        let udp = UdpSocket::bind("127.0.0.1:0")?;
        let port = udp.local_addr()?.port();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no port is free for both UDP and TCP".into())
}

/// A SIPp that answers everything, with its sound sent back.
struct Answerer {
    child: Child,
    port: u16,
}

impl Answerer {
    fn start() -> Result<Self, Failure> {
        let (port, media) = (sip_port()?, 40_000);
        let child = Command::new("sipp")
            .args(["-sn", "uas", "-i", "127.0.0.1", "-p", &port.to_string()])
            .args(["-rtp_echo", "-mp", &media.to_string(), "-nostdin", "-buff_size", "4000000"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("sipp: {error}; install sip-tester"))?;
        std::thread::sleep(Duration::from_millis(300));
        Ok(Self { child, port })
    }
}

impl Drop for Answerer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a SIPp that calls has done.
struct Called {
    good: u64,
    failed: u64,
    /// Over the whole run.
    per_second: f64,
}

/// Calls `target`, each call for `millis`.
fn caller(target: u16, user: &str, rate: u32, count: u32, millis: u32) -> Result<Child, Failure> {
    let directory = fresh_directory("sipp")?;
    let port = sip_port()?;
    let child = Command::new("sipp")
        .arg(local(target))
        .args(["-s", user, "-sn", "uac", "-i", "127.0.0.1", "-p", &port.to_string()])
        .args(["-r", &rate.to_string(), "-m", &count.to_string(), "-l", &count.to_string()])
        .args(["-d", &millis.to_string(), "-nostdin", "-rtp_echo", "-mp", "50000"])
        .args(["-trace_stat", "-stf"])
        .arg(directory.join("stat.csv"))
        .args(["-fd", "1", "-timeout", "240", "-buff_size", "4000000"])
        .current_dir(&directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("sipp: {error}; install sip-tester"))?;
    Ok(child)
}

/// Waits for the caller; what its statistics say.
fn finish(mut child: Child) -> Result<Called, Failure> {
    child.wait()?;
    let file = fresh_path("sipp")?.join("stat.csv");
    let text = std::fs::read_to_string(&file)?;
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split(';').collect();
    let last: Vec<&str> = lines.next_back().unwrap_or_default().split(';').collect();
    let column = |name: &str| {
        let at = names.iter().position(|known| *known == name);
        at.and_then(|at| last.get(at)).map_or("", |text| *text)
    };
    let number = |name: &str| column(name).parse().unwrap_or(0);
    Ok(Called {
        good: number("SuccessfulCall(C)"),
        failed: number("FailedCall(C)"),
        per_second: column("CallRate(C)").parse().unwrap_or(0.0),
    })
}

/// Where [`fresh_directory`] put it.
fn fresh_path(name: &str) -> Result<std::path::PathBuf, Failure> {
    let near = std::env::current_exe()?;
    let near = near.parent().map_or_else(std::env::temp_dir, std::path::Path::to_path_buf);
    Ok(near.join(format!("bench-{name}-{}", std::process::id())))
}

/// The highest rate at which every call succeeds.
fn ceiling(target: u16, user: &str) -> Result<u32, Failure> {
    let mut best = 0;
    for rate in RATES {
        let called = finish(caller(target, user, rate, rate * RATE_SECONDS, 200)?)?;
        let kept = called.per_second >= f64::from(rate) * 0.8;
        say!(
            "    {rate:>4} a second: {} good, {} failed, {:.0} a second over all",
            called.good,
            called.failed,
            called.per_second
        );
        if called.failed > 0 || called.good < u64::from(rate * RATE_SECONDS) || !kept {
            break;
        }
        best = rate;
    }
    Ok(best)
}

/// The engine's counters.
#[derive(Clone, Debug, Default)]
struct Ticks {
    legs: u64,
    /// Upper bound in microseconds, and how many ticks were done within it.
    within: Vec<(u64, u64)>,
    skipped: u64,
}

async fn ticks(server: &Server) -> Result<Ticks, Failure> {
    let text = server.text("/metrics").await?;
    let mut ticks = Ticks::default();
    for line in text.lines() {
        let Some((name, value)) = line.rsplit_once(' ') else { continue };
        let value = value.parse::<f64>().unwrap_or(0.0) as u64;
        if let Some(bound) = name.strip_prefix("offhook_sound_ticks{le=\"") {
            let bound = bound.trim_end_matches("\"}");
            ticks.within.push((bound.parse().unwrap_or(u64::MAX), value));
        } else if name == "offhook_sound_legs" {
            ticks.legs = value;
        } else if name == "offhook_sound_ticks_skipped" {
            ticks.skipped = value;
        }
    }
    ticks.within.sort_unstable();
    Ok(ticks)
}

/// The bound within which this share of the ticks between two looks was done.
fn within(before: &Ticks, after: &Ticks, share: f64) -> String {
    let past = |bound: u64| {
        let known = before.within.iter().find(|(known, _)| *known == bound);
        known.map_or(0, |(_, count)| *count)
    };
    let since: Vec<(u64, u64)> =
        after.within.iter().map(|(bound, count)| (*bound, count - past(*bound))).collect();
    let all = since.last().map_or(0, |(_, count)| *count);
    let enough = (all as f64 * share).ceil() as u64;
    match since.iter().find(|(_, count)| *count >= enough) {
        Some((bound, _)) if *bound < u64::MAX => format!("{:.2} ms", *bound as f64 / 1000.0),
        _ => "over 100 ms".to_owned(),
    }
}

/// Prints what there is to know of calls.
pub async fn run(concurrent: u32) -> Outcome {
    let document = Document::default();
    document.set("<Gather timeout=\"30\"/>");
    let hook = document.serve().await?;
    let answerer = Answerer::start()?;
    let sip = sip_port()?;
    let text = format!(
        "[carriers.sip]\nlisten = ['127.0.0.1:{sip}']\ncalls_max = 5000\n\
         [[carriers.sip.trunks]]\nname = 'bench'\nfrom = ['127.0.0.1/32']\n"
    );
    let server = Server::configured(&text).await?;
    let number = server.point_number_at(&format!("http://127.0.0.1:{hook}/")).await?;

    say!("calls set up a second, SIPp as caller, {RATE_SECONDS} s for each rate");
    say!("  sipp to sipp");
    let plain = tokio::task::block_in_place(|| ceiling(answerer.port, "bench"))?;
    say!("  sipp to offhook, a document for each call");
    let ours = tokio::task::block_in_place(|| ceiling(sip, number.trim_start_matches('+')))?;
    figure("calls.per_second", f64::from(ours));
    say!("offhook keeps {ours} a second, sipp to sipp {plain} of the rates tried");

    // Calls of the last rate, which was too much, are still there.
    for _ in 0..60 {
        if ticks(&server).await?.legs == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    say!("\nsound of {concurrent} calls at once, watched for {} s", WATCHED.as_secs());
    say!(
        "{:<22} {:>6} {:>11} {:>11} {:>8} {:>6} {:>12}",
        "what",
        "legs",
        "p50 late",
        "p99 late",
        "skipped",
        "cores",
        "KiB a call"
    );
    let dialled = format!("<Dial><Sip>sip:bench@127.0.0.1:{}</Sip></Dial>", answerer.port);
    for (what, inside, calls) in [
        ("music", "<Enqueue>bench</Enqueue>".to_owned(), concurrent),
        ("bridged by Dial", dialled, concurrent),
        ("one conference of 100", "<Dial><Conference>bench</Conference></Dial>".to_owned(), 100),
    ] {
        document.set(&inside);
        let idle = server.resident_kib();
        let ramp = calls.div_ceil(RAMP);
        let millis = (ramp + 6) * 1000 + WATCHED.as_millis() as u32;
        let user = number.trim_start_matches('+').to_owned();
        let child = caller(sip, &user, RAMP, calls, millis)?;
        tokio::time::sleep(Duration::from_secs(u64::from(ramp) + 3)).await;
        let (before, cpu) = (ticks(&server).await?, server.cpu_seconds());
        let began = Instant::now();
        tokio::time::sleep(WATCHED).await;
        let (after, busy) = (ticks(&server).await?, server.cpu_seconds() - cpu);
        let resident = server.resident_kib().saturating_sub(idle);
        if what == "bridged by Dial" {
            let late = within(&before, &after, 0.99);
            let millis = late.strip_suffix(" ms").and_then(|text| text.parse().ok());
            figure("calls.bridged.late_ms", millis.unwrap_or(f64::INFINITY));
            figure("calls.bridged.kib", (resident / u64::from(calls.max(1))) as f64);
            figure("calls.bridged", f64::from(calls));
        }
        say!(
            "{what:<22} {:>6} {:>11} {:>11} {:>8} {:>6.2} {:>12}",
            after.legs,
            within(&before, &after, 0.5),
            within(&before, &after, 0.99),
            after.skipped - before.skipped,
            busy / began.elapsed().as_secs_f64(),
            resident / u64::from(calls.max(1)),
        );
        let called = tokio::task::block_in_place(|| finish(child))?;
        if called.failed > 0 {
            say!("    {} of {calls} calls failed", called.failed);
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    say!("late: how long after its time a tick of 20 ms was done, which is the jitter it adds");
    Ok(())
}

impl Server {
    /// Lets the platform's first number ask this URL about calls; the number.
    async fn point_number_at(&self, url: &str) -> Result<String, Failure> {
        let (host, path, authorization, from) = self.submission();
        let account = path.trim_end_matches("/Messages.json");
        let list = format!("{account}/IncomingPhoneNumbers.json");
        let request = format!("GET {list} HTTP/1.1\r\nHost: {host}\r\n{authorization}\r\n");
        let numbers = self.json(&request).await?;
        let found = numbers["incoming_phone_numbers"].as_array().into_iter().flatten();
        let sid = found
            .filter(|number| number["phone_number"].as_str() == Some(from.as_str()))
            .find_map(|number| number["sid"].as_str())
            .ok_or("the platform has no number")?;
        let body: String =
            form_urlencoded::Serializer::new(String::new()).append_pair("VoiceUrl", url).finish();
        let request = format!(
            "POST {account}/IncomingPhoneNumbers/{sid}.json HTTP/1.1\r\nHost: {host}\r\n\
             {authorization}Content-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.json(&request).await?;
        Ok(from)
    }

    async fn json(&self, request: &str) -> Result<serde_json::Value, Failure> {
        Ok(serde_json::from_str(&self.exchange(request).await?)?)
    }

    /// A page as text.
    pub async fn text(&self, path: &str) -> Result<String, Failure> {
        let (host, ..) = self.submission();
        self.exchange(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await
    }

    async fn exchange(&self, request: &str) -> Result<String, Failure> {
        let (host, ..) = self.submission();
        let mut stream = TcpStream::connect(&host).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut buffer = vec![0; 256 * 1024];
        let answer = load::read_response(&mut stream, &mut buffer).await;
        let (_, body) = answer.map_err(|error| error.to_string())?;
        Ok(String::from_utf8(body)?)
    }
}
