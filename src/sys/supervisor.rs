//! The supervisor: the only place that spawns. Every task has a name, a restart rule and an end.
//!
//! A task that fails or panics is started anew with growing pauses while the others run on; one that
//! fails too often in a short time ends the process, so that what watches the process can act.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// Failures within [`WINDOW`] after which the supervisor gives up.
const MOST_FAILURES: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);

/// Tells a task to come to its end.
#[derive(Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Ends when the task should.
    pub async fn asked(&mut self) {
        // An error means that the supervisor is gone: the same as being asked.
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Whether the task should end.
    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }
}

/// How a task that ended is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Started anew after an error or a panic; an end without one is an end.
    OnFailure,
    /// Left alone: one request, one connection.
    Never,
}

/// See the module.
#[derive(Clone)]
pub struct Supervisor {
    stop: Arc<watch::Sender<bool>>,
    fatal: Arc<watch::Sender<Option<String>>>,
    tasks: Arc<Mutex<JoinSet<()>>>,
    restarts: Arc<std::sync::atomic::AtomicU64>,
}

impl Default for Supervisor {
    fn default() -> Self {
        Supervisor {
            stop: Arc::new(watch::channel(false).0),
            fatal: Arc::new(watch::channel(None).0),
            tasks: Arc::default(),
            restarts: Arc::default(),
        }
    }
}

impl Supervisor {
    /// What tells tasks to end.
    pub fn stop_signal(&self) -> Stop {
        Stop(self.stop.subscribe())
    }

    /// How often a task was started anew.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Runs a task under its rule. `make` makes it, at first and at each restart.
    #[allow(clippy::disallowed_methods)] // this is the one place that spawns
    pub fn spawn<F>(&self, name: &'static str, restart: Restart, mut make: impl FnMut(Stop) -> F + Send + 'static)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let (this, mut stop) = (self.clone(), self.stop_signal());
        let supervise = async move {
            let mut failures: VecDeque<Instant> = VecDeque::new();
            loop {
                let why = match tokio::spawn(make(stop.clone())).await {
                    Ok(Ok(())) => return,
                    Ok(Err(why)) => why,
                    Err(end) if end.is_panic() => "panicked".to_owned(),
                    Err(_) => return,
                };
                tracing::error!(task = name, why, "task failed");
                if restart == Restart::Never || stop.is_asked() {
                    return;
                }
                failures.push_back(Instant::now());
                failures.retain(|at| at.elapsed() < WINDOW);
                if failures.len() >= MOST_FAILURES {
                    this.give_up(format!("task {name} failed {MOST_FAILURES} times within {} s: {why}", WINDOW.as_secs()));
                    return;
                }
                this.restarts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let pause = Duration::from_millis(100) * 4u32.saturating_pow(u32::try_from(failures.len()).unwrap_or(4));
                tokio::select! { () = sleep(pause) => {}, () = stop.asked() => return }
            }
        };
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {} // forget those that ended
        tasks.spawn(supervise);
    }

    /// Ends the process in order: something happened that only a new start can mend.
    pub fn give_up(&self, why: String) {
        tracing::error!(why, "giving up");
        self.fatal.send_replace(Some(why));
    }

    /// Ends with the reason as soon as the supervisor gave up.
    pub async fn given_up(&self) -> String {
        let mut fatal = self.fatal.subscribe();
        match fatal.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Asks all tasks to end and waits for them up to `grace`; false where some had to be cut off.
    pub async fn stop(&self, grace: Duration) -> bool {
        self.stop.send_replace(true);
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let drained = timeout(grace, async { while tasks.join_next().await.is_some() {} }).await.is_ok();
        if !drained {
            tracing::warn!(left = tasks.len(), "tasks were cut off at the end of the grace period");
        }
        drained
    }

    /// A thread for work that blocks. It ends by itself when its queue is closed.
    pub fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<std::thread::JoinHandle<()>> {
        std::thread::Builder::new().name(name.to_owned()).stack_size(1 << 20).spawn(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test(start_paused = true)]
    async fn a_part_that_panics_is_started_anew_and_the_rest_runs_on() {
        let supervisor = Supervisor::default();
        let (runs, others) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let (count, other) = (runs.clone(), others.clone());
        supervisor.spawn("shaky", Restart::OnFailure, move |mut stop| {
            let run = count.fetch_add(1, Ordering::Relaxed);
            async move {
                assert!(run > 1, "the first two runs panic");
                stop.asked().await;
                Ok(())
            }
        });
        supervisor.spawn("steady", Restart::OnFailure, move |mut stop| {
            other.fetch_add(1, Ordering::Relaxed);
            async move {
                stop.asked().await;
                Ok(())
            }
        });
        sleep(Duration::from_secs(30)).await;
        assert!(supervisor.stop(Duration::from_secs(1)).await);
        assert_eq!((runs.load(Ordering::Relaxed), others.load(Ordering::Relaxed), supervisor.restarts()), (3, 1, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_fails_for_good_ends_the_process() {
        let supervisor = Supervisor::default();
        supervisor.spawn("broken", Restart::OnFailure, |_| async { Err("no disk".to_owned()) });
        assert!(supervisor.given_up().await.contains("no disk"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_end_is_cut_off_at_the_deadline() {
        let supervisor = Supervisor::default();
        supervisor.spawn("stuck", Restart::Never, |_| std::future::pending());
        tokio::task::yield_now().await;
        assert!(!supervisor.stop(Duration::from_secs(5)).await);
    }
}
