//! One thread for work that takes more than a few milliseconds of pure computing, so that no async worker
//! is held up. Its queue is bounded; a full one makes callers wait.

use crate::sys::supervisor::Supervisor;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// The way to the thread. Cheap to clone; it ends when the last one is gone.
#[derive(Clone)]
pub struct Heavy(SyncSender<Job>);

impl Heavy {
    /// Starts the thread.
    pub fn start() -> std::io::Result<Heavy> {
        let (queue, jobs) = sync_channel::<Job>(32);
        Supervisor::thread("heavy", move || {
            while let Ok(job) = jobs.recv() {
                // A panic is the job's own failure: whoever waits hears that it is gone.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            }
        })?;
        Ok(Heavy(queue))
    }

    /// Runs the work on the thread; `None` where it panicked.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        let mut job: Job = Box::new(move || drop(reply.send(work())));
        while let Err(TrySendError::Full(back)) = self.0.try_send(job) {
            job = back;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        answer.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_the_jobs_own() {
        let heavy = Heavy::start().unwrap();
        assert_eq!(heavy.run(|| -> u32 { panic!("mine") }).await, None);
        assert_eq!(heavy.run(|| 7).await, Some(7));
    }
}
