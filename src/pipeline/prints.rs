//! Prints that a tap took off a till's printer stream: each is kept as a raw event; one that proves a sale is
//! taken as a sighting of it, any other stays with the reason. A print never sends twice: a receipt printed
//! again, or told by the till itself as well, is the one document.

use super::Context;
use super::intake::{self, Origin, Posted};
use crate::domain::event::PRINT;
use crate::domain::ids::ReceiptId;
use crate::store::inbox::{Body, NewRawEvent};
use crate::store::{Result, Tx};

/// A print to be kept.
pub struct Captured {
    /// Its bytes, masked and packed.
    pub body: Body,
    /// The sale, or why it is none. Its `document` is the canonical form.
    pub sale: std::result::Result<Posted, String>,
}

/// Keeps a print and takes what it means; gives the receipt that it belongs to.
pub fn keep(tx: Tx<'_>, cx: &Context<'_>, origin: &Origin, print: &Captured) -> Result<Option<ReceiptId>> {
    let body = tx.put_body(&print.body)?;
    let row = NewRawEvent { at: cx.now.wall, source: &origin.till, kind: PRINT, subject: "", body, state: "kept" };
    let seq = tx.put_raw_event(&row)?;
    let posted = match &print.sale {
        Ok(posted) => posted,
        Err(why) => return tx.end_raw_event(seq, "kept", Some(why)).map(|()| None),
    };
    let Some(id) = intake::keep_told(tx, cx, origin, posted, seq)? else {
        tx.purge_body(body)?;
        return tx.end_raw_event(seq, "done", Some("a receipt that was here before was printed again")).map(|()| None);
    };
    if id == posted.receipt_id || tx.read().is_sighting(seq)? {
        return tx.end_raw_event(seq, "done", None).map(|()| Some(id));
    }
    // Its bytes are those of the first print; kept twice, one would outlive an erasure.
    tx.purge_body(body)?;
    tx.end_raw_event(seq, "done", Some(&format!("receipt {id} was printed again")))?;
    Ok(Some(id))
}
