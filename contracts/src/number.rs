//! Who owns a number, and what happens when it is called or texted.

use kernel::Sid;

use crate::{BoxFuture, Unavailable};

/// The account that holds a number, short code or channel address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberOwner {
    pub account: Sid,
    /// `PN…`, `SC…` or, of a channel, `XE…`.
    pub sid: Sid,
    pub sms: bool,
    pub mms: bool,
}

/// A number or short code as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedNumber {
    pub address: String,
    pub sms: bool,
    pub mms: bool,
    pub voice: bool,
}

/// Where an inbound message of a number goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InboundRoute {
    /// `None`: nobody is asked; the message is only kept.
    pub url: Option<String>,
    /// `GET` or `POST`.
    pub method: String,
    pub fallback_url: Option<String>,
    pub fallback_method: String,
    /// The application whose URLs these are.
    pub application: Option<Sid>,
}

/// Implemented by the numbers product.
pub trait NumberDirectory: Send + Sync {
    /// The owner of an E.164 number or short code, in whatever account.
    fn owner<'a>(
        &'a self,
        address: &'a str,
    ) -> BoxFuture<'a, Result<Option<NumberOwner>, Unavailable>>;

    /// Who holds the claim `value` of the kind `name`, in whatever account, and for what.
    fn holder<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
    ) -> BoxFuture<'a, Result<Option<(Sid, Sid)>, Unavailable>>;

    /// The number or short code `number` of `account`.
    fn owned(
        &self,
        account: Sid,
        number: Sid,
    ) -> BoxFuture<'_, Result<Option<OwnedNumber>, Unavailable>>;

    /// The message route of a number that `account` owns.
    fn message_route<'a>(
        &'a self,
        account: Sid,
        number: Sid,
    ) -> BoxFuture<'a, Result<InboundRoute, Unavailable>>;

    /// The message-status URL of an application of `account`.
    fn application_status_url(
        &self,
        account: Sid,
        application: Sid,
    ) -> BoxFuture<'_, Result<Option<String>, Unavailable>>;

    /// Forgets what is remembered of owners: one of them changed elsewhere.
    fn forget(&self);

    /// Development profile: makes `address` a number of `account`. `None` when
    /// it cannot be one, or another account has it.
    fn adopt<'a>(
        &'a self,
        account: Sid,
        address: &'a str,
    ) -> BoxFuture<'a, Result<Option<NumberOwner>, Unavailable>>;
}
