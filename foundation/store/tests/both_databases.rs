//! Goal: SQLite and PostgreSQL behave alike. Method: each test runs the same
//! statements on a fresh database of every backend at hand.

use kernel::{Sid, Timestamp};
use store::testing::databases;
use store::{Batch, StoreError, Value};

const ALICE: Sid = Sid::from_parts("AC", 1);
const BOB: Sid = Sid::from_parts("AC", 2);

fn note(name: &str, value: &str) -> Batch {
    let mut batch = Batch::new();
    batch.run("INSERT INTO meta (name, value) VALUES ($1, $2)", vec![name.into(), value.into()]);
    batch
}

#[tokio::test]
async fn values_come_back_as_they_went_in() {
    for db in databases().await {
        let mut batch = Batch::new();
        batch.run(
            "INSERT INTO api_key (account_sid, sid, friendly_name, kind, policy, secret,
             date_created, date_updated) VALUES ($1, $2, $3, $4, $5, $6, $8, $7)",
            vec![
                ALICE.into(),
                "SK1".into(),
                "quote ' and emoji 😀".into(),
                "standard".into(),
                Value::Null,
                vec![0u8, 255, 1].into(),
                Timestamp::from_micros(-1).into(),
                i64::MAX.into(),
            ],
        );
        db.store.commit(batch).await.unwrap();
        let sql = "SELECT friendly_name, policy, secret, date_updated, date_created FROM api_key
                   WHERE sid = $1";
        let row = db.store.point(sql, vec!["SK1".into()]).await.unwrap().unwrap();
        assert_eq!(row.text(0), "quote ' and emoji 😀");
        assert_eq!(row.opt_text(1), None);
        assert_eq!(row.blob(2), [0, 255, 1]);
        assert_eq!(row.time(3), Timestamp::from_micros(-1));
        assert_eq!(row.int(4), i64::MAX);
    }
}

#[tokio::test]
async fn a_refused_batch_leaves_nothing_and_hurts_nobody_else() {
    for db in databases().await {
        db.store.commit(note("taken", "1")).await.unwrap();
        let mut duplicate = note("fresh", "2");
        duplicate.extend(note("taken", "3"));
        let mut conflict = note("fresh", "4");
        conflict.must("UPDATE meta SET value = $1 WHERE name = 'absent'", vec!["x".into()]);
        let commits = [note("a", "1"), duplicate, note("b", "1"), conflict, note("c", "1")];
        let outcomes =
            futures_util::future::join_all(commits.into_iter().map(|b| db.store.commit(b))).await;
        let kind = db.store.kind();
        assert!(outcomes[0].is_ok() && outcomes[2].is_ok() && outcomes[4].is_ok(), "{kind}");
        assert!(matches!(outcomes[1], Err(StoreError::Duplicate(_))), "{kind}: {:?}", outcomes[1]);
        assert!(matches!(outcomes[3], Err(StoreError::Conflict)), "{kind}: {:?}", outcomes[3]);
        let names = db.store.query("SELECT name FROM meta ORDER BY name", vec![]).await.unwrap();
        let names: Vec<_> = names.iter().map(|row| row.text(0)).collect();
        assert_eq!(names, ["a", "b", "c", "taken"], "{kind}");
    }
}

#[tokio::test]
async fn returning_statements_answer_in_order() {
    for db in databases().await {
        let mut batch = note("x", "1");
        batch.returning("UPDATE meta SET value = $1 RETURNING name, value", vec!["2".into()]);
        batch.returning("DELETE FROM meta WHERE name = $1 RETURNING value", vec!["x".into()]);
        let outcome = db.store.commit(batch).await.unwrap();
        assert_eq!(outcome.rows.len(), 2);
        assert_eq!(outcome.rows[0][0].text(1), "2");
        assert_eq!(outcome.rows[1][0].text(0), "2");
    }
}

#[tokio::test]
async fn an_account_sees_and_writes_only_its_own_rows() {
    for db in databases().await {
        let (alice, bob) = (db.store.account(ALICE), db.store.account(BOB));
        for owner in [&alice, &bob] {
            let mut batch = owner.batch();
            batch.event("test", "SM1", Timestamp::EPOCH, "{}".into());
            owner.commit(batch).await.unwrap();
        }
        let rows = alice.query("SELECT sid FROM event WHERE account_sid = $1", vec![]).await;
        assert_eq!(rows.unwrap().len(), 1);
        let unscoped = alice.query("SELECT sid FROM event", vec![]).await;
        assert!(matches!(unscoped, Err(StoreError::Unscoped(_))));
        let mut sneaky = alice.batch();
        sneaky.run("DELETE FROM event", vec![]);
        assert!(matches!(alice.commit(sneaky).await, Err(StoreError::Unscoped(_))));
        assert!(matches!(alice.commit(bob.batch()).await, Err(StoreError::Unscoped(_))));
    }
}

#[tokio::test]
async fn many_writers_share_commits_and_all_are_kept() {
    for db in databases().await {
        let writers = (0..500).map(|n| db.store.commit(note(&format!("{n:04}"), "v")));
        for outcome in futures_util::future::join_all(writers).await {
            outcome.unwrap();
        }
        let row = db.store.point("SELECT count(*) FROM meta", vec![]).await.unwrap().unwrap();
        assert_eq!(row.int(0), 500);
    }
}

#[tokio::test]
async fn a_database_opens_again_with_everything_in_it() {
    for db in databases().await {
        db.store.commit(note("kept", "yes")).await.unwrap();
        let again = store::Store::open(&db.location, bus::Bus::default()).await.unwrap();
        let row = again.point("SELECT value FROM meta WHERE name = $1", vec!["kept".into()]).await;
        assert_eq!(row.unwrap().unwrap().text(0), "yes");
    }
}
