//! Who talks to whom, and by which way (RFC 3261 §12).

use crate::message::{Headers, Method, Request, Response};
use crate::uri::{NameAddr, Uri};

/// One end of a dialog: ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialog {
    pub call_id: String,
    /// With tags.
    pub local: NameAddr,
    pub remote: NameAddr,
    /// Of the other end: where requests go in the end.
    pub target: String,
    /// The way there, first hop first.
    pub route: Vec<String>,
    pub local_cseq: u32,
    /// `None` until the other end has asked something.
    pub remote_cseq: Option<u32>,
}

/// What makes a request of a dialog one that is not answered as usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutOfDialog {
    /// It is of no dialog: 481.
    Unknown,
    /// It came after a later one: 500.
    Old,
}

/// The dialog whose place an INVITE takes, as its recipient sees it (RFC 3891 §6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaces {
    pub call_id: String,
    pub local_tag: String,
    pub remote_tag: String,
    /// Only if it was not answered yet.
    pub early_only: bool,
}

impl Replaces {
    /// `12345@h;to-tag=ours;from-tag=theirs;early-only`
    pub fn parse(value: &str) -> Option<Self> {
        let mut parts = value.split(';').map(str::trim);
        let call_id = parts.next().filter(|text| !text.is_empty())?.to_owned();
        let (mut local_tag, mut remote_tag, mut early_only) = (None, None, false);
        for part in parts {
            let (name, value) = part.split_once('=').map_or((part, ""), |(n, v)| (n.trim(), v));
            let tag = || Some(value.trim().to_owned());
            match name.to_ascii_lowercase().as_str() {
                "to-tag" if local_tag.is_none() => local_tag = tag(),
                "from-tag" if remote_tag.is_none() => remote_tag = tag(),
                "early-only" => early_only = true,
                // Said twice, it could mean two dialogs.
                "to-tag" | "from-tag" => return None,
                _ => {}
            }
        }
        Some(Self { call_id, local_tag: local_tag?, remote_tag: remote_tag?, early_only })
    }

    /// Whether it names this dialog.
    pub fn names(&self, dialog: &Dialog) -> bool {
        dialog.call_id == self.call_id
            && dialog.local_tag() == self.local_tag
            && dialog.remote_tag() == self.remote_tag
    }
}

fn tag(address: &NameAddr) -> &str {
    address.param("tag").unwrap_or_default()
}

fn contact(headers: &Headers) -> Option<String> {
    let contact = NameAddr::parse(headers.list("Contact").next()?).ok()?;
    Uri::parse(&contact.address).ok().map(|uri| uri.to_string())
}

impl Dialog {
    /// Of a call that came in; `tag` is ours. `None` without a `Contact` that can be reached.
    pub fn of_invite(request: &Request, local_tag: &str) -> Option<Self> {
        let headers = &request.headers;
        let mut local = NameAddr::parse(headers.get("To")?).ok()?;
        local.params.retain(|(name, _)| !name.eq_ignore_ascii_case("tag"));
        local.params.push(("tag".to_owned(), Some(local_tag.to_owned())));
        Some(Self {
            call_id: headers.call_id().to_owned(),
            local,
            remote: NameAddr::parse(headers.get("From")?).ok()?,
            target: contact(headers)?,
            route: headers.list("Record-Route").map(str::to_owned).collect(),
            local_cseq: 0,
            remote_cseq: headers.cseq().map(|(number, _)| number),
        })
    }

    /// Of a call that was placed, as its response with a tag makes it.
    pub fn of_response(request: &Request, response: &Response) -> Option<Self> {
        let headers = &response.headers;
        Some(Self {
            call_id: headers.call_id().to_owned(),
            local: NameAddr::parse(request.headers.get("From")?).ok()?,
            remote: NameAddr::parse(headers.get("To")?).ok()?,
            target: contact(headers).unwrap_or_else(|| request.uri.clone()),
            route: headers.list("Record-Route").rev().map(str::to_owned).collect(),
            local_cseq: request.headers.cseq()?.0,
            remote_cseq: None,
        })
    }

    pub fn local_tag(&self) -> &str {
        tag(&self.local)
    }

    pub fn remote_tag(&self) -> &str {
        tag(&self.remote)
    }

    /// A new request within the dialog, without Via; an ACK takes the number of its INVITE.
    pub fn request(&mut self, method: Method) -> Request {
        if method != Method::Ack {
            self.local_cseq += 1;
        }
        self.numbered(method, self.local_cseq)
    }

    /// A request with a number that is given: the ACK of an earlier INVITE.
    pub fn numbered(&self, method: Method, number: u32) -> Request {
        // A first hop that is no loose router takes the place of the target (§12.2.1.1).
        let strict = self.route.first().filter(|first| {
            let uri = NameAddr::parse(first).ok().and_then(|hop| hop.uri().ok());
            uri.is_some_and(|uri| uri.param("lr").is_none())
        });
        let strict = strict.and_then(|first| NameAddr::parse(first).ok());
        let uri = strict.as_ref().map_or_else(|| self.target.clone(), |hop| hop.address.clone());
        let mut request = Request::new(method, uri);
        let headers = &mut request.headers;
        headers.add("Max-Forwards", "70");
        headers.add("From", self.local.to_string());
        headers.add("To", self.remote.to_string());
        headers.add("Call-ID", self.call_id.as_str());
        headers.add("CSeq", format!("{number} {}", request.method));
        let skipped = usize::from(strict.is_some());
        for hop in &self.route[skipped.min(self.route.len())..] {
            headers.add("Route", hop.as_str());
        }
        if strict.is_some() {
            headers.add("Route", format!("<{}>", self.target));
        }
        request
    }

    /// Where a request is sent to first.
    pub fn next_hop(&self) -> String {
        let hop = self.route.first().and_then(|first| NameAddr::parse(first).ok());
        hop.map_or_else(|| self.target.clone(), |hop| hop.address)
    }

    /// Takes the number of a request of the other end.
    pub fn take(&mut self, request: &Request) -> Result<(), OutOfDialog> {
        let headers = &request.headers;
        let is_ours = headers.call_id() == self.call_id
            && headers.tag("To").as_deref() == Some(self.local_tag())
            && headers.tag("From").unwrap_or_default() == self.remote_tag();
        if !is_ours {
            return Err(OutOfDialog::Unknown);
        }
        let number = headers.cseq().map_or(0, |(number, _)| number);
        if matches!(request.method, Method::Ack | Method::Cancel) {
            return Ok(());
        }
        if self.remote_cseq.is_some_and(|last| number <= last) {
            return Err(OutOfDialog::Old);
        }
        self.remote_cseq = Some(number);
        if matches!(request.method, Method::Invite | Method::Update) {
            self.refresh(headers);
        }
        Ok(())
    }

    /// A target refresh: the contact changes, the route does not (§12.2).
    pub fn refresh(&mut self, headers: &Headers) {
        if let Some(target) = contact(headers) {
            self.target = target;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite() -> Request {
        let mut request = Request::new(Method::Invite, "sip:bob@us");
        for (name, value) in [
            ("Via", "SIP/2.0/UDP h;branch=z9hG4bK1"),
            ("From", "<sip:ann@them>;tag=theirs"),
            ("To", "<sip:bob@us>"),
            ("Call-ID", "c1"),
            ("CSeq", "5 INVITE"),
            ("Contact", "<sip:ann@192.0.2.1:5070>"),
            ("Record-Route", "<sip:p1;lr>, <sip:p2;lr>"),
        ] {
            request.headers.add(name, value);
        }
        request
    }

    #[test]
    fn an_answering_end_goes_back_by_the_way() {
        let mut dialog = Dialog::of_invite(&invite(), "ours").unwrap();
        let bye = dialog.request(Method::Bye);
        assert_eq!(bye.uri, "sip:ann@192.0.2.1:5070");
        assert_eq!(bye.headers.get("From"), Some("<sip:bob@us>;tag=ours"));
        assert_eq!(bye.headers.get("CSeq"), Some("1 BYE"));
        assert_eq!(bye.headers.all("Route").collect::<Vec<_>>(), ["<sip:p1;lr>", "<sip:p2;lr>"]);
        assert_eq!(dialog.next_hop(), "sip:p1;lr");
    }

    #[test]
    fn what_is_replaced_is_read_and_known() {
        let dialog = Dialog::of_invite(&invite(), "ours").unwrap();
        for (value, expected) in [
            ("c1;to-tag=ours;from-tag=theirs", Some((true, false))),
            ("c1 ; From-Tag = theirs;early-only; to-tag=ours;x=y", Some((true, true))),
            ("c1;to-tag=theirs;from-tag=ours", Some((false, false))),
            ("c2;to-tag=ours;from-tag=theirs", Some((false, false))),
            ("c1;to-tag=ours", None),
            ("c1;to-tag=ours;to-tag=other;from-tag=theirs", None),
            (";to-tag=ours;from-tag=theirs", None),
        ] {
            let found = Replaces::parse(value).map(|it| (it.names(&dialog), it.early_only));
            assert_eq!(found, expected, "{value}");
        }
    }

    #[test]
    fn a_strict_router_takes_the_place_of_the_target() {
        let mut request = invite();
        request.headers.set("Record-Route", "<sip:p1>, <sip:p2;lr>");
        let mut dialog = Dialog::of_invite(&request, "ours").unwrap();
        let bye = dialog.request(Method::Bye);
        assert_eq!(bye.uri, "sip:p1");
        let route: Vec<&str> = bye.headers.all("Route").collect();
        assert_eq!(route, ["<sip:p2;lr>", "<sip:ann@192.0.2.1:5070>"]);
    }

    #[test]
    fn a_stranger_and_an_old_request_are_told_apart() {
        let mut dialog = Dialog::of_invite(&invite(), "ours").unwrap();
        let ask = |method: Method, from: &str, to: &str, number: u32| {
            let mut request = Request::new(method.clone(), "sip:us");
            request.headers.add("From", format!("<sip:ann@them>;tag={from}"));
            request.headers.add("To", format!("<sip:bob@us>;tag={to}"));
            request.headers.add("Call-ID", "c1");
            request.headers.add("CSeq", format!("{number} {method}"));
            request
        };
        let mut take = |request: &Request| dialog.take(request);
        assert_eq!(take(&ask(Method::Bye, "forged", "ours", 6)), Err(OutOfDialog::Unknown));
        assert_eq!(take(&ask(Method::Bye, "theirs", "forged", 6)), Err(OutOfDialog::Unknown));
        assert_eq!(take(&ask(Method::Info, "theirs", "ours", 5)), Err(OutOfDialog::Old));
        assert_eq!(take(&ask(Method::Info, "theirs", "ours", 6)), Ok(()));
        assert_eq!(take(&ask(Method::Info, "theirs", "ours", 6)), Err(OutOfDialog::Old));
    }

    #[test]
    fn a_later_answer_changes_the_target_and_not_the_route() {
        let request = invite();
        let mut answer = request.response(200, "", Some("t2"));
        answer.headers.add("Record-Route", "<sip:p2;lr>");
        answer.headers.add("Record-Route", "<sip:p1;lr>");
        answer.headers.add("Contact", "<sip:bob@198.51.100.1>");
        let mut dialog = Dialog::of_response(&request, &answer).unwrap();
        assert_eq!(dialog.route, ["<sip:p1;lr>", "<sip:p2;lr>"]);
        let mut again = request.response(200, "", Some("t2"));
        again.headers.add("Contact", "<sip:bob@198.51.100.2>");
        again.headers.add("Record-Route", "<sip:evil;lr>");
        dialog.refresh(&again.headers);
        assert_eq!(dialog.target, "sip:bob@198.51.100.2");
        assert_eq!(dialog.route, ["<sip:p1;lr>", "<sip:p2;lr>"]);
    }
}
