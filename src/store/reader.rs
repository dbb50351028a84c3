//! Readers: read-only connections, each with a thread of its own, so that no read ever waits for a
//! commit or keeps an async worker.

use super::{Options, Result, Snapshot, StoreError, open};
use crate::sys::supervisor::Supervisor;
use rusqlite::Connection;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// Reads that may wait.
const QUEUE: usize = 256;

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// The way to the readers' threads. Cheap to clone; they end when the last one is gone.
#[derive(Clone)]
pub struct Readers(SyncSender<Job>);

impl Readers {
    /// Opens `count` connections to a file that the writer has opened before.
    pub fn start(options: &Options, count: usize) -> Result<Readers> {
        let (queue, jobs) = sync_channel::<Job>(QUEUE);
        let jobs = Arc::new(Mutex::new(jobs));
        for n in 0..count {
            let (conn, jobs) = (open::for_reading(options)?, jobs.clone());
            Supervisor::thread(&format!("store-reader-{n}"), move || serve(&conn, &jobs)).map_err(|e| StoreError::Disk(e.to_string()))?;
        }
        Ok(Readers(queue))
    }

    /// Runs the read on a consistent snapshot and gives its value.
    pub async fn read<T: Send + 'static>(&self, read: impl FnOnce(Snapshot<'_>) -> Result<T> + Send + 'static) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let mut job: Job = Box::new(move |conn| {
            let value = conn.execute_batch("BEGIN").map_err(StoreError::from).and_then(|()| {
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read(Snapshot(conn))))
                    .unwrap_or_else(|_| Err(StoreError::Sql("the read panicked".to_owned())))
            });
            let _ = conn.execute_batch("COMMIT");
            let _ = reply.send(value); // the caller may have gone
        });
        loop {
            match self.0.try_send(job) {
                Ok(()) => break,
                Err(std::sync::mpsc::TrySendError::Disconnected(_)) => return Err(StoreError::Closed),
                Err(std::sync::mpsc::TrySendError::Full(back)) => {
                    job = back;
                    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                }
            }
        }
        answer.await.unwrap_or(Err(StoreError::Closed))
    }
}

fn serve(conn: &Connection, jobs: &Mutex<Receiver<Job>>) {
    loop {
        // One waits at the queue, the others for their turn to wait.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(conn),
            Err(_) => return,
        }
    }
}

/// A look at the file without an agent: read-only, for the command line.
pub fn look<T>(options: &Options, read: impl FnOnce(Snapshot<'_>) -> Result<T>) -> Result<T> {
    let conn = open::for_reading(options)?;
    read(Snapshot(&conn))
}
