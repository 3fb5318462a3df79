//! What a list page costs with a thousand messages and with very many.

use std::time::Instant;

use bus::Bus;
use kernel::Sid;
use store::{Batch, Location, Store};

use crate::process::fresh_directory;
use crate::report::{figure, say};

/// Pages read per figure.
const PAGES: usize = 400;
const ACCOUNT: Sid = Sid::from_parts("AC", 1);

/// The statement that lists a page, as the messaging product writes it.
const PAGE: &str = "SELECT id, prefix, direction, status, from_addr, to_addr, body,
    service_sid, num_segments, num_media, error_code, price, status_callback, extra,
    date_created, date_sent, date_updated, version FROM message
    WHERE account_sid = $1 AND id < $2 ORDER BY id DESC LIMIT 51";

/// Fills a database and reads pages at its newest end, middle and oldest end.
pub async fn run(many: u64) -> crate::Outcome {
    say!("one page of 50 messages, {PAGES} pages per figure");
    say!("{:>10} {:>14} {:>14} {:>14}", "messages", "newest µs", "middle µs", "oldest µs");
    let directory = fresh_directory("list")?;
    let store = Store::open(&Location::Sqlite(directory.join("list.db")), Bus::default()).await?;
    let mut held = 0;
    for wanted in [1_000, many] {
        fill(&store, held, wanted).await?;
        held = wanted;
        let mut figures = Vec::new();
        for start in [wanted, wanted / 2, 200.min(wanted)] {
            figures.push(measure(&store, start).await?);
        }
        figure(&format!("list.{}", if wanted == many { "many" } else { "few" }), figures[0]);
        say!("{wanted:>10} {:>14.0} {:>14.0} {:>14.0}", figures[0], figures[1], figures[2]);
    }
    drop(store);
    std::fs::remove_dir_all(directory)?;
    Ok(())
}

/// Adds the messages from `from` to `to`, 20,000 in a statement.
async fn fill(store: &Store, from: u64, to: u64) -> crate::Outcome {
    let mut at = from;
    while at < to {
        let end = (at + 20_000).min(to);
        let mut batch = Batch::new();
        batch.run(
            "WITH RECURSIVE n(i) AS (SELECT $2 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $3)
             INSERT INTO message (account_sid, id, prefix, direction, status, from_addr, to_addr,
             body, num_segments, num_media, date_created, date_updated, version)
             SELECT $1, printf('%032x', i), 'SM', 'outbound-api', 'delivered', '+14155550100',
             '+1415' || printf('%07d', (i * 7919) % 9000000), 'Your code is 123456', 1, 0, i, i, 1
             FROM n",
            vec![ACCOUNT.into(), (at as i64).into(), (end as i64).into()],
        );
        store.commit(batch).await?;
        at = end;
    }
    Ok(())
}

/// Microseconds of one page below `start`, on average.
async fn measure(store: &Store, start: u64) -> Result<f64, Box<dyn std::error::Error>> {
    let page = || store.account(ACCOUNT);
    let read = |at: u64| {
        let scoped = page();
        async move { scoped.query(PAGE, vec![format!("{at:032x}").into()]).await }
    };
    read(start).await?;
    let began = Instant::now();
    for step in 0..PAGES as u64 {
        let rows = read(start.saturating_sub(step % 100)).await?;
        if rows.is_empty() {
            return Err("a page is empty".into());
        }
    }
    Ok(began.elapsed().as_secs_f64() * 1e6 / PAGES as f64)
}
