//! What comes in: PDUs of the peer, and what each does to the session.

use kernel::Timestamp;

use super::{Event, Outstanding, Reason, Role, Session, State};
use crate::pdu::{self, Bind, Body, Pdu, Sm, Unreadable, id};
use crate::status::Status;

impl Session {
    /// Takes octets from the connection, in any pieces.
    pub fn receive(&mut self, now: Timestamp, octets: &[u8]) {
        if self.state == State::Closed {
            return;
        }
        let mut inbox = std::mem::take(&mut self.inbox);
        inbox.extend_from_slice(octets);
        let mut read = 0;
        while let Some(length) = inbox[read..].first_chunk().map(|word| u32::from_be_bytes(*word)) {
            let length = length as usize;
            if !(pdu::HEADER_OCTETS..=self.limits.pdu_octets_max).contains(&length) {
                // Where the next PDU begins cannot be known (§3.2.1).
                self.send(0, Status::INVALID_COMMAND_LENGTH, Body::GenericNack);
                return self.close(Reason::Size(length));
            }
            let Some(octets) = inbox.get(read..read + length) else { break };
            read += length;
            self.heard_at = now;
            self.enquired_at = None;
            match pdu::read(octets) {
                Ok(pdu) => self.handle(now, pdu),
                Err(why) => self.handle_unreadable(now, why),
            }
            if self.state == State::Closed {
                return;
            }
        }
        inbox.drain(..read);
        self.inbox = inbox;
    }

    fn handle(&mut self, now: Timestamp, pdu: Pdu) {
        let Pdu { status, sequence, body } = pdu;
        match body {
            Body::EnquireLink => self.send(sequence, Status::OK, Body::EnquireLinkResp),
            Body::Unbind => {
                self.send(sequence, Status::OK, Body::UnbindResp);
                self.close(Reason::PeerUnbound);
            }
            Body::UnbindResp => {
                if matches!(self.state, State::Unbinding(_)) {
                    self.close(Reason::Unbound);
                }
            }
            Body::Bind(bind) => self.handle_bind(sequence, bind),
            Body::BindResp { system_id, .. } => self.handle_bind_resp(status, system_id),
            Body::GenericNack if self.state == State::Binding => {
                self.close(Reason::BindRefused(status));
            }
            Body::SubmitSm(sm) => self.handle_request(now, sequence, id::SUBMIT_SM, sm),
            Body::DeliverSm(sm) => self.handle_request(now, sequence, id::DELIVER_SM, sm),
            Body::DataSm(sm) => self.handle_request(now, sequence, id::DATA_SM, sm),
            Body::Unsupported { command } => {
                self.send(sequence, refusal_of(command), Body::UnsupportedResp { command });
            }
            Body::SubmitSmResp { message_id } => {
                self.handle_answer(now, sequence, id::SUBMIT_SM, status, message_id);
            }
            Body::DataSmResp { message_id } => {
                self.handle_answer(now, sequence, id::DATA_SM, status, message_id);
            }
            Body::DeliverSmResp => {
                self.handle_answer(now, sequence, id::DELIVER_SM, status, String::new());
            }
            Body::GenericNack => {
                let command = self.outstanding.get(&sequence).map_or(0, |request| request.command);
                // A nack of status 0 would read as success.
                let status = if status.is_ok() { Status::SYSTEM_ERROR } else { status };
                self.handle_answer(now, sequence, command, status, String::new());
            }
            notice @ (Body::Outbind { .. } | Body::AlertNotification { .. }) => {
                self.events.push_back(Event::Notice(notice));
            }
            // Heard, which is all there is to an enquire_link_resp.
            Body::EnquireLinkResp | Body::UnsupportedResp { .. } => {}
        }
    }

    fn handle_bind(&mut self, sequence: u32, bind: Bind) {
        let mode = bind.mode;
        if self.role == Role::Smsc && self.state == State::Open(false) {
            self.state = State::Open(true);
            self.mode = mode;
            self.events.push_back(Event::BindRequested { sequence, bind });
            return;
        }
        let body = Body::BindResp { mode, system_id: String::new(), interface_version: None };
        self.send(sequence, Status::ALREADY_BOUND, body);
    }

    fn handle_bind_resp(&mut self, status: Status, system_id: String) {
        if self.state != State::Binding {
            return;
        }
        if status.is_ok() {
            self.state = State::Bound;
            self.events.push_back(Event::Bound { mode: self.mode, system_id });
        } else {
            self.close(Reason::BindRefused(status));
        }
    }

    fn handle_request(&mut self, now: Timestamp, sequence: u32, command: u32, sm: Sm) {
        let allowed = match self.role {
            Role::Smsc => self.mode.submits() && command != id::DELIVER_SM,
            Role::Esme => self.mode.receives() && command != id::SUBMIT_SM,
        };
        let refusal = match self.state {
            State::Bound if !allowed => Some(Status::INVALID_BIND_STATUS),
            State::Bound if self.to_answer.contains_key(&sequence) => return,
            State::Bound if self.to_answer.len() >= self.limits.window_in.max(1) => {
                Some(Status::THROTTLED)
            }
            State::Bound if !self.pace_in.take(now) => Some(Status::THROTTLED),
            State::Bound => None,
            // Come back after the next bind.
            State::Draining(_) | State::Unbinding(_) => Some(Status::THROTTLED),
            State::Open(_) | State::Binding | State::Closed => Some(Status::INVALID_BIND_STATUS),
        };
        match refusal {
            Some(status) => self.send(sequence, status, answer_to(command, "")),
            None => {
                self.to_answer.insert(sequence, command);
                self.events.push_back(Event::Request { sequence, sm });
            }
        }
    }

    fn handle_answer(
        &mut self,
        now: Timestamp,
        sequence: u32,
        command: u32,
        status: Status,
        message_id: String,
    ) {
        // Late, twice, or of another request: it says nothing.
        let is_ours = |request: &Outstanding| request.command == command;
        if !self.outstanding.get(&sequence).is_some_and(is_ours) {
            return;
        }
        let Some(request) = self.outstanding.remove(&sequence) else { return };
        if status.asks_for_patience() {
            self.hold_back(now, request.sent_at);
        } else if status.is_ok() {
            self.patience.succeed();
        }
        self.events.push_back(Event::Answered { tag: request.tag, status, message_id });
        self.expire_requests(now);
    }

    /// One more pause, unless the request went before the last one ended: a whole window
    /// refused at once is one refusal.
    fn hold_back(&mut self, now: Timestamp, sent_at: Timestamp) {
        if self.held_until.is_none_or(|until| sent_at >= until) {
            self.held_until = Some(now + self.patience.fail());
        }
    }

    fn handle_unreadable(&mut self, now: Timestamp, why: Unreadable) {
        match why {
            Unreadable::UnknownCommand { command, sequence, .. } => {
                if command & id::RESPONSE == 0 {
                    self.send(sequence, Status::INVALID_COMMAND_ID, Body::GenericNack);
                }
            }
            Unreadable::Malformed { command, sequence, status } => {
                if command & id::RESPONSE == 0 {
                    self.send(sequence, Status::INVALID_COMMAND_LENGTH, Body::GenericNack);
                } else {
                    let command = command & !id::RESPONSE;
                    self.handle_answer(now, sequence, command, status, String::new());
                }
            }
        }
    }
}

pub(super) fn answer_to(command: u32, message_id: &str) -> Body {
    let message_id = message_id.to_owned();
    match command {
        id::SUBMIT_SM => Body::SubmitSmResp { message_id },
        id::DATA_SM => Body::DataSmResp { message_id },
        _ => Body::DeliverSmResp,
    }
}

/// What the commands that are not offered are answered with.
fn refusal_of(command: u32) -> Status {
    match command {
        id::QUERY_SM => Status::QUERY_FAILED,
        id::CANCEL_SM => Status::CANCEL_FAILED,
        id::REPLACE_SM => Status::REPLACE_FAILED,
        _ => Status::INVALID_COMMAND_ID,
    }
}
