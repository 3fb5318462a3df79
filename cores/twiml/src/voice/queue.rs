//! Enqueue: waiting for somebody to take the call.

use serde::{Deserialize, Serialize};

use super::document::Element;
use super::machine::{Action, Machine, State};
use super::talk::{Input, Output, Role, Sound, Source, alert};

/// Between two runs of the document for those who wait.
///
/// Differs: Twilio repeats it without a pause.
const AGAIN_MILLIS: u64 = 1000;

/// Which queue, and what it is like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnqueuePlan {
    pub queue: String,
    /// Of a queue that comes into being with it.
    pub max_size: Option<u64>,
}

/// Somebody in a queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Queued {
    action: Option<Action>,
    wait_at: Option<Action>,
    is_silent: bool,
    wait: Option<Box<Machine>>,
    /// Until the document is run again.
    timer: u32,
    /// Somebody talks to this one, or will when the whisper is over.
    taken: bool,
    /// What this one hears before.
    #[serde(default)]
    whisper: Option<Box<Machine>>,
    gone: bool,
}

impl Queued {
    pub fn hung_up(self) -> Self {
        Self { gone: true, ..self }
    }
}

impl Machine {
    pub(super) fn enqueue(&mut self, verb: Element, out: &mut Vec<Output>) {
        let action = self.action(&verb, out);
        if verb.get("workflowSid").is_some() {
            let message = "workflowSid needs TaskRouter, which this platform does not have yet";
            out.push(alert(14226, message.to_owned()));
        }
        let length = verb.text.chars().count();
        if !(1..=64).contains(&length) {
            let (code, what) = if length == 0 { (14204, "short") } else { (14205, "long") };
            out.push(alert(code, format!("the name of the queue is too {what}")));
            let failed = vec![("QueueResult".to_owned(), "error".to_owned())];
            if let Some(action) = action {
                self.request(action, failed, out);
            }
            return;
        }
        self.answer(out);
        let is_silent = verb.get("waitUrl") == Some("");
        let wait_at = verb.get("waitUrl").filter(|url| !url.is_empty()).map(str::to_owned);
        let wait_at = wait_at.and_then(|url| self.absolute(&url, 14202, out));
        let method = verb.method("waitUrlMethod");
        let wait_at = wait_at.map(|url| Action { url, method });
        self.state = State::Queued(Queued {
            action,
            wait_at,
            is_silent,
            wait: None,
            timer: 0,
            taken: false,
            whisper: None,
            gone: false,
        });
        let max_size = verb.integer("maxQueueSize");
        out.push(Output::Enqueue(Box::new(EnqueuePlan { queue: verb.text, max_size })));
    }

    /// Begins what is heard while waiting, or begins it again.
    fn entertain(&mut self, queued: &mut Queued, out: &mut Vec<Output>) {
        match &queued.wait_at {
            Some(Action { url, method }) => {
                let source = Source::Url { url: url.clone(), method: *method };
                let mut wait = match queued.wait.take() {
                    Some(wait) => wait,
                    None => Box::new(self.nested(Role::Wait)),
                };
                let done = wait.start(source, None);
                queued.wait = Some(wait);
                self.around(queued, done, out);
            }
            None if queued.is_silent => {}
            None => {
                let id = self.id();
                out.push(Output::Play { id, sound: Sound::Music });
            }
        }
    }

    pub(super) fn on_queued(&mut self, mut queued: Queued, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Enqueued => self.entertain(&mut queued, out),
            Input::Dequeued { whisper } => {
                queued.taken = true;
                queued.wait = None;
                queued.timer = 0;
                out.push(Output::Stop);
                match whisper {
                    None => out.push(Output::Meet),
                    Some(source) => {
                        let mut whisper = Box::new(self.nested(Role::Whisper));
                        let done = whisper.start(source, None);
                        queued.whisper = Some(whisper);
                        whispered(&mut queued, done, out);
                    }
                }
            }
            Input::Timer { id } if id == queued.timer && !queued.taken => {
                self.entertain(&mut queued, out);
            }
            Input::LeftQueue(params) => {
                if queued.gone {
                    self.state = State::Over;
                    if let Some(Action { url, method }) = queued.action {
                        out.push(Output::Post { url, method, params });
                    }
                    return;
                }
                if !queued.taken || queued.whisper.is_some() {
                    out.push(Output::Stop);
                }
                return match queued.action {
                    Some(action) => self.request(action, params, out),
                    None => self.step(out),
                };
            }
            input if queued.whisper.is_some() => {
                let done = queued.whisper.as_mut().map(|whisper| whisper.on(input));
                whispered(&mut queued, done.unwrap_or_default(), out);
            }
            input => {
                if let Some(mut wait) = queued.wait.take() {
                    let done = wait.on(input);
                    queued.wait = Some(wait);
                    self.around(&mut queued, done, out);
                }
            }
        }
        self.state = State::Queued(queued);
    }

    /// What the waiting document asks for, as its call does it.
    fn around(&mut self, queued: &mut Queued, done: Vec<Output>, out: &mut Vec<Output>) {
        for output in done {
            match output {
                Output::End => {
                    queued.timer = self.id();
                    out.push(Output::Timer { id: queued.timer, millis: AGAIN_MILLIS });
                }
                output => out.push(output),
            }
        }
    }
}

/// What the whisper asks for; at its end the two talk.
fn whispered(queued: &mut Queued, done: Vec<Output>, out: &mut Vec<Output>) {
    for output in done {
        match output {
            Output::End => {
                queued.whisper = None;
                out.push(Output::Meet);
            }
            output => out.push(output),
        }
    }
}
