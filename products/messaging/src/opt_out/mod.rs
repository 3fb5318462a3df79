//! Who asked not to be texted, and by which words (compliance §1, §2).
//!
//! [`set`] decides what a word means where an account has opt-out sets of its own, [`resource`]
//! are the sets on the wire; without one the default words count.

mod language;
mod resource;
mod set;

use std::sync::Arc;

use kernel::Timestamp;
use rest::Router;
use sms::Keyword;
use store::{AccountBatch, AccountStore, StoreError};

use crate::Messaging;
pub(crate) use resource::{ACCOUNT_CLAIM, SERVICE_CLAIM};
pub(crate) use set::{OptOutSet, kind_name};

/// The set that counts for a sender, if the account has one for it.
pub(crate) type Chosen = Option<Arc<OptOutSet>>;

/// Adds the resources of Advanced Opt-Out.
pub(crate) fn mount(messaging: &Arc<Messaging>, router: Router) -> Router {
    router.mount(messaging, resource::ALL)
}

/// Is `address` opted out of `scope`: a sender, or the service whose pool it is in?
pub(crate) async fn is_opted_out(
    store: &AccountStore,
    scope: &str,
    address: &str,
) -> Result<bool, StoreError> {
    let sql = "SELECT source FROM opt_out WHERE account_sid = $1 AND scope = $2 AND address = $3";
    Ok(store.point(sql, vec![scope.into(), address.into()]).await?.is_some())
}

/// A wish of a recipient, and how it became known.
pub(crate) struct Consent<'a> {
    /// A sender, or the service whose pool it is in.
    pub scope: &'a str,
    pub address: &'a str,
    /// Agrees to be texted, or not any more.
    pub agrees: bool,
    /// `keyword`, or a source of the Consents API.
    pub source: &'a str,
    pub at: Timestamp,
}

/// Writes a wish, and keeps it in the ledger.
pub(crate) fn record(
    consent: &Consent<'_>,
    now: Timestamp,
    clock: &clock::Clock,
    batch: &mut AccountBatch,
) {
    let Consent { scope, address, agrees, source, at } = *consent;
    if agrees {
        batch.run(
            "DELETE FROM opt_out WHERE account_sid = $1 AND scope = $2 AND address = $3",
            vec![scope.into(), address.into()],
        );
    } else {
        batch.run(
            "INSERT INTO opt_out (account_sid, scope, address, source, date_created)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
            vec![scope.into(), address.into(), source.into(), at.into()],
        );
    }
    batch.run(
        "INSERT INTO consent_record (account_sid, id, scope, address, status, source,
         date_of_consent, date_created) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        vec![
            clock.sid("CN").hex().into(),
            scope.into(),
            address.into(),
            if agrees { "opt-in" } else { "opt-out" }.into(),
            source.into(),
            at.into(),
            now.into(),
        ],
    );
}

/// Writes what a keyword asks for; HELP asks for nothing.
pub(crate) fn obey(
    keyword: Keyword,
    scope: &str,
    address: &str,
    now: Timestamp,
    clock: &clock::Clock,
    batch: &mut AccountBatch,
) {
    let agrees = match keyword {
        Keyword::Stop => false,
        Keyword::Start => true,
        Keyword::Help => return,
    };
    let consent = Consent { scope, address, agrees, source: "keyword", at: now };
    record(&consent, now, clock, batch);
}

/// The default reply.
pub(crate) fn reply(keyword: Keyword) -> &'static str {
    match keyword {
        Keyword::Stop => {
            "You have successfully been unsubscribed. You will not receive any more messages from \
             this number. Reply START to resubscribe."
        }
        Keyword::Start => {
            "You have successfully been re-subscribed to messages from this number. Reply HELP for \
             help. Reply STOP to unsubscribe. Msg&Data Rates May Apply."
        }
        Keyword::Help => "Reply STOP to unsubscribe. Msg&Data Rates May Apply.",
    }
}

/// What a message asks for, and what is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub keyword: Keyword,
    pub replies: Vec<String>,
    /// An opt-out set heard it: the application is told which kind it was.
    pub by_set: bool,
}

/// What a message to `receiver` asks for. `set` is what the account has said about keywords, of
/// which the user's `country` counts first.
///
/// On toll-free numbers the network listens too, and answers in its own words.
///
// Differs: the network's words on toll-free numbers are ours behind their documented beginning.
pub(crate) fn hear(
    receiver: &str,
    body: &str,
    in_service: bool,
    set: Option<&OptOutSet>,
    country: &str,
) -> Option<Heard> {
    let network = network_reply(receiver, body);
    let mut heard = match set {
        Some(set) => set.find(body, country).map(|matched| Heard {
            keyword: matched.kind,
            replies: vec![matched.reply],
            by_set: true,
        }),
        None => keyword_for(receiver, body, in_service).map(|keyword| Heard {
            keyword,
            replies: vec![reply(keyword).to_owned()],
            by_set: false,
        }),
    };
    if let Some((keyword, words)) = network {
        let heard =
            heard.get_or_insert(Heard { keyword, replies: Vec::new(), by_set: set.is_some() });
        // Behind its block nothing passes; on START the platform's words follow, if there are any.
        if keyword == Keyword::Stop || set.is_none() {
            heard.replies.clear();
        }
        heard.keyword = keyword;
        heard.replies.insert(0, words.to_owned());
    }
    heard
}

/// What the network makes of a message to a toll-free number, whatever the platform does.
fn network_reply(receiver: &str, body: &str) -> Option<(Keyword, &'static str)> {
    let receiver = numbering::E164::parse(receiver).ok()?;
    if receiver.kind() != numbering::Kind::TollFree {
        return None;
    }
    match body.trim().to_ascii_uppercase().as_str() {
        "STOP" => Some((
            Keyword::Stop,
            "NETWORK MSG: Texts from this number are blocked now. Reply UNSTOP to get them again.",
        )),
        "START" | "UNSTOP" => {
            Some((Keyword::Start, "NETWORK MSG: You get texts from this number again."))
        }
        _ => None,
    }
}

/// The default keyword that counts for this receiver, if the body is one.
///
/// Short codes outside a service are left to their application; on toll-free
/// numbers only STOP opts out and only START and UNSTOP opt in.
fn keyword_for(receiver: &str, body: &str, in_service: bool) -> Option<Keyword> {
    let keyword = sms::keyword(body)?;
    let Ok(receiver) = numbering::E164::parse(receiver) else {
        return in_service.then_some(keyword);
    };
    if receiver.kind() != numbering::Kind::TollFree {
        return Some(keyword);
    }
    let word = body.trim().to_ascii_uppercase();
    match keyword {
        Keyword::Stop if word == "STOP" => Some(keyword),
        Keyword::Start if word == "START" || word == "UNSTOP" => Some(keyword),
        Keyword::Help => Some(keyword),
        _ => None,
    }
}

impl Messaging {
    /// What an account has said about keywords: for this service, else for all its senders.
    pub(crate) async fn opt_out_set(
        &self,
        store: &AccountStore,
        service: Option<&str>,
    ) -> Result<Chosen, StoreError> {
        let account = store.account();
        let key = (account, service.unwrap_or_default().to_owned());
        if let Some(known) = self.memory.opt_out_sets.get(&key) {
            return Ok(known);
        }
        let ticket = self.memory.opt_out_sets.ticket();
        let of_service = match service {
            Some(service) => resource::attached(store, SERVICE_CLAIM, service).await?,
            None => None,
        };
        let set = match of_service {
            Some(set) => Some(set),
            None => resource::attached(store, ACCOUNT_CLAIM, &account.to_string()).await?,
        };
        let set = set.map(Arc::new);
        self.memory.opt_out_sets.keep(ticket, key, set.clone());
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Keyword::{Help, Start, Stop};

    const LOCAL: &str = "+14155550100";
    const TOLL_FREE: &str = "+18005550100";

    #[test]
    fn the_network_listens_on_toll_free_numbers() {
        let set = OptOutSet::usual();
        let with = Some(&set);
        for (receiver, body, set, expected) in [
            (LOCAL, "stop", None, Some((Stop, 1, false))),
            (LOCAL, "yes", None, Some((Start, 1, false))),
            (LOCAL, "help", with, Some((Help, 1, true))),
            (LOCAL, "hello", with, None),
            (TOLL_FREE, "STOP", None, Some((Stop, 1, false))),
            (TOLL_FREE, "end", None, None),
            (TOLL_FREE, "yes", None, None),
            (TOLL_FREE, "unstop", None, Some((Start, 1, false))),
            (TOLL_FREE, "help", None, Some((Help, 1, false))),
            (TOLL_FREE, "stop", with, Some((Stop, 1, true))),
            // Both the network and the platform answer.
            (TOLL_FREE, "start", with, Some((Start, 2, true))),
            (TOLL_FREE, "end", with, Some((Stop, 1, true))),
            ("12345", "stop", None, None),
            ("12345", "stop", with, Some((Stop, 1, true))),
        ] {
            let heard = hear(receiver, body, false, set, "US");
            let found =
                heard.as_ref().map(|heard| (heard.keyword, heard.replies.len(), heard.by_set));
            assert_eq!(found, expected, "{body} to {receiver}");
            let by_network =
                heard.is_some_and(|heard| heard.replies[0].starts_with("NETWORK MSG:"));
            let listens = receiver == TOLL_FREE
                && ["stop", "start", "unstop"].contains(&body.to_lowercase().as_str());
            assert_eq!(by_network, listens, "{body} to {receiver}");
        }
        assert!(hear("12345", "stop", true, None, "US").is_some());
    }
}
