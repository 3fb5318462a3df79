//! A mail as its mailbox shows it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use contracts::OutboundMail;
use kernel::{Sid, Timestamp};
use serde::{Deserialize, Serialize};

/// Larger files are shown without their content.
const FILE_BYTES_MAX: usize = 1024 * 1024;
const LINKS_MAX: usize = 100;

/// A mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// The `sg_message_id`.
    pub id: String,
    pub account: Sid,
    pub at: Timestamp,
    pub from: String,
    pub to: String,
    pub cc: String,
    pub subject: String,
    /// The header lines as they came.
    pub headers: String,
    pub text: Option<String>,
    pub html: Option<String>,
    pub files: Vec<MailFile>,
    /// Where the links lead, the picture and the way out apart.
    pub links: Vec<String>,
    pub picture: Option<String>,
    pub unsubscribe: Option<String>,
}

/// A file of a mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailFile {
    pub filename: String,
    pub content_type: String,
    pub size: usize,
    /// Base64; absent above 1 MiB.
    pub content: Option<String>,
}

impl Mail {
    pub(super) fn of(mail: &OutboundMail, at: Timestamp) -> Self {
        let read = mail::read(&mail.message).unwrap_or_default();
        let html = read.html.clone().unwrap_or_default();
        let unsubscribe = way_out(&read.headers);
        let mut links = Vec::new();
        mail::rewrite_links(&html, |url, _| {
            if links.len() < LINKS_MAX && Some(url) != unsubscribe.as_deref() {
                links.push(url.to_owned());
            }
            String::new()
        });
        for word in read.text.as_deref().unwrap_or_default().split_whitespace() {
            let is_new = word.starts_with("http") && links.len() < LINKS_MAX;
            if is_new && read.html.is_none() && Some(word) != unsubscribe.as_deref() {
                links.push(word.to_owned());
            }
        }
        let picture = html.split("src=\"").filter_map(|piece| piece.split('"').next());
        let picture = picture.filter(|url| url.contains("/_offhook/mail/open/")).last();
        let files = read.parts.iter().map(|part| MailFile {
            filename: part.filename.clone(),
            content_type: part.content_type.clone(),
            size: part.bytes.len(),
            content: (part.bytes.len() <= FILE_BYTES_MAX).then(|| STANDARD.encode(&part.bytes)),
        });
        Self {
            id: mail.id.clone(),
            account: mail.account,
            at,
            files: files.collect(),
            picture: picture.map(str::to_owned),
            from: read.from,
            to: read.to,
            cc: read.cc,
            subject: read.subject,
            headers: read.headers,
            text: read.text,
            html: read.html,
            links,
            unsubscribe,
        }
    }
}

/// The http(s) address of `List-Unsubscribe` (RFC 2369 §3.2).
fn way_out(headers: &str) -> Option<String> {
    let unfolded = headers.replace("\r\n ", " ").replace("\r\n\t", " ");
    let line =
        unfolded.lines().find(|line| line.to_ascii_lowercase().starts_with("list-unsubscribe:"))?;
    let links = line.split('<').skip(1).filter_map(|piece| piece.split('>').next());
    links.map(str::trim).find(|link| link.starts_with("http")).map(str::to_owned)
}
