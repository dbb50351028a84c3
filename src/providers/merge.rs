//! Many rendered mails as one template with holes and a value for each hole and recipient, so that one
//! call carries them all. Pure.
//!
//! Mails of one campaign differ in few lines: a line that is the same in all of them stays, any other
//! becomes a hole. Nothing is guessed: what a recipient gets is exactly what was rendered.

use crate::domain::content::{Content, Email, Outgoing};
use std::collections::HashSet;

/// The mails of one batch.
pub struct Batch<'a> {
    /// In the order of the messages.
    pub mails: Vec<&'a Email>,
    /// What stands in the holes: one list for each mail.
    pub values: Vec<Vec<String>>,
    /// Marks the n-th hole in the provider's language.
    hole: fn(usize) -> String,
    /// What would be read as a hole of someone else's.
    marks: &'static [&'static str],
}

impl<'a> Batch<'a> {
    /// `None` where these are not mails of one sender to different addresses.
    pub fn new(messages: &[&'a Outgoing], hole: fn(usize) -> String, marks: &'static [&'static str]) -> Option<Batch<'a>> {
        let mails: Option<Vec<&Email>> =
            messages.iter().map(|m| if let Content::Email(email) = &m.content { Some(email) } else { None }).collect();
        let mails = mails?;
        let first = mails.first()?;
        let one_sender = mails.iter().all(|mail| mail.from == first.from && mail.reply_to == first.reply_to);
        let addresses: HashSet<String> = messages.iter().map(|m| m.to.to_lowercase()).collect();
        let values = vec![Vec::new(); mails.len()];
        (one_sender && addresses.len() == messages.len()).then_some(Batch { mails, values, hole, marks })
    }

    /// One part of all mails with its holes. `None` where they are not of one form, or hold a mark.
    pub fn part(&mut self, of: impl Fn(&Email) -> String) -> Option<String> {
        let texts: Vec<String> = self.mails.iter().map(|mail| of(mail)).collect();
        if texts.iter().any(|text| self.marks.iter().any(|mark| text.contains(mark))) {
            return None;
        }
        let lines: Vec<Vec<&str>> = texts.iter().map(|text| text.split('\n').collect()).collect();
        let first = lines.first()?;
        if lines.iter().any(|other| other.len() != first.len()) {
            return None;
        }
        let mut out = Vec::with_capacity(first.len());
        for (at, line) in first.iter().enumerate() {
            if lines.iter().all(|other| other.get(at) == Some(line)) {
                out.push((*line).to_owned());
                continue;
            }
            out.push((self.hole)(self.values.first().map_or(0, Vec::len)));
            for (values, other) in self.values.iter_mut().zip(&lines) {
                values.push(other.get(at).map(|l| (*l).to_owned()).unwrap_or_default());
            }
        }
        Some(out.join("\n"))
    }

    /// The most bytes that one recipient's values take.
    pub fn most_bytes(&self) -> usize {
        self.values.iter().map(|values| values.iter().map(|v| v.len() + 16).sum()).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::conformance::{email, sms};

    fn hole(n: usize) -> String {
        format!("<{n}>")
    }

    fn mails(texts: &[&str]) -> Vec<Outgoing> {
        let mail = |(n, text): (usize, &&str)| {
            let mut message = email(&format!("kim{n}@example.org"));
            let Content::Email(content) = &mut message.content else { unreachable!() };
            content.text = (*text).to_owned();
            message
        };
        texts.iter().enumerate().map(mail).collect()
    }

    #[test]
    fn lines_that_differ_become_holes() {
        let messages = mails(&["Hi Ana,\nsame\n10.00", "Hi Bo,\nsame\n20.00"]);
        let all: Vec<&Outgoing> = messages.iter().collect();
        let mut batch = Batch::new(&all, hole, &["{{"]).unwrap();
        assert_eq!(batch.part(|mail| mail.text.clone()).unwrap(), "<0>\nsame\n<1>");
        assert_eq!(batch.part(|mail| mail.html.clone()).unwrap(), "<p>Thank you.</p>\n<p>Total 18,20 €</p>\n");
        assert_eq!(batch.values, [["Hi Ana,", "10.00"], ["Hi Bo,", "20.00"]]);
        assert_eq!(batch.most_bytes(), 44);
    }

    #[test]
    fn what_does_not_fit_goes_alone() {
        let part = |texts: &[&str]| {
            let messages = mails(texts);
            let all: Vec<&Outgoing> = messages.iter().collect();
            Batch::new(&all, hole, &["{{"]).and_then(|mut batch| batch.part(|mail| mail.text.clone()))
        };
        assert_eq!(part(&["a\nb", "a"]), None);
        assert_eq!(part(&["a {{x}}", "b"]), None);
        let twice = [&email("Kim@example.org"), &email("kim@example.org")];
        assert!(Batch::new(&twice, hole, &[]).is_none(), "one address twice");
        assert!(Batch::new(&[&email("kim@example.org"), &sms("+16075550100")], hole, &[]).is_none());
    }
}
