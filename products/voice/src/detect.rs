//! Whether a person or a machine answered: known to the network, or found out by listening
//! (voice-api §3).

use std::time::Duration;

use contracts::{AnsweredBy, Order, Verdict};

use crate::act::Act;
use crate::call::Detection;
use crate::letter::What;

/// How long an answer of unknown kind is listened to, and a machine's greeting.
const VERDICT: Duration = Duration::from_millis(1500);
const GREETING: Duration = Duration::from_millis(5000);

impl Act<'_> {
    /// Begins to find out; the document waits for it, unless that is done in the background.
    pub fn detect(&mut self, detection: &Detection, by: AnsweredBy) {
        match by {
            AnsweredBy::Somebody => {
                let thresholds = detection.thresholds.unwrap_or_default();
                self.order(Order::Detect(contracts::Detection {
                    message_end: detection.message_end,
                    timeout: detection.timeout_seconds.saturating_mul(1000),
                    speech_threshold: thresholds.speech,
                    speech_end_threshold: thresholds.speech_end,
                    silence_timeout: thresholds.silence,
                }));
            }
            _ => {
                let machine = by != AnsweredBy::Human;
                let takes = match machine && detection.message_end {
                    true => GREETING,
                    false => VERDICT,
                };
                let longest = Duration::from_secs(detection.timeout_seconds);
                self.send_in(takes.min(longest), What::Verdict);
            }
        }
        if detection.in_background {
            self.begin_documents(true);
        }
    }

    /// What the network knew.
    pub fn verdict(&mut self) {
        let Some(detection) = &self.call.setup.detection else { return };
        self.detected(match (self.live.answered_by, detection.message_end) {
            (Some(AnsweredBy::Human), _) => Verdict::Human,
            (Some(AnsweredBy::Machine), false) => Verdict::MachineStart,
            (Some(AnsweredBy::Machine), true) => Verdict::MachineEndBeep,
            (Some(AnsweredBy::Fax), _) => Verdict::Fax,
            (Some(AnsweredBy::Somebody) | None, _) => Verdict::Unknown,
        });
    }

    pub fn detected(&mut self, verdict: Verdict) {
        let Some(detection) = self.call.setup.detection.clone() else { return };
        if !self.is_answered() || self.call.answered_by.is_some() {
            return;
        }
        let by = match verdict {
            Verdict::Human => "human",
            Verdict::MachineStart => "machine_start",
            Verdict::MachineEndBeep => "machine_end_beep",
            Verdict::MachineEndSilence => "machine_end_silence",
            Verdict::MachineEndOther => "machine_end_other",
            Verdict::Fax => "fax",
            Verdict::Unknown => "unknown",
        };
        self.call.answered_by = Some(by.to_owned());
        if let Some(hook) = &detection.callback {
            let since = self.call.started.unwrap_or(self.at);
            let millis = self.at.since(since).as_millis().to_string();
            self.post(hook, vec![("MachineDetectionDuration".to_owned(), millis)]);
        }
        if !detection.in_background {
            self.begin_documents(true);
        }
    }
}
