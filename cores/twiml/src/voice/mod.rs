//! Voice TwiML: the documents that say what happens on a call, and the machine that runs them.
//!
//! [`Machine`] does no I/O and knows no time: it is told what happened ([`Input`]) and answers what
//! is to be done ([`Output`]). Its state is plain data, so that a call survives whatever runs it.
//!
//! ```
//! use twiml::voice::{Input, Machine, Output, Role, Sound, Source};
//!
//! let mut machine = Machine::new(Role::Call, false);
//! let document = "<Response><Say>Hello</Say></Response>";
//! let done = machine.start(Source::Inline(document.to_owned()), None);
//! let [Output::Answer, Output::Play { id, sound: Sound::Say { text, .. } }] = &done[..] else {
//!     panic!("it answers and speaks: {done:?}");
//! };
//! assert_eq!(text, "Hello");
//! // Nothing is left to do when it has been said.
//! assert_eq!(machine.on(Input::Played { id: *id }), [Output::HangUp]);
//! ```

mod conference;
mod connect;
mod dial;
mod document;
mod gather;
mod grammar;
mod machine;
mod pay;
pub mod payment;
mod prompt;
mod queue;
mod record;
mod relay;
mod talk;
#[cfg(test)]
mod tests;

pub use dial::{DialPlan, Target, TargetKind};
pub use document::{Document, Element, parse, parse_text};
pub use machine::Machine;
pub use queue::EnqueuePlan;
pub use record::RecordPlan;
pub use talk::{Input, Listening, Output, Params, Role, Sound, Source, SpeechText, Told};
