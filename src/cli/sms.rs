//! `sms count TEXT`: encoding, units and segments. Needs no agent.

use super::{Outcome, Said};
use crate::compose::sms;
use clap::Subcommand;
use serde_json::json;

/// The verbs.
#[derive(Subcommand, Debug)]
pub enum SmsCommand {
    /// How many segments a text takes, as it is and after replacement.
    Count {
        /// The text.
        text: String,
    },
}

/// Does it.
pub fn sms(command: &SmsCommand) -> Outcome {
    let SmsCommand::Count { text } = command;
    let (plain, replaced) = (sms::count(text), sms::replace(text));
    let after = sms::count(&replaced);
    let json = json!({"encoding": plain.encoding.word(), "units": plain.units, "segments": plain.segments,
        "after_replacement": {"encoding": after.encoding.word(), "units": after.units, "segments": after.segments, "text": replaced}});
    let say = format!(
        "{}, {} units, {} segments; after replacement {}, {} units, {} segments\n",
        plain.encoding.word(),
        plain.units,
        plain.segments,
        after.encoding.word(),
        after.units,
        after.segments
    );
    Ok(Said::new(json, say))
}
