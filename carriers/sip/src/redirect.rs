//! Redirections (RFC 3261 §8.1.3.4): the far side of a trunk names another place for a call.
//!
//! Differs: who is called by a SIP address of its own cannot redirect (32219), only a trunk can.

use kernel::Sid;
use sip::message::Response;
use sip::{NameAddr, Uri};

use crate::agent::Agent;
use crate::input::Input;
use crate::outbound::{Branch, Target};
use crate::targets::resolve_redirect;

/// Redirections of one call, and places that one of them may name.
pub(crate) const HOPS_MAX: u8 = 5;
const PLACES_MAX: usize = 5;

/// The places of a redirection, best first; the one that redirects is none.
fn places(response: &Response, from: &str) -> Vec<Uri> {
    let contacts = response.headers.list("Contact").filter_map(|text| NameAddr::parse(text).ok());
    let ranked = contacts.filter(|contact| contact.address != from).filter_map(|contact| {
        let share = contact.param("q").and_then(|q| q.parse::<f32>().ok()).unwrap_or(1.0);
        let mut uri = contact.uri().ok()?;
        // What goes along with the call is not for the far side to say.
        uri.headers = None;
        Some(((share.clamp(0.0, 1.0) * 1000.0) as u32, uri))
    });
    let mut ranked: Vec<(u32, Uri)> = ranked.take(PLACES_MAX).collect();
    ranked.sort_by_key(|(share, _)| std::cmp::Reverse(*share));
    ranked.into_iter().map(|(_, uri)| uri).collect()
}

impl Agent {
    /// Looks where a redirection leads; false when it may not.
    pub(crate) fn follow(&mut self, leg: Sid, branch: &Branch, response: &Response) -> bool {
        let plan = self.calls.get_mut(&leg).and_then(|call| call.plan.as_mut());
        let Some(plan) = plan.filter(|plan| plan.redirects > 0) else { return false };
        let places = places(response, &branch.request.uri);
        if places.is_empty() {
            return false;
        }
        plan.redirects -= 1;
        let (sip, from, code) = (self.sip.clone(), branch.target.clone(), response.code);
        tokio::spawn(async move {
            let mut targets = Vec::new();
            for mut uri in places {
                uri.secure |= from.secure;
                match resolve_redirect(&sip, uri, &from).await {
                    Ok(target) => targets.push(target),
                    Err(miss) => tracing::debug!(%leg, ?miss, "a redirection leads nowhere"),
                }
            }
            // Without an agent there is no call.
            let _ = sip.inputs.send(Input::Redirected { leg, targets, code }).await;
        });
        true
    }

    /// Where it leads is known, and tried next.
    pub(crate) async fn redirected(&mut self, leg: Sid, targets: Vec<Target>, code: u16) {
        let Some(call) = self.calls.get_mut(&leg) else { return };
        let Some(plan) = call.plan.as_mut() else { return };
        let is_lost = targets.is_empty();
        for target in targets.into_iter().rev() {
            plan.groups.push_front(vec![target]);
        }
        match (is_lost, call.branches.is_empty()) {
            (true, _) => self.branch_over(leg, code, "").await,
            (false, true) => self.try_next(leg).await,
            (false, false) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use sip::Method;
    use sip::message::Request;

    use super::*;

    #[test]
    fn the_best_place_comes_first_and_the_own_never() {
        let mut moved = Request::new(Method::Invite, "sip:a@b").response(302, "", None);
        for contact in
            ["<sip:a@c>;q=0.2, <sip:a@b>", "<sip:a@d?X-A=1>;q=0.9", "tel:+1", "<sip:a@e>;q=7"]
        {
            moved.headers.add("Contact", contact);
        }
        let found: Vec<String> = places(&moved, "sip:a@b").iter().map(Uri::to_string).collect();
        assert_eq!(found, ["sip:a@e", "sip:a@d", "sip:a@c"]);
        let many: Vec<String> = (0..9).map(|at| format!("<sip:a@h{at}>")).collect();
        moved.headers.set("Contact", many.join(", "));
        assert_eq!(places(&moved, "sip:a@b").len(), PLACES_MAX);
    }
}
