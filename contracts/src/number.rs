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

/// Where an inbound call of a number goes, or what an application says of calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallRoute {
    /// `None`: nobody is asked, and the call is not taken.
    pub url: Option<String>,
    /// `GET` or `POST`.
    pub method: String,
    pub fallback_url: Option<String>,
    pub fallback_method: String,
    /// Told when the call has ended.
    pub status_callback: Option<String>,
    pub status_callback_method: String,
    /// The application whose URLs these are.
    pub application: Option<Sid>,
    /// The trunk that takes the call; nobody is asked then.
    pub trunk: Option<Sid>,
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

    /// The call route of a number that `account` owns.
    fn call_route(
        &self,
        account: Sid,
        number: Sid,
    ) -> BoxFuture<'_, Result<CallRoute, Unavailable>>;

    /// The call route of an application; `None` when `account` has no such application.
    fn application_call_route(
        &self,
        account: Sid,
        application: Sid,
    ) -> BoxFuture<'_, Result<Option<CallRoute>, Unavailable>>;

    /// Whether `account` has the address `AD…`.
    fn has_address(&self, account: Sid, address: Sid) -> BoxFuture<'_, Result<bool, Unavailable>>;

    /// The numbers whose calls a trunk of `account` takes.
    fn numbers_of_trunk(
        &self,
        account: Sid,
        trunk: Sid,
    ) -> BoxFuture<'_, Result<Vec<Sid>, Unavailable>>;

    /// Whether `account` has shown that `number`, which is not its own, may be its caller id.
    fn is_caller_id<'a>(
        &'a self,
        account: Sid,
        number: &'a str,
    ) -> BoxFuture<'a, Result<bool, Unavailable>>;

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
