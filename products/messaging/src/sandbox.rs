//! The WhatsApp sandbox (whatsapp-content §7): one number that every account may send from, to
//! phones that have joined.
//!
//! A phone joins an account's sandbox by sending it `join` and the account's two words, for three
//! days, and leaves it with `stop`. In development a phone that has joined nowhere is a member of
//! whichever sandbox writes to it first, and what it sends goes to the account that used the
//! sandbox first.

// Differs: Twilio's sandbox sends three templates only; here every approved one.

use std::time::Duration;

use contracts::{NumberOwner, Unavailable};
use kernel::{Sid, SidGenerator};
use store::{AccountBatch, AccountStore, StoreError};

use crate::{Messaging, channel};

/// The number as a sender.
pub const SANDBOX: &str = "whatsapp:+14155238886";
const MEMBERSHIP: Duration = Duration::from_secs(3 * 24 * 3600);
/// Claim on an account's words; its SID is the account's sandbox sender.
const CODE: &str = "sandbox";
/// Claim on a phone; its SID is the message with which it joined.
const MEMBER: &str = "sandbox-member";
/// Pairs of words that are tried for an account before it has none.
const TRIES: u64 = 16;

/// An account's sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// `XE…`, whose webhook is called for what members send.
    pub sender: Sid,
    /// Two words that a phone joins with.
    pub code: String,
}

/// What a phone is to the sandbox.
enum Membership {
    Of {
        account: Sid,
    },
    /// It joined too long ago, or has left.
    Ended {
        account: Sid,
    },
    None,
}

/// What somebody told the sandbox.
#[derive(Debug, PartialEq, Eq)]
enum Told<'a> {
    Join(&'a str),
    Leave,
    Other,
}

impl<'a> Told<'a> {
    fn of(body: &'a str) -> Self {
        let body = body.trim();
        match body.split_once(char::is_whitespace) {
            Some((word, code)) if word.eq_ignore_ascii_case("join") => Self::Join(code.trim()),
            None if body.eq_ignore_ascii_case("stop") => Self::Leave,
            _ => Self::Other,
        }
    }
}

/// What becomes of a message to the sandbox.
pub(crate) enum Received {
    /// Nobody's: the phone is in no sandbox.
    Nobody,
    /// A member's, as to any other number.
    Message(NumberOwner),
    /// Understood here: the sandbox answers, and no application is asked.
    Understood { owner: NumberOwner, answer: &'static str },
}

const JOINED: &str = "You have joined the sandbox and can now send and receive messages here. \
    Reply stop to leave it.";
const LEFT: &str = "You have left the sandbox and will get no more messages from it. \
    Send join and its two words to come back.";

impl Messaging {
    /// The account's sandbox, made when it is first asked for.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn sandbox(&self, store: &AccountStore) -> Result<Sandbox, StoreError> {
        for attempt in 0..TRIES {
            if let Some(sandbox) = known(store).await? {
                return Ok(sandbox);
            }
            let mut batch = store.batch();
            let sender = channel::insert_sender(SANDBOX, &self.parts.clock, &mut batch);
            claim_code(sender, &words(store.account(), attempt), &mut batch);
            match store.commit(batch).await {
                Ok(_) => self.parts.numbers.forget(),
                // Another account's words, or made meanwhile.
                Err(StoreError::Duplicate(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Unavailable("no words are left for another sandbox".into()))
    }

    /// Whether the sandbox of this account may write to the phone; 63015 if not.
    pub(crate) async fn is_in_sandbox(
        &self,
        store: &AccountStore,
        message: Sid,
        user: &str,
    ) -> Result<bool, StoreError> {
        match self.membership(user).await? {
            Membership::Of { account } => Ok(account == store.account()),
            Membership::None if self.parts.development => {
                let mut batch = store.batch();
                batch.run(
                    "INSERT INTO claim (account_sid, sid, name, value) VALUES ($1, $2, $3, $4)
                     ON CONFLICT DO NOTHING",
                    vec![message.into(), MEMBER.into(), user.into()],
                );
                store.commit(batch).await?;
                // Somebody else's, if they were faster.
                Ok(matches!(self.membership(user).await?,
                    Membership::Of { account } if account == store.account()))
            }
            Membership::Ended { .. } | Membership::None => Ok(false),
        }
    }

    /// Understands what a phone sends to the sandbox.
    pub(crate) async fn in_sandbox(&self, user: &str, body: &str) -> Result<Received, Unavailable> {
        let failed = |error: StoreError| Unavailable(error.to_string());
        let membership = self.membership(user).await.map_err(failed)?;
        match (Told::of(body), membership) {
            (Told::Join(code), before) => {
                let code = code.to_ascii_lowercase();
                let Some((account, sender)) = self.parts.numbers.holder(CODE, &code).await? else {
                    return Ok(Received::Nobody);
                };
                if let Membership::Of { account } | Membership::Ended { account } = before {
                    self.forget_member(account, user).await.map_err(failed)?;
                }
                let mut batch = self.parts.store.account(account).batch();
                let joined = self.parts.clock.sid("SM");
                batch.run(
                    "INSERT INTO claim (account_sid, sid, name, value) VALUES ($1, $2, $3, $4)",
                    vec![joined.into(), MEMBER.into(), user.into()],
                );
                let store = self.parts.store.account(account);
                store.commit(batch).await.map_err(failed)?;
                Ok(Received::Understood { owner: owner(account, sender), answer: JOINED })
            }
            (Told::Leave, Membership::Of { account }) => {
                let store = self.parts.store.account(account);
                let mut batch = store.batch();
                // It has left as if it had joined long ago: it is not adopted again.
                batch.run(
                    "UPDATE claim SET sid = $2 WHERE account_sid = $1 AND name = $3 AND value = $4",
                    vec![Sid::from_parts("SM", 0).into(), MEMBER.into(), user.into()],
                );
                store.commit(batch).await.map_err(failed)?;
                let sandbox = self.sandbox(&store).await.map_err(failed)?;
                let owner = owner(account, sandbox.sender);
                Ok(Received::Understood { owner, answer: LEFT })
            }
            (_, Membership::Of { account }) => {
                let store = self.parts.store.account(account);
                let sandbox = self.sandbox(&store).await.map_err(failed)?;
                Ok(Received::Message(owner(account, sandbox.sender)))
            }
            (_, Membership::None) if self.parts.development => {
                let home = self.parts.numbers.owner(SANDBOX).await?;
                Ok(home.map_or(Received::Nobody, Received::Message))
            }
            (_, Membership::Ended { .. } | Membership::None) => Ok(Received::Nobody),
        }
    }

    async fn membership(&self, user: &str) -> Result<Membership, StoreError> {
        let found = self.parts.numbers.holder(MEMBER, user).await;
        let found = found.map_err(|error| StoreError::Unavailable(error.0))?;
        let Some((account, joined)) = found else { return Ok(Membership::None) };
        let since = SidGenerator::lower_bound(self.parts.clock.now() - MEMBERSHIP);
        Ok(match joined.bits() >= since {
            true => Membership::Of { account },
            false => Membership::Ended { account },
        })
    }

    async fn forget_member(&self, account: Sid, user: &str) -> Result<(), StoreError> {
        let store = self.parts.store.account(account);
        let mut batch = store.batch();
        batch.run(
            "DELETE FROM claim WHERE account_sid = $1 AND name = $2 AND value = $3",
            vec![MEMBER.into(), user.into()],
        );
        store.commit(batch).await.map(|_| ())
    }
}

async fn known(store: &AccountStore) -> Result<Option<Sandbox>, StoreError> {
    let sql = "SELECT sid, value FROM claim WHERE account_sid = $1 AND name = $2";
    let row = store.point(sql, vec![CODE.into()]).await?;
    Ok(row.map(|row| Sandbox { sender: row.sid(0), code: row.text(1).to_owned() }))
}

/// The account's sandbox sender, if it has one yet.
pub(crate) async fn sender_of(store: &AccountStore) -> Result<Option<Sid>, StoreError> {
    Ok(known(store).await?.map(|sandbox| sandbox.sender))
}

fn owner(account: Sid, sender: Sid) -> NumberOwner {
    NumberOwner { account, sid: sender, sms: true, mms: true }
}

/// Claims an account's words, and the number itself for the first account that uses it.
pub(crate) fn claim_code(sender: Sid, code: &str, batch: &mut AccountBatch) {
    batch.run(
        "INSERT INTO claim (account_sid, sid, name, value) VALUES ($1, $2, $3, $4)",
        vec![sender.into(), CODE.into(), code.into()],
    );
    batch.run(
        "INSERT INTO claim (account_sid, sid, name, value) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING",
        vec![sender.into(), channel::CLAIM.into(), SANDBOX.into()],
    );
}

/// An account's two words.
pub(crate) fn words(account: Sid, attempt: u64) -> String {
    // The last bits of a SID are random; they are mixed so that tries differ in both words.
    let mixed = (account.bits() as u64 ^ attempt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (first, second) = ((mixed >> 40) as usize, (mixed >> 52) as usize);
    format!("{}-{}", FIRST[first % FIRST.len()], SECOND[second % SECOND.len()])
}

const FIRST: &[&str] = &[
    "amber", "ancient", "bold", "brave", "bright", "broad", "calm", "clear", "clever", "cold",
    "copper", "crisp", "curious", "daily", "dark", "deep", "early", "eager", "fair", "fast",
    "fine", "fresh", "gentle", "giant", "golden", "grand", "green", "happy", "hidden", "high",
    "hollow", "icy", "inner", "iron", "jolly", "keen", "kind", "late", "light", "little", "lively",
    "local", "long", "loud", "lucky", "mellow", "mild", "misty", "modern", "narrow", "native",
    "neat", "noble", "open", "outer", "pale", "patient", "plain", "polite", "proud", "pure",
    "quick", "quiet", "rapid",
];

const SECOND: &[&str] = &[
    "anchor", "apple", "arrow", "badger", "barrel", "basket", "beacon", "birch", "bottle",
    "bridge", "brook", "button", "cabin", "candle", "canyon", "castle", "cedar", "cloud", "clover",
    "comet", "coral", "cotton", "crane", "desert", "dolphin", "dune", "eagle", "ember", "falcon",
    "feather", "fern", "field", "finch", "flute", "forest", "garden", "ginger", "glacier",
    "harbor", "hazel", "heron", "island", "ivory", "jungle", "kettle", "ladder", "lantern",
    "lemon", "lily", "maple", "marble", "meadow", "mirror", "mountain", "oasis", "ocean",
    "orchard", "otter", "owl", "pebble", "pepper", "pine", "planet", "river",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sandbox_understands_two_things() {
        for (body, expected) in [
            ("join brave-owl", Told::Join("brave-owl")),
            (" JOIN  brave-owl ", Told::Join("brave-owl")),
            ("stop", Told::Leave),
            ("Stop", Told::Leave),
            ("stop it", Told::Other),
            ("join", Told::Other),
            ("joining brave-owl", Told::Other),
        ] {
            assert_eq!(Told::of(body), expected, "{body}");
        }
    }

    #[test]
    fn another_try_is_another_code() {
        let account = Sid::from_parts("AC", 0x0123_4567_89ab_cdef);
        let mut codes: Vec<_> = (0..TRIES).map(|attempt| words(account, attempt)).collect();
        codes.dedup();
        codes.sort();
        codes.dedup();
        assert!(codes.len() > 12, "{codes:?}");
    }
}
