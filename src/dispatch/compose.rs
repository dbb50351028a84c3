//! From a delivery in flight to what its provider is given. Pure: composing is `compose`'s, this joins it
//! with the shop's settings.

use super::Start;
use crate::compose::{Composer, Document};
use crate::config::Config;
use crate::config::checked::ChannelSettings;
use crate::domain::channel::Channel;
use crate::domain::content::{Content, Outgoing};
use crate::domain::message::Kind;
use crate::domain::sale::Sale;
use crate::domain::time::UnixMs;

/// Composes the content of a delivery, or gives what was composed for it before.
///
/// # Errors
/// Why it cannot be composed, for the dead letter: the document or a template is at fault.
pub fn content(composer: &Composer, config: &Config, start: &Start, now: UnixMs) -> Result<Content, String> {
    if let Some(content) = &start.content {
        return Ok(content.clone());
    }
    let value = serde_json::from_slice(&start.document).map_err(|e| format!("the stored document cannot be read: {e}"))?;
    let sale = Sale::parse(&value).map_err(|_| "the stored document is no valid sale".to_owned())?;
    let d = &start.delivery;
    let document = Document {
        language: Some(d.language.as_str()).filter(|l| !l.is_empty()),
        copy: (d.kind == Kind::Resend).then_some(now),
        // "Late" is what the customer notices: later than a receipt handed over at the till.
        late: (d.kind != Kind::Resend && now.since(sale.at) > config.routing.fresh).then_some(now),
        test: d.test,
        default_language: config.templates.default_language.as_deref(),
        ..Document::new(&sale, &config.shop, &config.brand)
    };
    let none = ChannelSettings::default();
    let channel = config.channels.get(&d.channel).unwrap_or(&none);
    match d.channel {
        Channel::Email => composer.email(&document, &channel.from, &channel.reply_to).map(Content::Email).map_err(|e| e.to_string()),
        Channel::Sms => {
            let from = if channel.messaging_service.is_empty() { &channel.from } else { &channel.messaging_service };
            composer.sms(&document, from, channel.transliterate).map(Content::Sms).map_err(|e| e.to_string())
        }
        other => Err(format!("nothing is composed for {other} yet")),
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
