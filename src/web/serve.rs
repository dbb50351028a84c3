//! The server: accepts connections itself, so that slow and idle ones are bounded.
//!
//! A request header must arrive within ten seconds. When all connections are taken, the oldest that has
//! not sent a whole header for a second is closed; else the new one waits.

use crate::sys::clock::{Clock, Mono};
use crate::sys::supervisor::{Restart, Stop, Supervisor};
use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tower_service::Service;

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// An address.
    Ip(IpAddr),
    /// The local socket, that only the box's owner can open.
    Local,
    /// Not known.
    Unknown,
}

impl Peer {
    /// On the box itself.
    pub fn is_loopback(self) -> bool {
        matches!(self, Peer::Ip(ip) if ip.to_canonical().is_loopback())
    }

    /// The address.
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Peer::Ip(ip) => Some(ip),
            _ => None,
        }
    }
}

/// How long a request header may take.
const HEADER_TIME: Duration = Duration::from_secs(10);

/// How long a connection must have been without a whole header to be closed for a new one.
const IDLE: Duration = Duration::from_secs(1);

/// A server on one router.
#[derive(Clone)]
pub struct Server {
    router: Router,
    clock: Arc<dyn Clock>,
    supervisor: Supervisor,
    slots: Arc<Semaphore>,
    open: Arc<Mutex<HashMap<u64, Arc<Connection>>>>,
    next: Arc<AtomicU64>,
}

/// One open connection.
struct Connection {
    /// Since when it waits for a request, in monotonic milliseconds; 0 while it has one.
    waiting: AtomicU64,
    close: Notify,
}

impl Server {
    /// A server that keeps at most `connections` open.
    pub fn new(router: Router, connections: usize, clock: Arc<dyn Clock>, supervisor: Supervisor) -> Server {
        Server {
            router,
            clock,
            supervisor,
            slots: Arc::new(Semaphore::new(connections.max(1))),
            open: Arc::default(),
            next: Arc::default(),
        }
    }

    /// Serves a bound TCP listener until asked to stop.
    pub async fn serve_tcp(&self, listener: &TcpListener, mut stop: Stop) -> Result<(), String> {
        loop {
            let (stream, peer) = tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => { self.accept_failed(&error).await; continue }
                },
                () = stop.asked() => return Ok(()),
            };
            let _ = stream.set_nodelay(true); // only slower without
            let permit = tokio::select! { permit = self.slot() => permit, () = stop.asked() => return Ok(()) };
            self.spawn(stream, Peer::Ip(peer.ip()), permit);
        }
    }

    /// Serves a bound local socket until asked to stop.
    pub async fn serve_local(&self, listener: &UnixListener, mut stop: Stop) -> Result<(), String> {
        loop {
            let accepted = tokio::select! { accepted = listener.accept() => accepted, () = stop.asked() => return Ok(()) };
            match accepted {
                Ok((stream, _)) => self.spawn(stream, Peer::Local, None),
                Err(error) => self.accept_failed(&error).await,
            }
        }
    }

    /// Too many open files, or a peer that left at once: neither ends the server.
    async fn accept_failed(&self, error: &std::io::Error) {
        tracing::warn!(%error, "a connection could not be accepted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    /// A slot for a new connection: a free one, or that of the one that has idled longest.
    async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            if let Ok(permit) = self.slots.clone().try_acquire_owned() {
                return Some(permit);
            }
            self.close_idlest();
            let wait = self.slots.clone().acquire_owned();
            if let Ok(permit) = tokio::time::timeout(Duration::from_millis(200), wait).await {
                return permit.ok();
            }
        }
    }

    fn close_idlest(&self) {
        let now = self.clock.now().mono;
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = open.values().map(|c| (c.waiting.load(Ordering::Relaxed), c)).filter(|(since, _)| *since > 0);
        if let Some((since, connection)) = waiting.min_by_key(|(since, _)| *since)
            && now.since(Mono(since)) >= IDLE
        {
            connection.close.notify_one();
        }
    }

    fn spawn(&self, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, peer: Peer, permit: Option<OwnedSemaphorePermit>) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection { waiting: AtomicU64::new(self.clock.now().mono.0.max(1)), close: Notify::new() });
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(id, connection.clone());
        let (this, mut parts) = (self.clone(), Some((stream, permit)));
        self.supervisor.spawn("connection", Restart::Never, move |stop| {
            let (this, connection, parts) = (this.clone(), connection.clone(), parts.take());
            async move {
                if let Some((stream, permit)) = parts {
                    this.converse(stream, peer, &connection, stop).await;
                    drop(permit);
                }
                this.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                Ok(())
            }
        });
    }

    async fn converse(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        peer: Peer,
        connection: &Arc<Connection>,
        mut stop: Stop,
    ) {
        let (router, clock, state) = (self.router.clone(), self.clock.clone(), connection.clone());
        let service = tower_service_fn(move |mut request: hyper::Request<Incoming>| {
            state.waiting.store(0, Ordering::Relaxed);
            request.extensions_mut().insert(peer);
            let (mut router, clock, state) = (router.clone(), clock.clone(), state.clone());
            async move {
                let answer = router.call(request.map(axum::body::Body::new) as Request).await;
                state.waiting.store(clock.now().mono.0.max(1), Ordering::Relaxed);
                answer
            }
        });
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME).max_buf_size(64 << 10);
        let conversation = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        tokio::pin!(conversation);
        tokio::select! {
            _ = conversation.as_mut() => return, // how a peer leaves is its own affair
            () = connection.close.notified() => {}
            () = stop.asked() => {}
        }
        // What is being answered is answered; then the connection ends.
        conversation.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(Duration::from_secs(5), conversation).await;
    }
}

/// A closure as a service.
#[derive(Clone)]
struct Closure<F>(F);

fn tower_service_fn<F>(f: F) -> Closure<F> {
    Closure(f)
}

impl<F, Fut, R, E> Service<hyper::Request<Incoming>> for Closure<F>
where
    F: FnMut(hyper::Request<Incoming>) -> Fut,
    Fut: Future<Output = Result<R, E>>,
{
    type Response = R;
    type Error = E;
    type Future = Fut;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), E>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: hyper::Request<Incoming>) -> Fut {
        (self.0)(request)
    }
}
