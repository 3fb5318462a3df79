//! Where the platform's time goes: samples of its stacks, taken by itself, while it is under load.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::Outcome;
use crate::process::Server;
use crate::{relay, smsc};

/// Lines of each list.
const LINES: usize = 30;
/// Characters of a stack; inner functions of long ones are cut.
const WIDTH: usize = 400;
const CONNECTIONS: usize = 16;
/// Messages between looks at whether it is over.
const ROUND: usize = 500;

/// Writes a page for each path.
pub async fn run(seconds: u64, into: &Path) -> Outcome {
    std::fs::create_dir_all(into)?;
    let (platform, _) = Server::platform().await?;
    page(
        platform,
        "accept",
        "messages accepted over 16 connections, simulated network",
        seconds,
        into,
    )
    .await?;
    let centre = smsc::start().await?;
    let platform = relay::platform(centre).await?;
    page(platform, "relay", "messages accepted over 16 connections, relayed by SMPP", seconds, into)
        .await
}

async fn page(server: Server, name: &str, what: &str, seconds: u64, into: &Path) -> Outcome {
    let (server, over) = (Arc::new(server), Arc::new(AtomicBool::new(false)));
    let load = tokio::spawn({
        let (server, over) = (server.clone(), over.clone());
        async move {
            let mut sent = 0;
            while !over.load(Ordering::Relaxed) {
                server.load(CONNECTIONS, ROUND).await.map_err(|error| error.to_string())?;
                sent += ROUND;
            }
            Ok::<_, String>(sent)
        }
    });
    let stacks = server.text(&format!("/_offhook/v1/profile?seconds={seconds}")).await;
    over.store(true, Ordering::Relaxed);
    let sent = load.await??;
    let text = summary(&stacks?, what, seconds, sent);
    let file = into.join(format!("{name}.txt"));
    std::fs::write(&file, text)?;
    println!("{}", file.display());
    Ok(())
}

/// The functions that most samples ended in, those that most samples were below, and the stacks.
fn summary(stacks: &str, what: &str, seconds: u64, sent: usize) -> String {
    let (mut ends, mut within): (HashMap<&str, u64>, HashMap<&str, u64>) = Default::default();
    let mut all: Vec<(&str, u64)> = Vec::new();
    for line in stacks.lines() {
        let Some((stack, count)) = line.rsplit_once(' ') else { continue };
        let count = count.parse().unwrap_or(0);
        let mut frames: Vec<&str> = stack.split(';').collect();
        *ends.entry(frames.last().copied().unwrap_or_default()).or_default() += count;
        frames.sort_unstable();
        frames.dedup();
        for frame in frames {
            *within.entry(frame).or_default() += count;
        }
        all.push((stack, count));
    }
    let total: u64 = all.iter().map(|(_, count)| count).sum();
    let mut text = format!(
        "{what}\n{total} samples in {seconds} s, 99 a second of processor time, outside libc; {sent} messages\n"
    );
    let mut list = |title: &str, mut rows: Vec<(&str, u64)>| {
        rows.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(other.0)));
        let _ = writeln!(text, "\n{title}\n");
        for (name, count) in rows.into_iter().take(LINES) {
            let share = 100.0 * count as f64 / total.max(1) as f64;
            let name: String = name.chars().take(WIDTH).collect();
            let _ = writeln!(text, "{share:>6.1} %  {name}");
        }
    };
    list("where samples ended", ends.into_iter().collect());
    list("what samples were in or below", within.into_iter().collect());
    list("stacks, outermost first", all);
    text
}
