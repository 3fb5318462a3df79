//! A sender that may send fifty a second, with a long queue, beside one that has none.

use std::time::Duration;

use crate::Outcome;
use crate::process::Server;
use crate::report::{figure, say};

const RATE: f64 = 50.0;
/// Messages of the other sender, one every so often.
const OTHERS: usize = 200;
const EVERY: Duration = Duration::from_millis(50);

/// Prints the pace that was kept, what a waiting message costs, and how long another
/// sender's messages take with and without the queue.
pub async fn run(messages: usize, seconds: u64) -> Outcome {
    let text = format!("[rates]\nlong_code_us = {RATE}\nlong_code = {RATE}\n");
    let mut server = Server::configured(&text).await?;
    server.load(4, 200).await?;
    server.drain().await?;
    let alone = others(&mut server, "+12125550100").await?;

    let before = server.resident_kib();
    server.sending_from("+13105550100");
    server.load(16, messages).await?;
    let queued = server.resident_kib();
    let bytes = queued.saturating_sub(before) as f64 * 1024.0 / messages as f64;

    let sent = "SELECT count(*) FROM message WHERE from_addr = '+13105550100'
                AND date_sent IS NOT NULL";
    let began = std::time::Instant::now();
    let first = server.column(sent)?[0];
    let beside = others(&mut server, "+16465550100").await?;
    tokio::time::sleep(Duration::from_secs(seconds).saturating_sub(began.elapsed())).await;
    let took = began.elapsed().as_secs_f64();
    let rate = (server.column(sent)?[0] - first) as f64 / took;

    say!("{messages} messages wait at a sender of {RATE} a second, watched for {took:.0} s");
    figure("pace.off", (rate / RATE - 1.0).abs());
    say!("kept pace            {rate:>8.2} /s   {:>+6.2} %", (rate / RATE - 1.0) * 100.0);
    say!("memory per message   {bytes:>8.0} bytes");
    say!("another sender, from accepted to sent, {OTHERS} messages");
    say!("  without that queue {:>8.1} ms p50 {:>8.1} ms p99", alone.0, alone.1);
    say!("  beside it          {:>8.1} ms p50 {:>8.1} ms p99", beside.0, beside.1);
    Ok(())
}

/// Median and 99th percentile, in milliseconds, of what a sender without a queue takes.
async fn others(server: &mut Server, from: &str) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    server.sending_from(from);
    for _ in 0..OTHERS {
        server.load(1, 1).await?;
        tokio::time::sleep(EVERY).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let sql = format!(
        "SELECT date_sent - date_created FROM message WHERE from_addr = '{from}'
         AND date_sent IS NOT NULL ORDER BY 1"
    );
    let times = server.column(&sql)?;
    if times.len() != OTHERS {
        return Err(format!("{} of {OTHERS} messages were sent", times.len()).into());
    }
    let at = |share: f64| times[(times.len() as f64 * share) as usize] as f64 / 1000.0;
    Ok((at(0.5), at(0.99)))
}
