//! Who asked not to be texted (compliance §1).

use kernel::Timestamp;
use sms::Keyword;
use store::{AccountBatch, AccountStore, StoreError};

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

/// The default reply. Toll-free numbers know only STOP, START and UNSTOP.
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

/// The keyword that counts for this receiver, if the body is one.
///
/// Short codes outside a service are left to their application; on toll-free
/// numbers only STOP opts out and only START and UNSTOP opt in.
pub(crate) fn keyword_for(receiver: &str, body: &str, in_service: bool) -> Option<Keyword> {
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
