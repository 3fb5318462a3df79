//! What waits for the writer: callers who wait for an answer before jobs.

use std::collections::VecDeque;

use tokio::sync::{mpsc, oneshot};

use crate::{Batch, Outcome, StoreError};

/// Batches that share one commit at most; more would only delay the first.
const GROUP_MAX: usize = 512;
/// Background batches in a group that also serves foreground ones: many while few
/// callers wait, few while many do, never none.
fn background_share(callers: usize) -> usize {
    (16 / callers).clamp(2, 16)
}

/// Background batches of a group between two that serve callers: who comes meanwhile waits for all
/// of them.
const BETWEEN: usize = 64;

/// Batches that may wait for the writer before `commit` itself waits.
const QUEUE_MAX: usize = 8192;

/// The batch goes back with the answer: memory is freed cheaply by who took it.
pub(crate) type Answer = (Result<Outcome, StoreError>, Batch);

/// A batch, who waits for it, and whether it may yield to others.
pub(crate) struct Write {
    pub batch: Batch,
    pub background: bool,
    pub reply: oneshot::Sender<Answer>,
}

impl Write {
    /// A caller that no longer waits has given up on the answer, not on the write.
    pub fn answer(self, outcome: Result<Outcome, StoreError>) {
        let _ = self.reply.send((outcome, self.batch));
    }
}

/// The writer's side of the queue.
pub(crate) struct Intake {
    queue: mpsc::Receiver<Write>,
    foreground: VecDeque<Write>,
    background: VecDeque<Write>,
    /// Callers whom the last group served.
    served: usize,
}

/// Everybody else's side.
pub(crate) fn channel() -> (mpsc::Sender<Write>, Intake) {
    let (sender, queue) = mpsc::channel(QUEUE_MAX);
    let (foreground, background) = (VecDeque::new(), VecDeque::new());
    (sender, Intake { queue, foreground, background, served: 0 })
}

/// Queues a batch and waits until it is durable.
pub(crate) async fn submit(
    writer: &mpsc::Sender<Write>,
    batch: Batch,
    background: bool,
) -> Result<Outcome, StoreError> {
    let (reply, answer) = oneshot::channel();
    let gone = || StoreError::Unavailable("the writer has stopped".into());
    writer.send(Write { batch, background, reply }).await.map_err(|_| gone())?;
    let (outcome, _batch) = answer.await.map_err(|_| gone())?;
    outcome
}

impl Intake {
    /// Waits for the next group; empty when every sender is gone.
    pub async fn group(&mut self) -> Vec<Write> {
        if self.is_empty()
            && let Some(write) = self.queue.recv().await
        {
            self.sort_in(write);
        }
        self.take()
    }

    /// [`Intake::group`] for a thread of its own.
    pub fn blocking_group(&mut self) -> Vec<Write> {
        if self.is_empty()
            && let Some(write) = self.queue.blocking_recv()
        {
            self.sort_in(write);
        }
        self.take()
    }

    fn is_empty(&self) -> bool {
        self.foreground.is_empty() && self.background.is_empty()
    }

    fn sort_in(&mut self, write: Write) {
        match write.background {
            true => self.background.push_back(write),
            false => self.foreground.push_back(write),
        }
    }

    fn take(&mut self) -> Vec<Write> {
        while self.foreground.len() + self.background.len() < QUEUE_MAX
            && let Ok(write) = self.queue.try_recv()
        {
            self.sort_in(write);
        }
        let first = self.foreground.len().min(GROUP_MAX);
        let room = GROUP_MAX - first;
        let share = match (first, self.served) {
            (0, 0) => room,
            (0, _) => BETWEEN,
            _ => background_share(first).min(room.max(1)),
        };
        self.served = first;
        let second = self.background.len().min(share);
        let mut group: Vec<Write> = self.foreground.drain(..first).collect();
        group.extend(self.background.drain(..second));
        group
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_go_before_jobs_and_jobs_are_never_starved() {
        let (sender, mut intake) = channel();
        for at in 0..1_000 {
            let (reply, _) = oneshot::channel();
            let write = Write { batch: Batch::new(), background: at % 2 == 0, reply };
            assert!(sender.try_send(write).is_ok());
        }
        let count = |group: &[Write], background| {
            group.iter().filter(|write| write.background == background).count()
        };
        let first = intake.blocking_group();
        assert_eq!((count(&first, false), count(&first, true)), (500, 2));
        let second = intake.blocking_group();
        assert_eq!((count(&second, false), count(&second, true)), (0, BETWEEN));
        let third = intake.blocking_group();
        assert_eq!((count(&third, false), count(&third, true)), (0, 498 - BETWEEN));
        drop(sender);
        assert!(intake.blocking_group().is_empty());
    }

    #[test]
    fn a_full_foreground_still_lets_a_job_through() {
        let (sender, mut intake) = channel();
        for at in 0..2_000 {
            let (reply, _) = oneshot::channel();
            let write = Write { batch: Batch::new(), background: at % 4 == 0, reply };
            assert!(sender.try_send(write).is_ok());
        }
        let group = intake.blocking_group();
        assert!(group.iter().any(|write| write.background));
    }
}
