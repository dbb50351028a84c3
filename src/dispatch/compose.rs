//! From a delivery in flight to what its provider is given. Pure: composing is `compose`'s, this joins it
//! with the shop's settings.

use super::Start;

use crate::compose::{ComposeError, Composer, Document, Notice, Way};
use crate::config::Config;
use crate::config::checked::ChannelSettings;
use crate::domain::channel::Channel;
use crate::domain::content::{Content, Outgoing};
use crate::domain::message::Kind;
use crate::domain::sale::{Sale, TransactionType};
use crate::domain::time::UnixMs;
use serde_json::{Map, Value};

/// Composes the content of a delivery, or gives what was composed for it before.
///
/// # Errors
/// Why it cannot be composed, for the dead letter: the document or a template is at fault.
pub fn content(composer: &Composer, config: &Config, start: &Start, now: UnixMs) -> Result<Content, String> {
    if let Some(content) = &start.content {
        return Ok(content.clone());
    }
    let value: Value = serde_json::from_slice(&start.document).map_err(|e| format!("the stored document cannot be read: {e}"))?;
    let empty = Map::new();
    let made = match start.delivery.body {
        // A receipt's own document is a sale; an event about one wraps it.
        None => {
            let sale = Sale::parse(&value).map_err(|_| "the stored document is no valid sale".to_owned())?;
            receipt(composer, config, start, &sale, value.as_object().unwrap_or(&empty), now)
        }
        Some(_) => {
            let data = value.get("data").unwrap_or(&Value::Null);
            match Sale::parse(data) {
                Ok(sale) => receipt(composer, config, start, &sale, data.as_object().unwrap_or(&empty), now),
                Err(_) => notice(composer, config, start, &value, now),
            }
        }
    };
    made.map_err(|e| e.to_string())
}

/// The channel with its settings; a rule's own sender and fields stand above them.
fn way<'a>(config: &'a Config, start: &'a Start, id: &'a str, none: &'a ChannelSettings) -> Way<'a> {
    let d = &start.delivery;
    let channel = config.channels.get(&d.channel).unwrap_or(none);
    let route = config.routes.get(&d.route);
    let own = route.map(|r| r.from.as_str()).filter(|from| !from.is_empty());
    let pool = Some(channel.messaging_service.as_str()).filter(|s| !s.is_empty());
    let token = start.link.as_deref().and_then(|link| link.rsplit('/').next());
    Way {
        from: own.or(pool).unwrap_or(&channel.from),
        reply_to: &channel.reply_to,
        transliterate: channel.transliterate,
        allow: route.map(|r| r.data.as_slice()).unwrap_or_default(),
        page: token.map(|token| (token, d.sold_at + config.retention.receipts)),
        ..Way::new(d.channel, id)
    }
}

fn receipt(
    composer: &Composer,
    config: &Config,
    start: &Start,
    sale: &Sale,
    document: &Map<String, Value>,
    now: UnixMs,
) -> Result<Content, ComposeError> {
    let d = &start.delivery;
    let first = matches!(d.kind, Kind::Receipt | Kind::Refund) && d.channel != Channel::Publish;
    let doc = Document {
        language: Some(d.language.as_str()).filter(|l| !l.is_empty()),
        copy: (d.kind == Kind::Resend).then_some(now),
        // "Late" is what the customer notices: later than a receipt handed over at the till.
        late: (first && now.since(d.sold_at) > config.routing.fresh).then_some(now),
        test: d.test,
        link: start.link.as_deref(),
        promo: start.promo,
        template: config.routes.get(&d.route).and_then(|r| r.template.as_deref()),
        default_language: config.templates.default_language.as_deref(),
        ..Document::new(sale, &config.shop, &config.brand)
    };
    let event = match sale.transaction_type {
        TransactionType::Sale | TransactionType::Exchange => "sale.completed",
        TransactionType::Return => "refund.processed",
        TransactionType::Void => "sale.voided",
    };
    composer.receipt_by(&doc, event, document, &way(config, start, d.step_id().as_str(), &ChannelSettings::default()))
}

fn notice(composer: &Composer, config: &Config, start: &Start, value: &Value, now: UnixMs) -> Result<Content, ComposeError> {
    let d = &start.delivery;
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let empty = Map::new();
    let data = value.get("data").and_then(Value::as_object).unwrap_or(&empty);
    let at = UnixMs::parse_rfc3339(text("time")).unwrap_or(d.sold_at);
    let late = d.kind == Kind::OrderStatus && now.since(d.made_at) > config.routing.fresh;
    let notice = Notice {
        subject: text("subject"),
        language: Some(d.language.as_str()).filter(|l| !l.is_empty()),
        default_language: config.templates.default_language.as_deref(),
        late: late.then_some(now),
        test: d.test,
        link: start.link.as_deref(),
        template: config.routes.get(&d.route).and_then(|r| r.template.as_deref()),
        ..Notice::new(d.kind, text("type"), data, at, &config.shop, &config.brand)
    };
    composer.notice_by(&notice, &way(config, start, d.step_id().as_str(), &ChannelSettings::default()))
}

/// What the provider is given.
pub fn outgoing(start: &Start, content: Content) -> Outgoing {
    let d = &start.delivery;
    Outgoing {
        step: d.step_id(),
        message_id: format!("tp_{}", d.intent.short()),
        kind: d.kind,
        channel: d.channel,
        to: d.address.clone(),
        composed_at: start.composed_at,
        content,
    }
}
