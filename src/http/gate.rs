//! Knows whether a request's body was handed to the connection.
//!
//! A body that was never asked for was certainly not written, so the attempt may be repeated; one
//! that was may have arrived whole. Shutting the gate and opening it exclude each other, so that no
//! time-out can call a request unsent that is written a moment later.

use hyper::body::{Body, Frame, SizeHint};
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use tokio::sync::Notify;

const WAITING: u8 = 0;
const OPEN: u8 = 1;
const SHUT: u8 = 2;

/// One for each request.
#[derive(Clone)]
pub(super) struct Gate(Arc<(AtomicU8, Notify)>);

impl Gate {
    /// `open`: count the request as written from the start, for one whose body nobody will ask for.
    pub(super) fn new(open: bool) -> Gate {
        Gate(Arc::new((AtomicU8::new(if open { OPEN } else { WAITING }), Notify::new())))
    }

    /// Ends when the body is asked for; never, where it was open from the start.
    pub(super) async fn opened(&self) {
        self.0.1.notified().await;
    }

    /// True: nothing of the body was written, and nothing will be.
    pub(super) fn shut(&self) -> bool {
        match self.0.0.compare_exchange(WAITING, SHUT, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => true,
            Err(state) => state == SHUT,
        }
    }

    fn open(&self) -> bool {
        match self.0.0.compare_exchange(WAITING, OPEN, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => {
                self.0.1.notify_one();
                true
            }
            Err(state) => state == OPEN,
        }
    }

    /// The body behind the gate.
    pub(super) fn guard(&self, body: Vec<u8>) -> reqwest::Body {
        reqwest::Body::wrap(Guarded { gate: self.clone(), body: reqwest::Body::from(body) })
    }
}

struct Guarded {
    gate: Gate,
    body: reqwest::Body,
}

impl Body for Guarded {
    type Data = <reqwest::Body as Body>::Data;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if !self.gate.open() {
            return Poll::Ready(Some(Err("given up before it was written".into())));
        }
        Pin::new(&mut self.body).poll_frame(cx).map(|frame| frame.map(|f| f.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_and_shut_exclude_each_other() {
        let gate = Gate::new(false);
        assert!(gate.open() && !gate.shut() && gate.open());
        let gate = Gate::new(false);
        assert!(gate.shut() && !gate.open() && gate.shut());
        assert!(!Gate::new(true).shut());
    }
}
