//! The registry: every account by its name, with the client that reaches them and the certificates that
//! their reports are verified by. It decides nothing; what an answer means is the account's.

use super::callback::{Call, Event, Refusal, Report};
use super::check::Checked;
use super::{Account, Found, Health, Known, UnixMs};
use crate::domain::content::Outgoing;
use crate::domain::outcome::{Class, Outcome, Scope};
use crate::http::{Client, Limits, Request};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Certificates that are kept; a company has one or two at a time.
const CERTIFICATES: usize = 16;
/// What fetching a certificate or confirming a topic may take: the caller waits for our answer.
const BRIEF: Limits = Limits { step: Duration::from_secs(10), cap: 64 * 1024 };

/// See the module.
pub struct Registry {
    accounts: BTreeMap<String, Account>,
    http: Arc<Client>,
    /// PEM text by URL; empty where no certificate was there.
    certificates: Mutex<BTreeMap<String, String>>,
}

impl Registry {
    /// Of accounts that were made, and the one client.
    pub fn new(accounts: BTreeMap<String, Account>, http: Arc<Client>) -> Registry {
        Registry { accounts, http, certificates: Mutex::default() }
    }

    /// The account of that name in the config.
    pub fn get(&self, name: &str) -> Option<&Account> {
        self.accounts.get(name)
    }

    /// All of them, by name.
    pub fn all(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values()
    }

    /// The one client.
    pub fn http(&self) -> &Client {
        &self.http
    }

    /// One attempt, see [`Account::send`].
    pub async fn send(&self, name: &str, message: &Outgoing, now: UnixMs) -> Outcome {
        match self.get(name) {
            Some(account) => account.send(&self.http, message, now).await,
            None => Outcome::new(Class::Auth, Scope::Account, "this provider is not configured any more"),
        }
    }

    /// See [`Account::look_up`].
    pub async fn look_up(&self, name: &str, message: &Outgoing, since: UnixMs, now: UnixMs) -> Option<Found> {
        self.get(name)?.look_up(&self.http, message, since, now).await
    }

    /// See [`Account::probe`].
    pub async fn probe(&self, name: &str, now: UnixMs) -> Option<Health> {
        self.get(name)?.probe(&self.http, now).await
    }

    /// See [`Account::check`].
    pub async fn check(&self, name: &str, now: UnixMs) -> Option<Checked> {
        Some(self.get(name)?.check(&self.http, now).await)
    }

    /// See [`Account::poll`].
    pub async fn poll(&self, name: &str, since: UnixMs, now: UnixMs) -> (Vec<Event>, Option<Outcome>) {
        match self.get(name) {
            Some(account) => account.poll(&self.http, since, now).await,
            None => (Vec::new(), None),
        }
    }

    /// Verifies and reads a call of the provider. Nothing is fetched: the certificate that is missing is named.
    pub fn callback(&self, name: &str, call: &Call, now: UnixMs, used: &dyn Fn(&str) -> bool) -> Result<Report, Refusal> {
        let account = self.get(name).ok_or(super::callback::UNSET)?;
        let certificate = |url: &str| self.certificates().get(url).cloned();
        account.callback(call, &Known { now, used, certificate: &certificate })
    }

    /// Fetches a certificate from a URL that [`Registry::callback`] named, and keeps it. False where it could
    /// not be had now; what is no certificate is kept as one that fits nothing, so that it is not asked for again.
    pub async fn fetch_certificate(&self, url: &str) -> bool {
        let Some(answer) = self.get_url(url).await else { return false };
        let text = String::from_utf8(answer).ok().filter(|text| text.contains("BEGIN CERTIFICATE")).unwrap_or_default();
        let mut kept = self.certificates();
        if kept.len() >= CERTIFICATES {
            kept.pop_first();
        }
        kept.insert(url.to_owned(), text);
        true
    }

    /// Says yes to the topic that asked whether its reports are wanted. False where it did not hear it.
    pub async fn confirm(&self, url: &str) -> bool {
        self.get_url(url).await.is_some()
    }

    async fn get_url(&self, url: &str) -> Option<Vec<u8>> {
        let request = Request { method: "GET", url: url.to_owned(), headers: Vec::new(), body: Vec::new() };
        let answer = self.http.send(&request, BRIEF).await.ok()?;
        answer.is_success().then_some(answer.body)
    }

    fn certificates(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.certificates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
