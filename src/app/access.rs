//! The way to one vendor's API: its token, renewed by one task at a time and sealed in the store before its
//! first use, and calls with it.

use crate::config::secret::Secret;
use crate::domain::ids::{hash16, hex};
use crate::domain::time::UnixMs;
use crate::http::{Answer, Client, LOOKUP_CAP, Limits, Request, Transport, host, is_loopback};
use crate::sources::ways::Way;
use crate::sources::{Api, Renewal, Renewed, Tokens, base};
use crate::store::StoreError;
use crate::web::Web;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// The alert of a source whose token is not taken, or soon will not be.
pub const TOKEN: &str = "source_token";

/// The alert of a source for which a person has to authorise again soon.
const ENDS: &str = "source_token_ends";

/// How long before its end people hear of it.
const AHEAD: Duration = Duration::from_secs(7 * 86_400);

/// The least pause between two renewals: some vendors count them.
const PAUSE: Duration = Duration::from_secs(60);

/// Each step of a call.
const STEP: Duration = Duration::from_secs(15);

/// See the module.
pub struct Access {
    /// The source.
    pub way: Arc<Way>,
    /// Where everything else is.
    pub web: Arc<Web>,
    http: Arc<Client>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    read: bool,
    tokens: Option<Tokens>,
    /// The last renewal, and whether it was refused.
    tried: Option<(UnixMs, bool)>,
    warned: bool,
}

/// Why there is no token.
#[derive(Debug)]
pub enum Missing {
    /// Later there may be one.
    Later,
    /// A person must act.
    Person,
}

impl From<StoreError> for Missing {
    fn from(_: StoreError) -> Missing {
        Missing::Later
    }
}

impl Access {
    /// For a source that has an API.
    pub fn new(way: Arc<Way>, web: Arc<Web>, http: Arc<Client>) -> Access {
        Access { way, web, http, held: Mutex::default() }
    }

    /// The API of its type.
    pub fn api(&self) -> Option<&'static Api> {
        self.way.kind.api.as_ref()
    }

    /// Whether it can be reached as far as anybody knows: what is on this machine needs no line.
    pub fn reachable(&self) -> bool {
        let local = base(self.way.kind, &self.way.setup()).ok().and_then(|url| host(&url)).is_some_and(|host| is_loopback(&host));
        local || self.web.dispatch.view().online
    }

    /// The least time between two calls.
    pub fn pace(&self) -> Duration {
        self.api().map_or(STEP, |api| api.rate.per / api.rate.count.max(1))
    }

    /// Makes one call.
    pub async fn call(&self, request: &Request) -> Result<Answer, Transport> {
        self.http.send(request, Limits { step: STEP, cap: LOOKUP_CAP }).await
    }

    /// The token to be used now, renewed where it is time. `stale`: this one was not taken.
    pub async fn token(&self, stale: Option<&Secret>) -> Result<Secret, Missing> {
        let mut held = self.held.lock().await;
        if !held.read {
            held.tokens = self.read().await?;
            held.read = true;
        }
        let setup = self.way.setup();
        let api = self.api().ok_or(Missing::Person)?;
        let renewable = api.renewal.as_ref().and_then(|renewal| Some((renewal, (renewal.request)(&setup, held.tokens.as_ref())?)));
        let Some((renewal, request)) = renewable else {
            let fixed = (api.fixed_token)(&setup).ok_or(Missing::Person)?;
            return if stale == Some(&fixed) { Err(self.alert(true, Missing::Person).await) } else { Ok(fixed) };
        };
        let now = self.web.clock.now().wall;
        let refused = held.tokens.as_ref().is_none_or(|t| stale == Some(&t.access));
        let due = held.tokens.as_ref().is_none_or(|t| renewal.is_due(t, now));
        if refused || due {
            let waits = held.tried.is_some_and(|(at, refused)| now.since(at) < if refused { 10 * PAUSE } else { PAUSE } && at <= now);
            if !waits {
                self.renew(&mut held, renewal, request, now).await?;
            }
        }
        if !held.warned && held.tokens.as_ref().is_some_and(|t| t.run_out_within(AHEAD, now)) {
            held.warned = true;
            let name = self.way.name.clone();
            self.web.writer.run(move |tx| tx.raise(ENDS, &name, now)).await?;
        }
        let tokens = held.tokens.as_ref().ok_or(Missing::Later)?;
        let over = tokens.expires_at.is_some_and(|end| end <= now);
        if tokens.access.is_empty() || over || stale == Some(&tokens.access) {
            let person = held.tried.is_some_and(|(_, refused)| refused);
            return Err(if person { Missing::Person } else { Missing::Later });
        }
        Ok(tokens.access.clone())
    }

    async fn renew(&self, held: &mut Held, renewal: &Renewal, request: Result<Request, String>, now: UnixMs) -> Result<(), Missing> {
        held.tried = Some((now, false));
        let name = &self.way.name;
        let request = request.map_err(|why| {
            tracing::error!(source = name, why, "no token can be asked for");
            Missing::Person
        })?;
        let answer = match self.call(&request).await {
            Ok(answer) => answer,
            Err(why) => {
                // Where a token works once, a lost answer may have used it up: the next try tells.
                tracing::warn!(source = name, ?why, "a token could not be renewed");
                return Ok(());
            }
        };
        match (renewal.read)(&answer, held.tokens.as_ref(), now) {
            Renewed::New(tokens) => {
                held.warned = false;
                self.keep(&tokens, now).await?;
                held.tokens = Some(tokens);
            }
            Renewed::Retry(_) => tracing::warn!(source = name, status = answer.status, "a token could not be renewed"),
            Renewed::Refused => {
                tracing::error!(source = name, status = answer.status, "the vendor renews no token: authorise again");
                held.tried = Some((now, true));
                self.alert(true, Missing::Person).await;
            }
        }
        Ok(())
    }

    /// Keeps new tokens, sealed; then they may be used.
    async fn keep(&self, tokens: &Tokens, now: UnixMs) -> Result<(), StoreError> {
        let text = json!({
            "of": self.given(), "access": tokens.access.expose(), "refresh": tokens.refresh.expose(), "at": tokens.obtained_at.0,
            "expires": tokens.expires_at.map(|at| at.0), "refresh_expires": tokens.refresh_expires_at.map(|at| at.0),
        });
        let sealed = BASE64_STANDARD.encode(self.web.key.seal(text.to_string().as_bytes(), self.web.random.as_ref()));
        let (fact, name, soon) = (self.fact(), self.way.name.clone(), tokens.run_out_within(AHEAD, now));
        let keep = move |tx: crate::store::Tx<'_>| {
            tx.put_fact(&fact, &sealed)?;
            tx.resolve(TOKEN, &name, now)?;
            if soon { tx.raise(ENDS, &name, now).map(|_| ()) } else { tx.resolve(ENDS, &name, now).map(|_| ()) }
        };
        self.web.writer.run(keep).await
    }

    async fn read(&self) -> Result<Option<Tokens>, StoreError> {
        let fact = self.fact();
        let sealed = self.web.readers.read(move |read| read.fact(&fact)).await?;
        let bytes = sealed.and_then(|text| self.web.key.open(&BASE64_STANDARD.decode(text).ok()?));
        let Some(kept) = bytes.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok()) else { return Ok(None) };
        let text = |name: &str| kept.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let time = |name: &str| kept.get(name).and_then(Value::as_i64).map(UnixMs);
        if text("of") != self.given() {
            return Ok(None); // a person authorised again: what the config says is newer
        }
        Ok(Some(Tokens {
            access: Secret::new(text("access")),
            refresh: Secret::new(text("refresh")),
            obtained_at: time("at").unwrap_or_default(),
            expires_at: time("expires"),
            refresh_expires_at: time("refresh_expires"),
        }))
    }

    /// Names what the config gives to begin with.
    fn given(&self) -> String {
        let setup = self.way.setup();
        let settings = &setup.source.settings;
        let parts =
            [setup.text("client_id").to_owned(), settings.secret("refresh_token").expose().to_owned(), setup.text("api_base").to_owned()];
        hex(&hash16(parts.join("\n").as_bytes()))
    }

    fn fact(&self) -> String {
        format!("tokens:{}", self.way.name)
    }

    /// Says that the token is or is not taken; gives back what it was given.
    async fn alert<T>(&self, wrong: bool, then: T) -> T {
        let (name, now) = (self.way.name.clone(), self.web.clock.now().wall);
        let told = self.web.writer.run(move |tx| if wrong { tx.raise(TOKEN, &name, now) } else { tx.resolve(TOKEN, &name, now) }).await;
        if let Err(error) = told {
            tracing::warn!(%error, "an alert could not be kept");
        }
        then
    }

    /// The token was taken again.
    pub async fn good(&self) {
        self.alert(false, ()).await;
    }
}
