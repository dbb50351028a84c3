//! Merging: the same sale told by two sources is one document, and its customer hears of it once.
//!
//! It is known again by the vendor's id, else by till, number and day (a differing total is noted), else by
//! till, total and lines within minutes. Only across sources: inside one source its own id decides. Late data
//! fills the document while it was not sent, and stands beside it afterwards; another total of the same source
//! is a correction, a document of its own.

use super::intake::{self, Origin, Posted, addresses, document, kind_of, moment};
use super::queue::{self, About, Which};
use super::{Context, believable};
use crate::domain::ids::ReceiptId;
use crate::domain::message::Audience;
use crate::domain::sale::Sale;
use crate::domain::time::UnixMs;
use crate::store::receipts::Receipt;
use crate::store::sightings::{Likeness, Sighting};
use crate::store::{Result, Snapshot, Tx};
use std::collections::BTreeMap;

/// Two clocks that differ by no more than this, in milliseconds, tell the same.
pub(super) const SAME_CLOCK: i64 = 120_000;

/// How many sales a till must have told to be known to be off.
const ENOUGH: usize = 20;

/// A sale that is known already.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its document.
    pub first: Receipt,
    /// The same source told it, with another total: a correction.
    pub corrects: bool,
}

/// The document of this sale, where another source or another event of its own told of it before.
pub fn find(read: Snapshot<'_>, cx: &Context<'_>, origin: &Origin, sale: &Sale) -> Result<Option<Known>> {
    if let Some(first) = by_id(read, sale)? {
        let corrects = first.source == origin.source && first.total != sale.totals.grand;
        return Ok(Some(Known { first, corrects }));
    }
    if !origin.overlaps && cx.config.sources.is_empty() {
        return Ok(None); // every sale comes by one way
    }
    let till = if sale.workstation_id.is_empty() { &origin.till } else { &sale.workstation_id };
    let like = Likeness { source: &origin.source, till, receipt_number: &sale.receipt_number, sold_at: sale.at, total: sale.totals.grand };
    let same_day = |r: &&Receipt| day(cx, r.sold_at) == day(cx, sale.at) && r.transaction_type == sale.transaction_type.word();
    let numbered = read.same_number(&like)?;
    if let Some(first) = numbered.iter().find(same_day).filter(|_| !sale.receipt_number.is_empty()) {
        return Ok(Some(Known { first: first.clone(), corrects: false }));
    }
    let window = i64::try_from(cx.config.routing.merge_window.as_millis()).unwrap_or(0);
    for first in read.same_total(&like, window)? {
        // A sale that this source told already is another one; so is one of somebody else.
        let told = read.sources_of(&first)?.contains(&origin.source);
        if !told && same_buyer(read, cx, &first, sale)? && same_lines(read, &first, sale)? {
            return Ok(Some(Known { first, corrects: false }));
        }
    }
    Ok(None)
}

/// Whether two sightings may be of one person: where both name addresses, they have one in common.
fn same_buyer(read: Snapshot<'_>, cx: &Context<'_>, first: &Receipt, sale: &Sale) -> Result<bool> {
    let (email, phone) = addresses(cx.config, sale);
    let deliveries = read.deliveries_of(first.row)?.into_iter().filter(|d| d.audience == Audience::Customer).map(|d| d.address);
    let known: Vec<String> = [first.email.clone(), first.phone.clone()].into_iter().chain(deliveries).filter(|a| !a.is_empty()).collect();
    let given: Vec<String> = [email, phone].into_iter().filter(|a| !a.is_empty()).collect();
    Ok(known.is_empty() || given.is_empty() || given.iter().any(|a| known.contains(a)))
}

fn by_id(read: Snapshot<'_>, sale: &Sale) -> Result<Option<Receipt>> {
    if let Some(first) = read.receipt_of(&sale.unit.unit_id, &sale.transaction_id)? {
        return Ok(Some(first));
    }
    for id in &sale.native_ids {
        if let Some(first) = read.receipt_of_native(id)? {
            let same_kind = first.transaction_type == sale.transaction_type.word();
            if same_kind {
                return Ok(Some(first));
            }
        }
    }
    Ok(None)
}

/// The local day of the shop.
fn day(cx: &Context<'_>, at: UnixMs) -> Option<jiff::civil::Date> {
    let zone = jiff::tz::TimeZone::get(&cx.config.shop.timezone).ok()?;
    Some(zone.to_datetime(at.instant()).date())
}

/// Whether the amounts of two sales' lines are the same, whatever their order and words.
fn same_lines(read: Snapshot<'_>, first: &Receipt, sale: &Sale) -> Result<bool> {
    let bytes = read.body(first.body)?;
    let Some(before) = serde_json::from_slice(&bytes).ok().and_then(|v| Sale::parse(&v).ok()) else { return Ok(false) };
    let amounts = |s: &Sale| {
        let mut counts = BTreeMap::<i64, u32>::new();
        s.lines.iter().for_each(|l| *counts.entry(l.amount).or_default() += 1);
        counts
    };
    Ok(amounts(&before) == amounts(sale))
}

/// Keeps another sighting of a known sale; gives the id of its document.
pub fn add(tx: Tx<'_>, cx: &Context<'_>, origin: &Origin, posted: &Posted, known: &Known, raw_event: i64) -> Result<ReceiptId> {
    let first = &known.first;
    if known.corrects {
        return correct(tx, cx, origin, posted, known, raw_event);
    }
    let differs = first.total != posted.sale.totals.grand;
    let sent = tx.read().deliveries_of(first.row)?.iter().any(|d| d.audience == Audience::Customer && d.tries > 0);
    let note = match (differs, sent) {
        (true, _) => "total_differs",
        (false, true) => "late",
        (false, false) => "filled",
    };
    tx.put_sighting(&Sighting {
        receipt: first.row,
        raw_event,
        receipt_id: posted.receipt_id,
        source: &origin.source,
        at: cx.now.wall,
        total: posted.sale.totals.grand,
        content: &posted.content,
        note,
    })?;
    tx.put_native(first.row, &posted.sale.native_ids)?;
    if note == "filled" {
        fill(tx, cx, origin, posted, first, raw_event)?;
    }
    Ok(first.receipt_id)
}

/// A richer sighting fills a document that was not sent yet; an address that it brings sends it.
fn fill(tx: Tx<'_>, cx: &Context<'_>, origin: &Origin, posted: &Posted, first: &Receipt, raw_event: i64) -> Result<()> {
    let bytes = tx.read().body(first.body)?;
    let before = serde_json::from_slice(&bytes).ok().and_then(|v| Sale::parse(&v).ok());
    if before.is_none_or(|before| richness(&posted.sale) > richness(&before)) {
        tx.set_document(first.row, intake::document_body(tx, posted, raw_event)?)?;
        tx.drop_document(first.row, first.body)?;
    }
    let (email, phone) = addresses(cx.config, &posted.sale);
    let either = |a: &str, b: &str| if a.is_empty() { b.to_owned() } else { a.to_owned() };
    let (email, phone) = (either(&first.email, &email), either(&first.phone, &phone));
    tx.set_buyer(first.row, &either(&first.name, &posted.sale.customer.name), &email, &phone)?;
    let unsent = tx.read().deliveries_of(first.row)?.iter().all(|d| d.audience != Audience::Customer);
    if unsent && matches!(first.no_message.as_str(), "no_contact" | "undeliverable") {
        let at = moment(tx.read(), cx, origin, posted.sale.at)?;
        let decision = document(tx.read(), cx, origin, &posted.sale, kind_of(&posted.sale), at)?;
        tx.set_no_message(first.row, decision.no_message)?;
        let about =
            About { receipt: Some(first.row), id: first.receipt_id, body: None, at: believable(at, cx.now), thread: "", test: origin.test };
        queue::message(tx, cx, &about, &Which::default(), &decision)?;
    }
    Ok(())
}

/// How much a document says.
fn richness(sale: &Sale) -> usize {
    sale.lines.len() * 4
        + sale.taxes.len()
        + sale.tenders.len()
        + usize::from(sale.loyalty.is_some())
        + usize::from(!sale.customer.name.is_empty())
}

/// The same source tells another total: the corrected document is one of its own, and stands beside the first.
fn correct(tx: Tx<'_>, cx: &Context<'_>, origin: &Origin, posted: &Posted, known: &Known, raw_event: i64) -> Result<ReceiptId> {
    let first = &known.first;
    if tx.read().seen_before(first.row, &posted.content)? || first.content == posted.content {
        return Ok(first.receipt_id);
    }
    tx.put_sighting(&Sighting {
        receipt: first.row,
        raw_event,
        receipt_id: ReceiptId::new(posted.receipt_id.at_ms(), crate::sys::random::bytes(cx.random)),
        source: &origin.source,
        at: cx.now.wall,
        total: posted.sale.totals.grand,
        content: &posted.content,
        note: "corrected",
    })?;
    let mut sale = posted.sale.clone();
    let revision = tx.read().sightings_of(first.row)?.iter().filter(|(_, _, note)| note == "corrected").count();
    sale.transaction_id = format!("{}~{}", sale.transaction_id, revision + 1);
    sale.native_ids.clear();
    let posted = Posted { sale, ..posted.clone() };
    intake::store(tx, cx, origin, &posted, raw_event)?;
    Ok(posted.receipt_id)
}

/// The offset of a till's clock, given how late its last sales and this one came: what they have in common
/// where it is the same for all.
pub(super) fn offset(delays: &[i64], this: i64, least: i64) -> i64 {
    let same = |d: &&i64| (**d - this).abs() <= SAME_CLOCK;
    if this.abs() >= least && delays.len() >= ENOUGH && delays.iter().filter(same).count() == delays.len() { this } else { 0 }
}

/// By how much the clock of a receipt's till is read as wrong, by its newest sales.
pub fn offset_of(read: Snapshot<'_>, config: &crate::config::Config, r: &Receipt) -> Result<i64> {
    let least = i64::try_from(config.routing.till_offset.as_millis()).unwrap_or(i64::MAX);
    let delay = r.taken_at.0 - r.sold_at.0;
    if delay.abs() < least {
        return Ok(0);
    }
    Ok(offset(&read.delays_of(&r.till, 20)?, delay, least))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_till_that_is_always_off_by_the_same_is_off() {
        let hour = 3_600_000;
        assert_eq!(offset(&[hour; 20], hour + 1000, 900_000), hour + 1000);
        assert_eq!(offset(&[-hour; 20], -hour, 900_000), -hour);
        assert_eq!(offset(&[hour; 19], hour, 900_000), 0, "too few to tell");
        assert_eq!(offset(&[0; 20], hour, 900_000), 0, "an outage is no wrong clock");
        assert_eq!(offset(&[600_000; 20], 600_000, 900_000), 0, "ten minutes are believed");
    }
}
