//! The running taps: each with its wire, and with the way of its prints into the store.

use crate::domain::ids::ReceiptId;
use crate::pipeline::intake::{self, Posted};
use crate::pipeline::prints;
use crate::printer::kind::Kind;
use crate::sources::lan;
use crate::sources::tap::live::Live;
use crate::sources::tap::side::Side;
use crate::sources::tap::{self, Captured, Finish, Keep, Print, Tap};
use crate::sources::{network_tap, serial_tap};
use crate::store::StoreError;
use crate::store::inbox::Body;
use crate::sys::random;
use crate::sys::supervisor::Restart;
use crate::web::Web;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often keeping a print is tried, with growing pauses, before it is given up.
const TRIES: u32 = 6;

/// Whether the rule files of a tap can be used.
///
/// # Errors
/// A sentence for the config check.
pub fn check(config: &crate::config::Config, name: &str) -> Result<(), String> {
    let Some(source) = config.sources.get(name).filter(|s| is_tap(&s.kind)) else { return Ok(()) };
    match tap::profiles(source, super::mapping).1.into_iter().next() {
        Some(why) => Err(why),
        None => Ok(()),
    }
}

fn is_tap(kind: &str) -> bool {
    [network_tap::KEYS.name, serial_tap::KEYS.name].contains(&kind)
}

/// Starts all taps of the config.
pub fn start(web: &Arc<Web>) {
    let config = web.config();
    for (name, source) in config.sources.iter().filter(|(_, source)| is_tap(&source.kind)) {
        let (profiles, bad) = tap::profiles(source, super::mapping);
        for why in bad {
            tracing::error!(tap = name, why, "the rules of a tap cannot be used: it goes on without them");
        }
        match Tap::new(name, source, &config.shop, profiles) {
            Ok(tap) if source.kind == network_tap::KEYS.name => {
                let Some(wire) = network_tap::Wire::new(source) else { continue };
                let live = web.taps.add(tap, network_tap::KEYS.name);
                run(web, live, move |side, live, finish| {
                    let wire = wire.clone();
                    async move { wire.run(side, &live, finish).await }
                });
            }
            Ok(tap) => {
                let wire = serial_tap::Wire::new(source);
                let live = web.taps.add(tap, serial_tap::KEYS.name);
                run(web, live, move |side, live, finish| {
                    let wire = wire.clone();
                    async move { wire.run(side, &live, finish).await }
                });
            }
            Err(why) => tracing::error!(tap = name, why, "a tap cannot run"),
        }
    }
}

fn run<F>(web: &Arc<Web>, live: Live, wire: impl Fn(Side, Live, Finish) -> F + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    let shared = web.clone();
    web.supervisor.spawn("tap", Restart::OnFailure, move |stop| {
        let keep = Arc::new(Keeper { web: shared.clone(), live: live.clone() });
        let side = Side::start(live.tap(), shared.clock.clone(), keep, live.clone(), &shared.supervisor);
        let running = wire(side, live.clone(), Finish::new(stop));
        async move {
            running.await;
            Ok(())
        }
    });
}

/// Puts the prints of one tap into the store.
struct Keeper {
    web: Arc<Web>,
    live: Live,
}

impl Keep for Keeper {
    fn keep<'k>(&'k self, tap: &'k Arc<Tap>, captured: Captured) -> Pin<Box<dyn Future<Output = ()> + Send + 'k>> {
        Box::pin(async move {
            let reader = tap.clone();
            let Some(print) = self.web.heavy.run(move || reader.read(captured)).await else {
                tracing::error!(tap = tap.name, "a print could not be read: it was printed, and is not kept");
                return;
            };
            self.take(tap, print).await;
        })
    }
}

impl Keeper {
    async fn take(&self, tap: &Tap, print: Print) {
        // What the shop keeps is no customer's document, and holds more of the card than that.
        let dropped = print.kind == Kind::MerchantCopy;
        // While the disk is almost full only sales are taken.
        let no_room = self.web.no_room.load(Ordering::Relaxed) && print.sale.is_err();
        let receipt = if dropped || no_room { None } else { self.store(tap, &print).await };
        let why = print.sale.as_ref().err().map(String::as_str).unwrap_or_default();
        tracing::info!(tap = tap.name, kind = print.kind.word(), sale = print.sale.is_ok(), why, "a print was taken");
        self.live.tell(shown(tap, &print, receipt, why));
    }

    /// Keeps it; a store that cannot for now is asked again.
    async fn store(&self, tap: &Tap, print: &Print) -> Option<ReceiptId> {
        let captured = Arc::new(prints::Captured { body: Body::pack(&print.bytes), sale: self.posted(print) });
        for n in 0..TRIES {
            match self.once(tap, &captured).await {
                Ok(receipt) => {
                    self.web.dispatch.wake();
                    if let Some(id) = receipt {
                        self.web.dispatch.tell(crate::dispatch::Note::Receipt(id));
                    }
                    return receipt;
                }
                Err(error) => tracing::error!(tap = tap.name, %error, "a print could not be kept"),
            }
            tokio::time::sleep(Duration::from_millis(250) * 2u32.pow(n)).await;
        }
        None
    }

    async fn once(&self, tap: &Tap, captured: &Arc<prints::Captured>) -> Result<Option<ReceiptId>, StoreError> {
        let (rules, now) = (self.web.pipeline(), self.web.clock.now());
        let origin = intake::origin_of(&rules.config, &tap.name);
        let (again, print, whose) = (rules.clone(), captured.clone(), origin.clone());
        let kept = self.web.writer.run(move |tx| prints::keep(tx, &rules.at(now), &whose, &print)).await;
        match (kept, &captured.sale) {
            (Err(StoreError::Sql(why)), Ok(_)) => {
                tracing::error!(why, "deciding failed; the sale is kept and decided again");
                let print = captured.clone();
                let undecided = self.web.writer.run(move |tx| match &print.sale {
                    Ok(posted) => intake::keep_undecided(tx, &again.at(now), &origin, posted).map(drop),
                    Err(_) => Ok(()),
                });
                undecided.await.map(|()| None)
            }
            (kept, _) => kept,
        }
    }

    fn posted(&self, print: &Print) -> Result<Posted, String> {
        let document = print.sale.as_ref().map_err(Clone::clone)?.to_string();
        let read = lan::sale(document.as_bytes()).map_err(|_| "the canonical form refuses it".to_owned())?;
        Ok(Posted {
            body: Body::pack(&print.bytes),
            document: Some(Body::pack(document.as_bytes())),
            sale: read.value,
            content: read.content,
            receipt_id: ReceiptId::new(self.web.clock.now().wall.0, random::bytes(self.web.random.as_ref())),
            idempotency_key: None,
            event_id: None,
        })
    }
}

/// A print for whoever watches: everything that was read, and its bytes.
fn shown(tap: &Tap, print: &Print, receipt: Option<ReceiptId>, why: &str) -> Value {
    let mut value = print.report.clone();
    if let Value::Object(map) = &mut value {
        map.insert("tap".into(), tap.name.as_str().into());
        map.insert("started_at".into(), print.began.rfc3339().into());
        map.insert("whole".into(), print.whole.into());
        map.insert("masked".into(), print.masked.into());
        map.insert("receipt_id".into(), json!(receipt.map(|id| id.to_string())));
        map.insert("no_sale".into(), why.into());
        map.insert("stream".into(), BASE64_STANDARD.encode(&print.bytes).into());
    }
    value
}
