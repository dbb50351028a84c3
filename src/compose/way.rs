//! The content for a channel: one call for whoever has a receipt or a notice and a way to send it.
//!
//! Pure. What a channel cannot carry is refused in words, never bent.

use crate::compose::{ComposeError, Composer, Document, Notice, data, facts};
use crate::domain::channel::Channel;
use crate::domain::content::Content;
use crate::domain::time::UnixMs;

/// A channel with its settings, and what this sending is called.
#[derive(Clone, Copy, Debug)]
pub struct Way<'a> {
    /// The channel.
    pub channel: Channel,
    /// Sender: a mailbox, a number or a service, as the channel has it.
    pub from: &'a str,
    /// Where answers to a mail go.
    pub reply_to: &'a str,
    /// Letters that text messages lack become near ones.
    pub transliterate: bool,
    /// Names the message to another system, which knows a repeat by it.
    pub id: &'a str,
    /// Of data: what may leave of the customer.
    pub allow: &'a [String],
    /// Of a published page: the last part of its link, and when it goes.
    pub page: Option<(&'a str, UnixMs)>,
}

impl<'a> Way<'a> {
    /// A channel without settings.
    pub fn new(channel: Channel, id: &'a str) -> Self {
        Way { channel, from: "", reply_to: "", transliterate: false, id, allow: &[], page: None }
    }
}

const NOT_PRINTED: ComposeError = ComposeError::Unfit("nothing is composed for a printer yet");

impl Composer {
    /// A receipt for a channel. `event` is the type that another system is told, `document` the canonical
    /// sale that it gets.
    pub fn receipt_by(
        &self,
        doc: &Document<'_>,
        event: &str,
        document: &serde_json::Map<String, serde_json::Value>,
        way: &Way<'_>,
    ) -> Result<Content, ComposeError> {
        Ok(match way.channel {
            Channel::Email => Content::Email(self.email(doc, way.from, way.reply_to)?),
            Channel::Sms => Content::Sms(self.sms(doc, way.from, way.transliterate)?),
            Channel::Whatsapp => Content::Whatsapp(self.whatsapp(doc)?),
            Channel::Chat => Content::Chat(self.chat(doc)?),
            Channel::Push => Content::Push(self.push(doc)?),
            Channel::Publish => {
                let (token, expires) = way.page.ok_or(ComposeError::Unfit("a page needs the token of its link"))?;
                Content::Page(self.page(doc, token, expires)?)
            }
            Channel::Crm | Channel::Ticket | Channel::Webhook => {
                let link = doc.link.and_then(facts::safe);
                let (at, subject) = (doc.sale.at, doc.sale.transaction_id.as_str());
                Content::Data(data::compose(&data::Given {
                    event,
                    at,
                    id: way.id,
                    subject,
                    data: document,
                    link: link.as_deref(),
                    allow: way.allow,
                }))
            }
            Channel::Print => return Err(NOT_PRINTED),
        })
    }

    /// A notice for a channel.
    pub fn notice_by(&self, notice: &Notice<'_>, way: &Way<'_>) -> Result<Content, ComposeError> {
        Ok(match way.channel {
            Channel::Email => Content::Email(self.notice_email(notice, way.from, way.reply_to)?),
            Channel::Sms => Content::Sms(self.notice_sms(notice, way.from, way.transliterate)?),
            Channel::Whatsapp => Content::Whatsapp(self.notice_whatsapp(notice)?),
            Channel::Chat => Content::Chat(self.notice_chat(notice)?),
            Channel::Push => Content::Push(self.notice_push(notice)?),
            Channel::Crm | Channel::Ticket | Channel::Webhook => Content::Data(self.notice_data(notice, way.id, way.allow)?),
            Channel::Publish => return Err(ComposeError::Unfit("only receipts have a page")),
            Channel::Print => return Err(NOT_PRINTED),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::tests::{brand, composer, long, sale, shop};
    use crate::domain::message::Kind;
    use serde_json::json;

    #[test]
    fn each_channel_gets_its_own_content_or_a_reason() {
        let (c, shop, brand, value) = (composer(), shop(), brand(), long(2));
        let (sale, document) = (sale(&value), value.as_object().unwrap());
        let doc = Document::new(&sale, &shop, &brand);
        let data = json!({"order": {"number": "7"}});
        let notice = Notice::new(Kind::OrderStatus, "order.confirmed", data.as_object().unwrap(), UnixMs(0), &shop, &brand);
        for channel in Channel::ALL {
            let way = Way { page: Some(("Ab3dE6gH9kQ", UnixMs(9))), ..Way::new(*channel, "tp_1") };
            let (receipt, notice) = (c.receipt_by(&doc, "sale.completed", document, &way), c.notice_by(&notice, &way));
            let name = |made: &Result<Content, ComposeError>| match made {
                Ok(content) => serde_json::to_value(content).unwrap()["type"].as_str().unwrap().to_owned(),
                Err(ComposeError::Unfit(_)) => "refused".to_owned(),
                Err(other) => other.to_string(),
            };
            let wanted = match channel {
                Channel::Crm | Channel::Ticket | Channel::Webhook => ("data", "data"),
                Channel::Publish => ("page", "refused"),
                Channel::Print => ("refused", "refused"),
                other => (other.word(), other.word()),
            };
            assert_eq!((name(&receipt).as_str(), name(&notice).as_str()), wanted, "{channel}");
        }
        let Ok(Content::Data(made)) = c.receipt_by(&doc, "sale.completed", document, &Way::new(Channel::Crm, "tp_1")) else { panic!() };
        assert_eq!((made.payload["id"].as_str(), made.payload["data"]["receipt_number"].as_str()), (Some("tp_1"), Some("1-1288")));
        assert!(c.receipt_by(&doc, "x", document, &Way::new(Channel::Publish, "tp_1")).is_err());
    }
}
