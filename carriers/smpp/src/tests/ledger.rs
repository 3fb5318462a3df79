//! Goal: whatever the order of answers, receipts, repetitions and restarts, the outcome
//! of every accepted message reaches Messaging once. Method: random orders.
use std::collections::BTreeMap;

use contracts::{BoxFuture, InboundMessage, InboundOutcome, Unavailable};
use proptest::prelude::*;

use super::*;

#[derive(Default)]
struct Memory(Mutex<BTreeMap<String, String>>);

impl CarrierNotes for Memory {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, NotesError>> {
        Box::pin(async move { Ok(self.0.lock().unwrap().get(key).cloned()) })
    }

    fn put_all(&self, notes: Vec<(String, String)>) -> BoxFuture<'_, Result<(), NotesError>> {
        self.0.lock().unwrap().extend(notes);
        Box::pin(async { Ok(()) })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), NotesError>> {
        self.0.lock().unwrap().remove(key);
        Box::pin(async { Ok(()) })
    }

    fn newest<'a>(
        &'a self,
        prefix: &'a str,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<(String, String)>, NotesError>> {
        let rows = self.0.lock().unwrap();
        let found = rows.iter().rev().filter(|(key, _)| key.starts_with(prefix));
        let found = found.take(limit as usize).map(|(k, v)| (k.clone(), v.clone())).collect();
        Box::pin(async move { Ok(found) })
    }
}

/// Takes every other receipt only after it was away once.
#[derive(Default)]
struct Sink {
    taken: Mutex<Vec<ReceiptStatus>>,
    is_away: std::sync::atomic::AtomicBool,
}

impl MessageSink for Sink {
    fn receipt<'a>(
        &'a self,
        receipt: &'a contracts::Receipt,
    ) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async move {
            if self.is_away.load(std::sync::atomic::Ordering::Relaxed) {
                return Err(Unavailable("away".into()));
            }
            self.taken.lock().unwrap().push(receipt.status);
            Ok(())
        })
    }

    fn inbound<'a>(
        &'a self,
        _: &'a InboundMessage,
    ) -> BoxFuture<'a, Result<InboundOutcome, Unavailable>> {
        Box::pin(async { Ok(InboundOutcome::NoSuchNumber) })
    }
}

fn sid() -> Sid {
    "SM0123456789abcdef0123456789abcdef".parse().unwrap()
}

fn record(parts: Vec<Part>) -> Record {
    Record {
        account: "AC0123456789abcdef0123456789abcdef".parse().unwrap(),
        bind: "b".into(),
        to: "+4915112345678".into(),
        at: Timestamp::EPOCH,
        reference: 1,
        parts,
        is_reported: false,
    }
}

fn verdict(id: &str, code: Option<u32>) -> Verdict {
    Verdict {
        id: id.into(),
        code,
        done_at: Timestamp::from_seconds(5),
        ends: ["4915112345678".into(), String::new()],
        came_at: Timestamp::EPOCH,
    }
}

#[test]
fn outcomes_follow_from_the_parts() {
    let at = Timestamp::from_seconds;
    let delivered = |second| Part::Delivered { id: "x".into(), at: at(second) };
    let failed = Part::Undelivered { id: "x".into(), code: 30005, at: at(9) };
    let accepted = Part::Accepted { id: "x".into() };
    let good = |second| Some((ReceiptStatus::Delivered, at(second)));
    let table = [
        (vec![accepted.clone()], None),
        (vec![delivered(1)], good(1)),
        (vec![delivered(3), delivered(2)], good(3)),
        (vec![delivered(1), accepted.clone()], None),
        (vec![Part::Waiting, delivered(1)], None),
        (vec![accepted, failed], Some((ReceiptStatus::Undelivered { code: 30005 }, at(9)))),
    ];
    for (parts, outcome) in table {
        assert_eq!(record(parts.clone()).outcome(), outcome, "{parts:?}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The submission keeps that this many parts are accepted.
    Learn(usize),
    Receipt(usize),
    Restart,
    Sweep,
    Away(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_usize..=3).prop_map(Step::Learn),
        (0_usize..3).prop_map(Step::Receipt),
        Just(Step::Restart),
        Just(Step::Sweep),
        any::<bool>().prop_map(Step::Away),
    ]
}

proptest! {
    #[test]
    fn an_outcome_is_reported_once_in_any_order(
        mut steps in prop::collection::vec(step(), 0..20),
        failing in prop::option::of(0_usize..3),
    ) {
        // In the end everything has happened at least once.
        steps.extend([Step::Receipt(0), Step::Learn(3), Step::Receipt(1), Step::Receipt(2)]);
        steps.extend([Step::Away(false), Step::Restart, Step::Sweep]);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let taken = runtime.block_on(async {
            let notes: Arc<dyn CarrierNotes> = Arc::new(Memory::default());
            let sink = Sink::default();
            let mut ledger = Ledger::new(Arc::clone(&notes));
            let keep = Duration::from_secs(3_600);
            for step in steps {
                match step {
                    Step::Learn(count) => {
                        let part = |number| match number < count {
                            true => Part::Accepted { id: format!("p{number}") },
                            false => Part::Waiting,
                        };
                        let news = record((0..3).map(part).collect());
                        ledger.learn(sid(), &news, IdForm::Auto, &sink).await.unwrap();
                    }
                    Step::Receipt(number) => {
                        let code = (failing == Some(number)).then_some(30005);
                        let verdict = verdict(&format!("P{number}"), code);
                        ledger.settle("b", verdict, IdForm::Auto, &sink).await.unwrap();
                    }
                    Step::Restart => {
                        ledger = Ledger::new(Arc::clone(&notes));
                        ledger.restore().await.unwrap();
                    }
                    Step::Sweep => ledger.sweep(Timestamp::EPOCH, keep, &sink).await.unwrap(),
                    Step::Away(away) => {
                        sink.is_away.store(away, std::sync::atomic::Ordering::Relaxed);
                    }
                }
            }
            sink.taken.lock().unwrap().clone()
        });
        let expected = match failing {
            Some(_) => ReceiptStatus::Undelivered { code: 30005 },
            None => ReceiptStatus::Delivered,
        };
        prop_assert_eq!(taken, [expected]);
    }
}

#[test]
fn what_is_old_is_forgotten_and_what_is_young_is_kept() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let notes = Arc::new(Memory::default());
        let ledger = Ledger::new(notes.clone());
        let sink = Sink::default();
        let news = record(vec![Part::Accepted { id: "p".into() }]);
        ledger.learn(sid(), &news, IdForm::Auto, &sink).await.unwrap();
        ledger.settle("b", verdict("nobody's", None), IdForm::Auto, &sink).await.unwrap();
        let hour = Duration::from_secs(3_600);
        let keys = || notes.0.lock().unwrap().len();
        ledger.sweep(Timestamp::EPOCH + hour / 2, hour * 2, &sink).await.unwrap();
        assert_eq!(keys(), 3);
        ledger.sweep(Timestamp::EPOCH + hour, hour * 2, &sink).await.unwrap();
        assert_eq!(keys(), 2, "an early receipt lives for an hour");
        ledger.sweep(Timestamp::EPOCH + hour * 2, hour * 2, &sink).await.unwrap();
        assert_eq!(keys(), 0);
    });
}

#[test]
fn an_ambiguous_id_is_the_message_to_the_same_number() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let ledger = Ledger::new(Arc::new(Memory::default()));
        let sink = Sink::default();
        // The SMSC answers in hexadecimal, its receipts are decimal: 26 is 1a, not 26.
        let other: Sid = "SM1123456789abcdef0123456789abcdef".parse().unwrap();
        for (sid, id, to) in [(sid(), "1a", "+4915112345678"), (other, "26", "+33612345678")] {
            let mut news = record(vec![Part::Accepted { id: id.into() }]);
            news.to = to.into();
            ledger.learn(sid, &news, IdForm::Auto, &sink).await.unwrap();
        }
        let found = ledger.find("b", &verdict("26", None), IdForm::Auto).await.unwrap();
        assert_eq!(found, Some((sid(), 0)));
    });
}

#[test]
fn whatever_a_peer_calls_a_message_is_a_short_ascii_key() {
    assert_eq!(note_id("00Ab-1.c_2"), "ab-1.c_2");
    for odd in ["a/b", "é", "a b", "a\0b", &"x".repeat(5_000)] {
        let key = note_id(odd);
        assert!(key.starts_with("sha256:") && key.len() == 71, "{key}");
    }
    assert_ne!(note_id("a/b"), note_id("a_b"));
}
