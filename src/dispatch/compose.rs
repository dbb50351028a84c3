//! From a delivery in flight to what its provider is given. Pure: composing is `compose`'s, this joins it
//! with the shop's settings.

use super::Start;

use crate::compose::{ComposeError, Composer, Document, Notice};
use crate::config::Config;
use crate::config::checked::ChannelSettings;
use crate::domain::channel::Channel;
use crate::domain::content::{Content, Outgoing};
use crate::domain::message::Kind;
use crate::domain::sale::Sale;
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
    let d = &start.delivery;
    // A receipt's own document is a sale; an event about one wraps it.
    let is_receipt = d.body.is_none();
    let made = if is_receipt { receipt(composer, config, start, &value, now)? } else { notice(composer, config, start, &value, now) };
    made.map_err(|e| e.to_string())
}

type Made = Result<Content, ComposeError>;

/// What the channel's sender is: the rule's, else the channel's.
fn sender<'a>(config: &'a Config, start: &Start, channel: &'a ChannelSettings) -> &'a str {
    let own = config.routes.get(&start.delivery.route).map(|r| r.from.as_str()).filter(|from| !from.is_empty());
    let pool = Some(channel.messaging_service.as_str()).filter(|s| !s.is_empty());
    own.or(pool).unwrap_or(&channel.from)
}

fn template<'a>(config: &'a Config, start: &Start) -> Option<&'a str> {
    config.routes.get(&start.delivery.route).and_then(|r| r.template.as_deref())
}

fn receipt(composer: &Composer, config: &Config, start: &Start, value: &Value, now: UnixMs) -> Result<Made, String> {
    let sale = Sale::parse(value).map_err(|_| "the stored document is no valid sale".to_owned())?;
    let d = &start.delivery;
    let first = matches!(d.kind, Kind::Receipt | Kind::Refund);
    let document = Document {
        language: Some(d.language.as_str()).filter(|l| !l.is_empty()),
        copy: (d.kind == Kind::Resend).then_some(now),
        // "Late" is what the customer notices: later than a receipt handed over at the till.
        late: (first && d.channel != Channel::Publish && now.since(d.sold_at) > config.routing.fresh).then_some(now),
        test: d.test,
        link: start.link.as_deref(),
        promo: start.promo,
        promotions: &config.brand.promotions,
        template: template(config, start),
        default_language: config.templates.default_language.as_deref(),
        ..Document::new(&sale, &config.shop, &config.brand)
    };
    let none = ChannelSettings::default();
    let channel = config.channels.get(&d.channel).unwrap_or(&none);
    let from = sender(config, start, channel);
    Ok(match d.channel {
        Channel::Email => composer.email(&document, from, &channel.reply_to).map(Content::Email),
        Channel::Sms => composer.sms(&document, from, channel.transliterate).map(Content::Sms),
        Channel::Whatsapp => composer.whatsapp(&document).map(Content::Whatsapp),
        Channel::Push => composer.push(&document).map(Content::Push),
        Channel::Chat => composer.chat(&document).map(Content::Chat),
        Channel::Publish => {
            let token = start.link.as_deref().and_then(|link| link.rsplit('/').next()).unwrap_or_default();
            composer.page(&document, token, d.sold_at + config.retention.receipts).map(Content::Page)
        }
        other => return Err(format!("a receipt does not go by {other}")),
    })
}

fn notice(composer: &Composer, config: &Config, start: &Start, value: &Value, now: UnixMs) -> Made {
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
        template: template(config, start),
        ..Notice::new(d.kind, text("type"), data, at, &config.shop, &config.brand)
    };
    let none = ChannelSettings::default();
    let channel = config.channels.get(&d.channel).unwrap_or(&none);
    let from = sender(config, start, channel);
    match d.channel {
        Channel::Email => composer.notice_email(&notice, from, &channel.reply_to).map(Content::Email),
        Channel::Sms => composer.notice_sms(&notice, from, channel.transliterate).map(Content::Sms),
        Channel::Whatsapp => composer.notice_whatsapp(&notice).map(Content::Whatsapp),
        Channel::Push => composer.notice_push(&notice).map(Content::Push),
        Channel::Chat => composer.notice_chat(&notice).map(Content::Chat),
        _ => {
            let allow = config.routes.get(&d.route).map(|r| r.data.as_slice()).unwrap_or_default();
            composer.notice_data(&notice, d.step_id().as_str(), allow).map(Content::Data)
        }
    }
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
