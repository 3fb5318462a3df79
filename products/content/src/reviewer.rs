//! The simulated reviewer: hands templates over, and decides after a while.

use std::sync::Arc;

use jobs::{Failure, Job, NewJob, Worker};
use rest::Doc;
use store::{AccountBatch, AccountStore, StoreError};
use template::{Category, Submission, Template, Verdict, review};

use crate::Content;
use crate::approval::{REVIEW, Review, event_of};
use crate::lifecycle::{Approval, Event, Status, apply};
use crate::resource::KIND;
use crate::shelf::{self, Scan};

/// Whose name at WhatsApp it is: the claim's value is the account and the name.
const NAME_CLAIM: &str = "whatsapp-template-name";
/// In development a template of such a name is rejected.
const REJECTED_PREFIX: &str = "reject_";

/// Takes approval requests through the review.
pub struct Reviewer(pub Arc<Content>);

impl Worker for Reviewer {
    const QUEUE: &'static str = REVIEW;

    async fn run(&self, job: &Job, store: &AccountStore) -> Result<AccountBatch, Failure> {
        let Review { sid } = job.read()?;
        let mut batch = store.batch();
        // A template that was deleted needs no decision.
        let Some(doc) = rest::load(store, KIND, "", &sid.to_string()).await? else {
            return Ok(batch);
        };
        let Some(approval) = shelf::approval(&doc) else { return Ok(batch) };
        let event = match approval.status {
            Status::Received => Event::HandedOver,
            Status::Pending => Event::Decided(self.decide(store, &doc, &approval).await?),
            Status::Approved | Status::Rejected => return Ok(batch),
        };
        if let Some(next) = apply(&approval, event) {
            self.write(&mut batch, &doc, &next, &Review { sid });
        }
        Ok(batch)
    }
}

impl Reviewer {
    /// The verdict of the rules, and of what else the account has.
    async fn decide(
        &self,
        store: &AccountStore,
        doc: &Doc,
        approval: &Approval,
    ) -> Result<Verdict, Failure> {
        let rejected = |reason: &str| Verdict::Rejected { reason: reason.to_owned() };
        if self.0.parts.development && approval.name.starts_with(REJECTED_PREFIX) {
            return Ok(rejected("The name begins with reject_, so that a test sees a rejection."));
        }
        let template = shelf::template(doc);
        let category = Category::of(&approval.category);
        let (Some(template), Some(category)) = (template, category) else {
            return Ok(rejected("The template cannot be read."));
        };
        let submission = Submission {
            name: &approval.name,
            category,
            allow_category_change: approval.allow_category_change,
        };
        let verdict = review(&template, submission);
        if matches!(verdict, Verdict::Rejected { .. }) {
            return Ok(verdict);
        }
        if is_taken(store, &approval.name).await? {
            return Ok(rejected("Another template of this account has the name."));
        }
        if let Some(other) = twin(store, doc, &template).await? {
            return Ok(rejected(&format!("{other} has the same content in the same language.")));
        }
        Ok(verdict)
    }

    /// The new status with its event, its alert, and the next step.
    fn write(&self, batch: &mut AccountBatch, doc: &Doc, next: &Approval, review: &Review) {
        let parts = &self.0.parts;
        shelf::put_approval(batch, doc, next);
        let now = parts.clock.now();
        batch.event(&format!("content.{}", next.status), &doc.sid, now, event_of(next));
        match next.status {
            Status::Pending => {
                let again = NewJob::now(REVIEW, &parts.clock, review).after(parts.review_delay);
                jobs::add(batch, &parts.clock, again);
            }
            Status::Approved => {
                // Somebody else's approval under this name makes the job run again.
                let value = name_value(batch.account(), &next.name);
                batch.run(
                    "INSERT INTO claim (account_sid, sid, name, value) VALUES ($1, $2, $3, $4)",
                    vec![doc.sid.as_str().into(), NAME_CLAIM.into(), value.into()],
                );
                let why = format!("WhatsApp approved the template {}", next.name);
                parts.webhooks.alert(batch, &doc.sid, 63046, &why, "");
            }
            Status::Rejected => {
                let why = format!("WhatsApp rejected {}: {}", next.name, next.rejection_reason);
                parts.webhooks.alert(batch, &doc.sid, 63040, &why, "");
            }
            Status::Received => {}
        }
    }
}

/// A claim stands once on the whole platform, a template's name once in its account.
fn name_value(account: kernel::Sid, name: &str) -> String {
    format!("{account} {name}")
}

async fn is_taken(store: &AccountStore, name: &str) -> Result<bool, StoreError> {
    let sql = "SELECT sid FROM claim WHERE account_sid = $1 AND name = $2 AND value = $3";
    let value = name_value(store.account(), name);
    Ok(store.point(sql, vec![NAME_CLAIM.into(), value.into()]).await?.is_some())
}

/// The name of an approved template with the same content in the same language.
async fn twin(
    store: &AccountStore,
    doc: &Doc,
    template: &Template,
) -> Result<Option<String>, StoreError> {
    let Some(kind) = template.reviewed_kind() else { return Ok(None) };
    let mut scan = Scan::new(store);
    loop {
        let docs = scan.next().await?;
        if docs.is_empty() {
            return Ok(None);
        }
        for other in docs.iter().filter(|other| other.sid != doc.sid) {
            let Some(approval) = shelf::approval(other) else { continue };
            let is_same = approval.status == Status::Approved
                && other.text("language") == Some(template.language())
                && other.fields.get("types").and_then(|types| types.get(kind.name()))
                    == template.types().get(kind.name());
            if is_same {
                return Ok(Some(approval.name));
            }
        }
    }
}
