//! A voice for recordings of simulated handsets: `espeak-ng`, where it is installed.

use std::process::Stdio;
use std::time::Duration;

use contracts::{BoxFuture, Speaker};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// How long one recording may take to be spoken.
const PATIENCE: Duration = Duration::from_secs(20);
/// Samples a second of telephone sound.
const RATE: u32 = 8000;

/// Runs `espeak-ng`, which takes the text from its input and writes WAV.
pub struct Espeak;

impl Speaker for Espeak {
    fn speak<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            let spoken = tokio::time::timeout(PATIENCE, run(text)).await.ok()??;
            resample(&spoken)
        })
    }
}

async fn run(text: &str) -> Option<Vec<u8>> {
    let mut child = Command::new("espeak-ng")
        .args(["--stdin", "--stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .ok()?;
    let mut input = child.stdin.take()?;
    input.write_all(text.as_bytes()).await.ok()?;
    drop(input);
    let output = child.wait_with_output().await.ok()?;
    output.status.success().then_some(output.stdout)
}

/// Mono WAV of 16 bits at whatever rate, at 8 kHz; the nearest samples do for a telephone.
fn resample(file: &[u8]) -> Option<Vec<u8>> {
    if file.get(..4)? != b"RIFF" || file.len() < 44 {
        return None;
    }
    let rate = u32::from_le_bytes(file.get(24..28)?.try_into().ok()?);
    let samples: Vec<[u8; 2]> =
        file.get(44..)?.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect();
    if rate == 0 {
        return None;
    }
    let count = samples.len() as u64 * u64::from(RATE) / u64::from(rate);
    let mut out = file.get(..24)?.to_vec();
    out.extend_from_slice(&RATE.to_le_bytes());
    out.extend_from_slice(&(RATE * 2).to_le_bytes());
    out.extend_from_slice(file.get(32..40)?);
    out.extend_from_slice(&u32::try_from(count * 2).ok()?.to_le_bytes());
    for at in 0..count {
        let from = usize::try_from(at * u64::from(rate) / u64::from(RATE)).ok()?;
        out.extend_from_slice(samples.get(from)?);
    }
    Some(out)
}
