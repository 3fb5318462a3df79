//! Goal: a sender sends as fast as its kind may, in order, and a full queue says so
//! (messaging §15). Method: the real rates, and a clock that the test moves.

mod harness;

use std::time::Duration;

use harness::{World, assert_error, paced_worlds, worlds};
use kernel::Timestamp;
use store::Value;

const USER: &str = "+14155550111";

/// Moves the clock second by second until so many messages are sent; when each was, in the
/// order in which they were accepted.
async fn sent(world: &World, count: usize) -> Vec<Timestamp> {
    let sql = "SELECT date_sent FROM message WHERE date_sent IS NOT NULL ORDER BY id";
    for _ in 0..10 * count {
        let rows = world.platform().store.query(sql, Vec::<Value>::new()).await.unwrap();
        if rows.len() >= count {
            return rows.iter().map(|row| row.time(0)).collect();
        }
        world.advance(1).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{count} messages were not sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_code_sends_a_segment_a_second_in_order() {
    for world in paced_worlds().await {
        let long = "x".repeat(200);
        for body in ["0", "1", "2", "3", &long, "5", "6"] {
            world.sent(&[("To", USER), ("Body", body)]).await;
        }
        let times = sent(&world, 7).await;
        assert!(times.is_sorted(), "{times:?}");
        // Eight segments, of which the last does not count; a second may be made up for.
        let took = times[6].since(times[0]);
        assert!(took >= Duration::from_secs(6), "{took:?}");
        assert_eq!(world.bodies(USER, 7).await[6], "6");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_refused_at_once_or_fails_in_a_service() {
    for world in paced_worlds().await {
        world.sent(&[("To", USER), ("Body", "first")]).await;
        // What ten hours of waiting look like, without sending for ten hours.
        let lane = format!("send/{}/{}", world.sid(), world.number);
        let mut batch = store::Batch::new();
        batch.run(
            "INSERT INTO lane (account_sid, name, head, cost, free_at, interval_us)
             VALUES ($1, $2, NULL, 40000, 0, 1000000) ON CONFLICT (account_sid, name)
             DO UPDATE SET cost = 40000",
            vec![world.sid().into(), lane.into()],
        );
        world.platform().store.commit(batch).await.unwrap();
        let full = world.message(&[("To", USER), ("Body", "x")]).await;
        assert_error(&full, 21611, 400, &world.number);

        let made = world.post("/_/messaging/v1/Services", &[("FriendlyName", "s")]).await;
        let service = made.text_of("sid");
        let number = world.number_sid(&world.number).await;
        let pool = format!("/_/messaging/v1/Services/{service}/PhoneNumbers");
        assert_eq!(world.post(&pool, &[("PhoneNumberSid", &number)]).await.status, 201);
        let sid = world
            .sent(&[("To", USER), ("Body", "x"), ("MessagingServiceSid", service.as_str())])
            .await;
        assert_eq!(world.reached(&sid, "failed").await["error_code"], 30001);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_may_send_so_much_a_day() {
    for mut world in worlds().await {
        world.restart(&|settings| settings.caps.long_code_us = 3).await;
        world.delivered(&[("To", USER), ("Body", &"x".repeat(200))]).await;
        world.delivered(&[("To", USER), ("Body", "the third")]).await;
        let over = world.sent(&[("To", USER), ("Body", "too much")]).await;
        assert_eq!(world.reached(&over, "failed").await["error_code"], 30023);
        // Another kind of sender has its own cap.
        world.delivered(&[("From", "+447400123457"), ("To", USER), ("Body", "x")]).await;
        world.advance(24 * 3600).await;
        world.delivered(&[("To", USER), ("Body", "a new day")]).await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_one_block_that_nobody_answers_is_stopped() {
    for mut world in worlds().await {
        world.restart(&|settings| settings.guard_pumping = true).await;
        let number = |n: u32| format!("+14155557{n:03}");
        let mut sids = Vec::new();
        for n in 0..50 {
            sids.push(world.sent(&[("To", &number(n)), ("Body", "Your code")]).await);
        }
        for sid in &sids {
            world.reached(sid, "delivered").await;
        }
        let blocked = world.sent(&[("To", &number(50)), ("Body", "Your code")]).await;
        assert_eq!(world.reached(&blocked, "failed").await["error_code"], 30450);
        // Who had one before, another block, the sender's word, and the safe list are let through.
        world.delivered(&[("To", &number(0)), ("Body", "again")]).await;
        world.delivered(&[("To", "+14155558000"), ("Body", "x")]).await;
        let off = [("To", &*number(51)), ("Body", "x"), ("RiskCheck", "disable")];
        world.delivered(&off).await;
        let safe = "/_/accounts/v1/SafeList/Numbers";
        let form = [("PhoneNumber", &*number(52))];
        assert_eq!(world.post(safe, &form).await.status, 201);
        world.delivered(&[("To", &number(52)), ("Body", "x")]).await;
        // An answer vouches for ten more; an hour later nothing is held against the block.
        world.type_on(&number(1), &world.number, "thanks").await;
        world.delivered(&[("To", &number(53)), ("Body", "x")]).await;
        world.advance(3600).await;
        world.delivered(&[("To", &number(54)), ("Body", "x")]).await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_messages_leave_at_their_senders_pace() {
    const MANY: usize = 10_000;
    const RATE: usize = 1_000;
    // Once is enough: the pace on PostgreSQL is held by the tests above.
    for mut world in worlds().await.into_iter().take(1) {
        world.restart(&|settings| settings.rates.long_code_us = RATE as f64).await;
        let world = std::sync::Arc::new(world);
        let mut senders = tokio::task::JoinSet::new();
        for part in 0..8 {
            let world = world.clone();
            senders.spawn(async move {
                for at in (part..MANY).step_by(8) {
                    let to = format!("+1415{:07}", 2_000_000 + at);
                    world.sent(&[("To", &to), ("Body", "bulk")]).await;
                }
            });
        }
        senders.join_all().await;
        let sql = "SELECT date_sent FROM message WHERE date_sent IS NOT NULL ORDER BY date_sent";
        let mut times: Vec<Timestamp> = Vec::new();
        for _ in 0..600 {
            let rows = world.platform().store.query(sql, Vec::<Value>::new()).await.unwrap();
            times = rows.iter().map(|row| row.time(0)).collect();
            if times.len() == MANY {
                break;
            }
            world.advance(1).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(times.len(), MANY);
        // In no span more than the pace allows; a second may be made up for.
        for (at, first) in times.iter().enumerate().step_by(100) {
            let until = *first + Duration::from_secs(1);
            let within = times[at..].iter().take_while(|time| **time < until).count();
            assert!(within <= 2 * RATE + RATE / 10, "{within} in a second");
        }
        let took = times[MANY - 1].since(times[0]);
        assert!(took >= Duration::from_secs((MANY / RATE) as u64 - 2), "{took:?}");
        std::sync::Arc::into_inner(world).expect("the senders are done").stop().await;
    }
}
