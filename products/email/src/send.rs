//! `POST /v3/mail/send`: accepted or not.

use std::collections::BTreeSet;

use jobs::NewJob;
use serde::Serialize;
use serde_json::Value;
use store::{AccountBatch, AccountStore, StoreError};

use crate::dispatch::{PROCESS_QUEUE, Process};
use crate::fault::{Fault, Item};
use crate::letter::{Letter, Person, Personalization};
use crate::lifecycle::Status;
use crate::reader::{Meta, Reader};
use crate::wire::{Answer, Call, Route, route};
use crate::{Email, check, group, identity, notice, schedule, shelf, stats, template};

pub const ROUTES: &[Route] = &[
    route("POST", "/v3/mail/send", "mail.send", |e, c| Box::pin(send(e, c))),
    // Of before `sendgrid` had versions in its paths.
    route("POST", "/v3/mail/send/beta", "mail.send", |e, c| Box::pin(send(e, c))),
];

/// Bytes of all attachments of a request, and of the message it makes.
const BYTES_MAX: usize = 30 * 1024 * 1024;
/// Bytes of a letter that lies in its row, and not in a file of its own.
const SHORT_BYTES_MAX: usize = 32 * 1024;

async fn send(email: &Email, call: &Call) -> Result<Answer, Fault> {
    let letter = check::letter(&call.object()?, call.now)?;
    let bytes: usize = letter.attachments.iter().map(|file| file.content.len()).sum();
    if bytes > BYTES_MAX {
        return Err(Fault::field("attachments", "The message exceeds the maximum size of 30 MB.")
            .status(413));
    }
    email.check_state(&call.store, &letter).await?;
    if letter.enables("mail", "sandbox_mode") == Some(true) {
        return Ok(Answer::Empty(200));
    }
    Ok(Answer::Accepted(email.accept(&call.store, &letter, None).await?))
}

impl Email {
    /// The rules that need the account.
    pub(crate) async fn check_state(
        &self,
        store: &AccountStore,
        letter: &Letter,
    ) -> Result<(), Fault> {
        let mut items = Vec::new();
        let mut fail = |field: &str, message: &str| {
            items.push(Item { message: message.to_owned(), field: Some(field.to_owned()) });
        };
        if let Some(id) = letter.template_id.as_deref().filter(|id| !id.is_empty()) {
            match template::active(store, id).await? {
                None => fail(
                    "template_id",
                    "The template_id must be a valid template id for your account.",
                ),
                Some(version) => {
                    let has =
                        |subject: Option<&String>| subject.is_some_and(|text| !text.is_empty());
                    let everywhere =
                        letter.personalizations.iter().all(|one| has(one.subject.as_ref()));
                    if version.subject.is_empty() && !has(letter.subject.as_ref()) && !everywhere {
                        fail(
                            "subject",
                            "The subject is required. You can get around this requirement if you use a template with a subject defined or if every personalization has a subject defined.",
                        );
                    }
                }
            }
        }
        if let Some(asm) = &letter.asm {
            if !group::exists(store, asm.group_id).await? {
                fail("asm.group_id", "The asm group_id must be valid on your account.");
            }
            for id in &asm.groups_to_display {
                if !group::exists(store, *id).await? {
                    fail(
                        "asm.groups_to_display",
                        &format!(
                            "The asm groups_to_display has ids that are not valid on your account: {id}."
                        ),
                    );
                }
            }
        }
        if let Some(batch) = &letter.batch_id
            && !schedule::is_known(store, batch).await?
        {
            fail("batch_id", "invalid batch id");
        }
        if !items.is_empty() {
            return Err(Fault { status: 400, items, is_unsupported: false });
        }
        if self.parts.development {
            return Ok(());
        }
        let own = letter.personalizations.iter().filter_map(|one| one.from.as_ref());
        for from in std::iter::once(&letter.from).chain(own) {
            if !identity::may_send_as(store, &from.email).await? {
                return Err(Fault::field("from", "The from address does not match a verified Sender Identity. Mail cannot be sent until this error is resolved. Visit https://sendgrid.com/docs/for-developers/sending-email/sender-identity/ to see the Sender Identity requirements").status(403));
            }
        }
        Ok(())
    }

    /// Keeps a mail and promises to send it. Its id.
    ///
    /// # Errors
    /// `Duplicate` when the notice `notice` was accepted before.
    pub(crate) async fn accept(
        &self,
        store: &AccountStore,
        letter: &Letter,
        notice: Option<&str>,
    ) -> Result<String, StoreError> {
        let mut batch = store.batch();
        let id = self.enqueue(letter, notice, &mut batch).await?;
        store.commit(batch).await?;
        Ok(id)
    }

    /// As [`Email::accept`], in a batch of the caller's.
    pub(crate) async fn enqueue(
        &self,
        letter: &Letter,
        notice: Option<&str>,
        batch: &mut AccountBatch,
    ) -> Result<String, StoreError> {
        let id = self.token(16);
        let now = self.parts.clock.now();
        let body = bytes_of(&id, letter);
        let (blob, short) = match body.len() <= SHORT_BYTES_MAX {
            true => (String::new(), Some(body)),
            false => (self.parts.blobs.put(&body).await?, None),
        };
        batch.run(
            "INSERT INTO mail (account_sid, id, blob, batch_id, send_at, date_created, letter)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            vec![
                id.as_str().into(),
                blob.into(),
                letter.batch_id.clone().into(),
                letter.send_at.into(),
                now.into(),
                short.into(),
            ],
        );
        if let Some(reference) = notice {
            shelf::claim(batch, notice::CLAIM, reference, &id);
        }
        let mut times = BTreeSet::new();
        for (part, one) in letter.personalizations.iter().enumerate() {
            let send_at = due(letter, one);
            times.insert(send_at);
            let meta = meta_of(letter, one, notice);
            for (at, person) in one.readers().enumerate() {
                let reader = Reader {
                    id: format!("{id}.offhook.{part:04}.{at:04}"),
                    mail: id.clone(),
                    part,
                    email: person.email.trim().to_owned(),
                    from: one.from.as_ref().unwrap_or(&letter.from).email.clone(),
                    subject: one
                        .subject
                        .clone()
                        .or_else(|| letter.subject.clone())
                        .unwrap_or_default(),
                    status: Status::Queued,
                    meta: Meta { send_at, to_name: comms_name(one, person), ..meta.clone() },
                    attempt: 0,
                    opens: 0,
                    clicks: 0,
                    created: now,
                    last_event: now,
                };
                reader.insert(batch);
                stats::count(batch, &letter.categories, "requests", now);
            }
        }
        for send_at in times {
            let process = Process { mail: id.clone(), send_at };
            let mut job = NewJob::now(PROCESS_QUEUE, &self.parts.clock, &process);
            if let Some(at) = send_at.map(kernel::Timestamp::from_seconds) {
                job = job.at(at.max(now));
            }
            jobs::add(batch, &self.parts.clock, job);
        }
        Ok(id)
    }
}

/// When a personalization is to be sent.
fn due(letter: &Letter, one: &Personalization) -> Option<i64> {
    one.send_at.or(letter.send_at)
}

fn meta_of(letter: &Letter, one: &Personalization, notice: Option<&str>) -> Meta {
    let mut custom_args = letter.custom_args.clone();
    custom_args.extend(one.custom_args.clone());
    Meta {
        categories: letter.categories.clone(),
        one_category: letter.one_category,
        custom_args,
        group_id: letter.asm.as_ref().map(|asm| asm.group_id),
        template_id: letter.template_id.clone(),
        template_name: None,
        send_at: None,
        notice: notice.map(str::to_owned),
        comms_id: one.comms_id.clone(),
        from_name: comms_name(one, &letter.from),
        to_name: None,
    }
}

/// The name of a person where Twilio's own Email API will show it.
fn comms_name(one: &Personalization, person: &Person) -> Option<String> {
    one.comms_id.as_ref().and(person.name.clone())
}

/// A letter as it is kept: it names its mail, so that no other mail's is the same blob.
pub(crate) fn bytes_of(mail: &str, letter: &Letter) -> Vec<u8> {
    #[derive(Serialize)]
    struct Kept<'a> {
        mail: &'a str,
        #[serde(flatten)]
        letter: &'a Letter,
    }
    serde_json::to_vec(&Kept { mail, letter }).expect("a letter is plain data")
}

/// Whether these bytes are the letter of this mail and of no other.
pub(crate) fn is_of(bytes: &[u8], mail: &str) -> bool {
    bytes.starts_with(format!("{{\"mail\":\"{mail}\",").as_bytes())
}

/// The letter of a mail.
///
/// # Errors
/// When the store is away; a letter that is gone is `None`.
pub(crate) async fn letter_of(email: &Email, blob: &str) -> Result<Option<Letter>, StoreError> {
    let bytes = email.parts.blobs.get(blob).await?;
    Ok(bytes.as_deref().and_then(read))
}

/// The letter of a row whose `blob` and `letter` these are.
///
/// # Errors
/// As [`letter_of`].
pub(crate) async fn letter_of_row(
    email: &Email,
    blob: &str,
    short: Option<&[u8]>,
) -> Result<Option<Letter>, StoreError> {
    match short {
        Some(bytes) => Ok(read(bytes)),
        None => letter_of(email, blob).await,
    }
}

fn read(bytes: &[u8]) -> Option<Letter> {
    let json = serde_json::from_slice::<Value>(bytes).ok()?;
    serde_json::from_value(json).ok()
}
