//! Short forms, each within the budget of its channel: chat, notification, WhatsApp; and the receipt in
//! them.
//!
//! Pure. What does not fit is shortened and says so; a link is never cut. No address of a customer.

use crate::compose::i18n::Speaker;
use crate::compose::view::Builder;
use crate::compose::{ComposeError, Composer, Document, facts};
use crate::domain::content::{Chat, Page, Push, Whatsapp};
use crate::domain::sale::{Line, LineType};
use crate::domain::text::one_line;
use crate::domain::time::UnixMs;

/// A chat message within its budget: what is more than ten fields becomes lines, what is more than
/// twenty lines or eight kilobytes becomes "and n more".
pub fn chat(speaker: &Speaker, title: String, lines: Vec<String>, facts: Vec<(String, String)>, link: Option<(String, String)>) -> Chat {
    let mut lines: Vec<String> = lines.into_iter().map(|line| one_line(&line, 300)).collect();
    let mut fields: Vec<(String, String)> = facts.iter().map(|(name, value)| (one_line(name, 60), one_line(value, 200))).collect();
    let over = fields.split_off(fields.len().min(Chat::FIELDS));
    lines.extend(over.into_iter().map(|(name, value)| format!("{name}: {value}")));
    let mut chat = Chat { title: one_line(&title, 150), text: String::new(), fields, link };
    let mut shown = lines.len().min(Chat::LINES);
    loop {
        chat.text = lines.get(..shown).unwrap_or_default().join("\n");
        let left = lines.len() - shown;
        if left > 0 {
            let more = facts::counted(speaker, "and_more", left);
            chat.text = if shown == 0 { more } else { format!("{}\n{more}", chat.text) };
        }
        if shown == 0 || chat.plain().len() <= Chat::BYTES {
            return chat;
        }
        shown -= 1;
    }
}

/// A notification within its budget; where even that is too large, the link alone.
pub fn push(title: &str, body: &str, link: Option<String>, test: bool) -> Push {
    let title = if test { format!("TEST {title}") } else { title.to_owned() };
    let cut = |text: &str, max: usize| if text.chars().count() <= max { text.to_owned() } else { one_line(text, max - 1) };
    let mut push = Push {
        title: cut(&one_line(&title, 400), Push::TITLE),
        body: cut(&one_line(body, 400), Push::BODY),
        link: link.unwrap_or_default(),
    };
    if push.bytes() > Push::BYTES {
        push.body = String::new();
    }
    push
}

/// A WhatsApp message: each part is a variable of the template, the link the last; WhatsApp takes no
/// empty variable.
pub fn whatsapp(template: &str, speaker: &Speaker, parts: &[&str], link: &str, test: bool) -> Whatsapp {
    let cut = |text: &str| match one_line(text, 400) {
        text if text.is_empty() => "-".to_owned(),
        text if text.chars().count() <= Whatsapp::VARIABLE => text,
        text => one_line(&text, Whatsapp::VARIABLE - 1),
    };
    let mut variables: Vec<String> = parts.iter().map(|part| cut(part)).collect();
    variables.push(if link.is_empty() { "-".to_owned() } else { link.to_owned() });
    let said = parts.iter().map(|part| one_line(part, 400)).filter(|part| !part.is_empty());
    let said = test.then(|| "TEST".to_owned()).into_iter().chain(said).collect::<Vec<_>>().join("\n");
    let room = Whatsapp::TEXT.saturating_sub(link.chars().count() + 2);
    let mut text: String = said.chars().take(room).collect();
    if !link.is_empty() && link.chars().count() < Whatsapp::TEXT {
        text = format!("{text}\n{link}");
    }
    let language = speaker.tag().to_owned();
    Whatsapp { template: one_line(template, 100), language, variables, text }
}

impl Composer {
    /// A receipt for a chat room of the staff: what was sold, for how much, where; not to whom.
    pub fn chat(&self, doc: &Document<'_>) -> Result<Chat, ComposeError> {
        let speaker = self.receipt_speaker(doc);
        let b = Builder::new(doc, &speaker);
        let title = self.subject_line(&b)?;
        let sold = doc.sale.lines.iter().filter(|line| line.line_type != LineType::Void);
        let line = |line: &Line| {
            let amount = b.money(facts::signed(doc.sale, line));
            let said = format!("{} × {}", b.locale.quantity(&line.quantity), one_line(&line.description, 120));
            if amount.is_empty() { said } else { format!("{said}  {amount}") }
        };
        let at = [("date", b.locale.date(b.sold.date())), ("time", b.locale.time(b.sold.time()))];
        let at = speaker.say("datetime", &at.each_ref().map(|(name, value)| (*name, value.as_str())));
        let all = [
            ("total", b.total()),
            ("section.payment", if b.gift() { String::new() } else { facts::paid_with(&b) }),
            ("fact.number", doc.sale.receipt_number.clone()),
            ("fact.till", doc.sale.workstation_id.clone()),
            ("fact.cashier", doc.sale.operator_id.clone()),
            ("fact.time", at),
        ];
        let fields = all.into_iter().filter(|(_, value)| !value.is_empty());
        let fields = fields.map(|(key, value)| (speaker.say(key, &[]), value));
        let link = facts::link(&b);
        let link = (!link.is_empty()).then(|| (speaker.say("view_all", &[]), link));
        Ok(chat(&speaker, title, sold.map(line).collect(), fields.collect(), link))
    }

    /// A receipt as a notification: shop, number and total, link.
    pub fn push(&self, doc: &Document<'_>) -> Result<Push, ComposeError> {
        let speaker = self.receipt_speaker(doc);
        let b = Builder::new(doc, &speaker);
        let link = facts::link(&b);
        Ok(push(&b.store_name(), &in_a_line(&b), Some(link).filter(|l| !l.is_empty()), doc.test))
    }

    /// A receipt by WhatsApp: shop, what it is, total, link. The template is the route's own, else
    /// `receipt`.
    pub fn whatsapp(&self, doc: &Document<'_>) -> Result<Whatsapp, ComposeError> {
        let speaker = self.receipt_speaker(doc);
        let b = Builder::new(doc, &speaker);
        let parts = [&b.store_name(), &titled(&b), &b.total()];
        Ok(whatsapp(doc.template.unwrap_or("receipt"), &speaker, &parts.map(String::as_str), &facts::link(&b), doc.test))
    }

    /// A receipt's page for the host behind its link. It does not link to itself.
    pub fn page(&self, doc: &Document<'_>, token: &str, expires: UnixMs) -> Result<Page, ComposeError> {
        let html = self.page_html(&Document { link: None, ..*doc })?;
        Ok(Page { token: one_line(token, 64), html, expires })
    }
}

/// `Receipt 1-1288`, with `Copy` where it is one.
fn titled(b: &Builder<'_>) -> String {
    let title = format!("{} {}", b.speaker.say(&format!("title.{}", b.kind()), &[]), one_line(&b.doc.sale.receipt_number, 40));
    if b.doc.copy.is_some() { b.speaker.say("subject.copy", &[("subject", &title)]) } else { title }
}

fn in_a_line(b: &Builder<'_>) -> String {
    [titled(b), b.total()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}
