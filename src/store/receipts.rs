//! Receipts: the documents, who they are for, and how they are found again.

use super::{Result, Snapshot, Tx, bits48};
use crate::domain::ids::{ReceiptId, dedup_key, hash16};
use crate::domain::time::UnixMs;
use rusqlite::types::Value as SqlValue;
use rusqlite::{OptionalExtension, Row, params, params_from_iter};

/// A receipt to be stored.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // the columns' meaning stands in the schema
pub struct NewReceipt<'a> {
    pub receipt_id: ReceiptId,
    pub raw_event: i64,
    pub body: i64,
    pub content: &'a [u8; 16],
    pub taken_at: UnixMs,
    pub sold_at: UnixMs,
    pub source: &'a str,
    pub till: &'a str,
    pub workstation_id: &'a str,
    pub unit_id: &'a str,
    pub transaction_id: &'a str,
    pub transaction_type: &'a str,
    pub receipt_number: &'a str,
    pub total: i64,
    pub currency: &'a str,
    pub last4: &'a str,
    pub no_message: &'a str,
    pub name: &'a str,
    pub email: &'a str,
    pub phone: &'a str,
}

/// A stored receipt, without its document.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the columns' meaning stands in the schema
pub struct Receipt {
    pub row: i64,
    pub receipt_id: ReceiptId,
    pub body: i64,
    pub content: [u8; 16],
    pub taken_at: UnixMs,
    pub sold_at: UnixMs,
    pub source: String,
    pub till: String,
    pub workstation_id: String,
    pub unit_id: String,
    pub transaction_id: String,
    pub transaction_type: String,
    pub receipt_number: String,
    pub total: i64,
    pub currency: String,
    pub last4: String,
    pub no_message: String,
    pub name: String,
    pub email: String,
    pub phone: String,
}

/// What a list of receipts is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Find {
    /// Free text: id, number, amount, last four digits, time, name, part of an address.
    pub text: String,
    /// Only of this till (its name in the config, or its workstation id).
    pub till: Option<String>,
    /// Only sold since.
    pub since: Option<UnixMs>,
    /// Only sold until.
    pub until: Option<UnixMs>,
    /// Only before this row: the cursor of the last page.
    pub before: Option<i64>,
    /// Rows at most.
    pub limit: u32,
}

/// How many of the newest receipts a search that no index serves looks at.
const SCAN: i64 = 20_000;

/// Receipts of one shelf. The index of addresses is in the order of shelves, so that an insert touches few
/// pages at its end; a look at a shelf costs three pages.
const SHELF: i64 = 2048;

pub(super) const COLUMNS: &str =
    "receipt.id, receipt_id, body, content, taken_at, sold_at, source, till, workstation_id, unit_id, transaction_id,
    transaction_type, receipt_number, total, currency, last4, no_message, coalesce(name, ''), coalesce(email, ''), coalesce(phone, '')
    FROM receipt LEFT JOIN buyer ON buyer.receipt = receipt.id";

impl Tx<'_> {
    /// Stores a receipt and who it is for; gives its row.
    pub fn put_receipt(&self, r: &NewReceipt<'_>) -> Result<i64> {
        let mut insert = self.sql(
            "INSERT INTO receipt(receipt_id, raw_event, body, content, taken_at, sold_at, source, till, workstation_id, unit_id, transaction_id,
             transaction_type, receipt_number, total, currency, last4, no_message) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        )?;
        let row = insert.insert(params![
            r.receipt_id.bytes(),
            r.raw_event,
            r.body,
            r.content,
            r.taken_at.0,
            r.sold_at.0,
            r.source,
            r.till,
            r.workstation_id,
            r.unit_id,
            r.transaction_id,
            r.transaction_type,
            r.receipt_number,
            r.total,
            r.currency,
            r.last4,
            r.no_message
        ])?;
        self.set_buyer(row, r.name, r.email, r.phone)?;
        Ok(row)
    }

    /// Says who a receipt is for; replaces what was known.
    pub fn set_buyer(&self, receipt: i64, name: &str, email: &str, phone: &str) -> Result<()> {
        if name.is_empty() && email.is_empty() && phone.is_empty() {
            return Ok(());
        }
        let mut insert = self
            .sql("INSERT OR REPLACE INTO buyer(receipt, name, email, phone, email48, phone48, shelf) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
        insert.execute(params![receipt, name, email, phone, address48(email), address48(phone), receipt / SHELF])?;
        Ok(())
    }

    /// Says why a receipt has no message, or (empty) that it has one.
    pub fn set_no_message(&self, receipt: i64, why: &str) -> Result<()> {
        self.sql("UPDATE receipt SET no_message = ?2 WHERE id = ?1")?.execute((receipt, why))?;
        Ok(())
    }

    /// Moves the memory of a transaction out of a receipt that is about to go.
    pub(super) fn remember_transaction(&self, receipt: i64, now: UnixMs) -> Result<()> {
        let mut select = self.sql("SELECT unit_id, transaction_id, content, receipt_id FROM receipt WHERE id = ?1")?;
        let (unit, transaction, content, id): (String, String, [u8; 16], Vec<u8>) =
            select.query_row([receipt], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        let id = ReceiptId::from_bytes(&id).map(|id| id.to_string()).unwrap_or_default();
        self.remember(&transaction_key(&unit, &transaction), now, &content, &id)
    }
}

impl Snapshot<'_> {
    /// The receipt by its id, or by the id that another sighting of it was given.
    pub fn receipt(&self, id: ReceiptId) -> Result<Option<Receipt>> {
        let found = self.sql(&format!("SELECT {COLUMNS} WHERE receipt_id = ?1"))?.query_row([id.bytes()], receipt).optional()?;
        if found.is_some() {
            return Ok(found);
        }
        // The id of another sighting leads to the one document.
        let sql = format!("SELECT {COLUMNS} WHERE receipt.id = (SELECT receipt FROM sighting WHERE receipt_id = ?1)");
        Ok(self.sql(&sql)?.query_row([id.bytes()], receipt).optional()?)
    }

    /// The only receipt whose id lies between two; `None` where there is none or more than one.
    pub fn receipt_between(&self, first: ReceiptId, last: ReceiptId) -> Result<Option<Receipt>> {
        let mut select = self.sql(&format!("SELECT {COLUMNS} WHERE receipt_id BETWEEN ?1 AND ?2 LIMIT 2"))?;
        let mut found: Vec<Receipt> = select.query_map([first.bytes(), last.bytes()], receipt)?.collect::<rusqlite::Result<_>>()?;
        Ok(if found.len() == 1 { found.pop() } else { None })
    }

    /// The receipt by its row.
    pub fn receipt_at(&self, row: impl Into<Option<i64>>) -> Result<Option<Receipt>> {
        let Some(row) = row.into() else { return Ok(None) };
        Ok(self.sql(&format!("SELECT {COLUMNS} WHERE receipt.id = ?1"))?.query_row([row], receipt).optional()?)
    }

    /// The receipt of a transaction: unique per business unit, over all tills.
    pub fn receipt_of(&self, unit_id: &str, transaction_id: &str) -> Result<Option<Receipt>> {
        let mut select = self.sql(&format!("SELECT {COLUMNS} WHERE transaction_id = ?1 AND unit_id = ?2"))?;
        Ok(select.query_row((transaction_id, unit_id), receipt).optional()?)
    }

    /// Whether a transaction was taken whose receipt is gone: its content then, and the receipt's id.
    pub fn forgotten_receipt_of(&self, unit_id: &str, transaction_id: &str) -> Result<Option<super::inbox::Recalled>> {
        self.recall(&transaction_key(unit_id, transaction_id))
    }

    /// Receipts, newest first. Text that equals an id, a transaction or a receipt number gives only
    /// these; any other is looked for in the newest [`SCAN`] receipts.
    pub fn find_receipts(&self, find: &Find) -> Result<Vec<Receipt>> {
        let text = find.text.trim();
        if text.is_empty() {
            return self.select(find, "", Vec::new());
        }
        if let Some(id) = ReceiptId::parse(text)
            && let exact @ [_, ..] = self.select(find, "receipt_id = ?", vec![SqlValue::Blob(id.bytes().to_vec())])?.as_slice()
        {
            return Ok(exact.to_vec());
        }
        for column in ["transaction_id = ?", "receipt_number = ?"] {
            let exact = self.select(find, column, vec![text.to_owned().into()])?;
            if !exact.is_empty() {
                return Ok(exact);
            }
        }
        let whole = self.find_by_address(find, &text.to_lowercase())?;
        if !whole.is_empty() {
            return Ok(whole);
        }
        self.scan(find, text)
    }

    /// Receipts for exactly this address: a look at each shelf, the newest first.
    fn find_by_address(&self, find: &Find, address: &str) -> Result<Vec<Receipt>> {
        let column = match address48(address) {
            Some(_) if address.contains('@') => "email",
            Some(_) if address.starts_with('+') => "phone",
            _ => return Ok(Vec::new()),
        };
        let newest = self.newest_row()?;
        let mut select = self.sql(&format!(
            "SELECT {COLUMNS} WHERE buyer.shelf = ?1 AND buyer.{column}48 = ?2 AND buyer.{column} = ?3 AND receipt.id < ?4
             AND (?5 IS NULL OR till = ?5 OR workstation_id = ?5) AND sold_at >= ?6 ORDER BY receipt.id DESC LIMIT ?7"
        ))?;
        let mut out = Vec::new();
        for shelf in (0..=newest / SHELF).rev() {
            let left = find.limit.saturating_sub(u32::try_from(out.len()).unwrap_or(u32::MAX));
            if left == 0 {
                break;
            }
            let since = find.since.map_or(i64::MIN, |t| t.0);
            let before = find.before.unwrap_or(i64::MAX);
            let rows = select.query_map(params![shelf, address48(address), address, before, find.till, since, left], receipt)?;
            for row in rows {
                out.push(row?);
            }
        }
        Ok(out)
    }

    fn newest_row(&self) -> Result<i64> {
        Ok(self.sql("SELECT coalesce(max(id), 0) FROM receipt")?.query_row([], |row| row.get(0))?)
    }

    /// The search that a person types: parts of numbers and addresses, an amount, a time of day.
    fn scan(&self, find: &Find, text: &str) -> Result<Vec<Receipt>> {
        let like = format!("%{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
        let mut wheres = vec![
            "receipt_number LIKE ? ESCAPE '\\'".to_owned(),
            "transaction_id LIKE ? ESCAPE '\\'".to_owned(),
            "name LIKE ? ESCAPE '\\'".to_owned(),
            "email LIKE ? ESCAPE '\\'".to_owned(),
            "phone LIKE ? ESCAPE '\\'".to_owned(),
        ];
        let mut values: Vec<SqlValue> = vec![like.into(); 5];
        if text.len() == 4 && text.bytes().all(|b| b.is_ascii_digit()) {
            wheres.push("last4 = ?".to_owned());
            values.push(text.to_owned().into());
        }
        for minor in amounts(text) {
            wheres.push("total = ?".to_owned());
            values.push(minor.into());
        }
        let recent = format!("receipt.id > {} AND ({})", self.newest_row()? - SCAN, wheres.join(" OR "));
        self.select(find, &recent, values)
    }

    fn select(&self, find: &Find, filter: &str, mut values: Vec<SqlValue>) -> Result<Vec<Receipt>> {
        let mut wheres = vec!["1"];
        if !filter.is_empty() {
            wheres.push(filter);
        }
        if let Some(till) = &find.till {
            wheres.push("(till = ? OR workstation_id = ?)");
            values.extend([till.clone().into(), till.clone().into()]);
        }
        if let Some(since) = find.since {
            wheres.push("sold_at >= ?");
            values.push(since.0.into());
        }
        if let Some(until) = find.until {
            wheres.push("sold_at <= ?");
            values.push(until.0.into());
        }
        if let Some(before) = find.before {
            wheres.push("receipt.id < ?");
            values.push(before.into());
        }
        values.push(i64::from(find.limit).into());
        let sql = format!("SELECT {COLUMNS} WHERE {} ORDER BY receipt.id DESC LIMIT ?", wheres.join(" AND "));
        Ok(self.sql(&sql)?.query_map(params_from_iter(values), receipt)?.collect::<rusqlite::Result<_>>()?)
    }

    /// The newest moment that any receipt was taken at: a right clock is not before it.
    pub fn newest_time(&self) -> Result<Option<UnixMs>> {
        let newest = self.sql("SELECT taken_at FROM receipt ORDER BY id DESC LIMIT 1")?.query_row([], |row| row.get(0)).optional()?;
        Ok(newest.map(UnixMs))
    }
}

/// Minor units that a typed amount such as `12.47` or `12,47` may mean.
fn amounts(text: &str) -> Vec<i64> {
    let plain = text.replace(',', ".");
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let digits = |s: &str| !s.is_empty() && s.len() <= 12 && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !(fraction.is_empty() || digits(fraction)) {
        return Vec::new();
    }
    let minor = |places: usize| format!("{whole}{fraction:0<places$}").parse().ok();
    match fraction.len() {
        0 => [minor(0), minor(2)].into_iter().flatten().collect(),
        n => minor(n.max(2)).into_iter().collect(),
    }
}

/// The key under which a transaction is remembered when its receipt is gone.
pub(super) fn transaction_key(unit_id: &str, transaction_id: &str) -> [u8; 16] {
    dedup_key("transaction", &[unit_id, transaction_id])
}

/// 48 bits of the hash of a normalised address; `None` for none.
fn address48(address: &str) -> Option<i64> {
    (!address.is_empty()).then(|| bits48(&hash16(address.as_bytes())))
}

pub(super) fn receipt(row: &Row<'_>) -> rusqlite::Result<Receipt> {
    let id: Vec<u8> = row.get(1)?;
    Ok(Receipt {
        row: row.get(0)?,
        receipt_id: ReceiptId::from_bytes(&id).ok_or(rusqlite::Error::InvalidQuery)?,
        body: row.get(2)?,
        content: row.get(3)?,
        taken_at: UnixMs(row.get(4)?),
        sold_at: UnixMs(row.get(5)?),
        source: row.get(6)?,
        till: row.get(7)?,
        workstation_id: row.get(8)?,
        unit_id: row.get(9)?,
        transaction_id: row.get(10)?,
        transaction_type: row.get(11)?,
        receipt_number: row.get(12)?,
        total: row.get(13)?,
        currency: row.get(14)?,
        last4: row.get(15)?,
        no_message: row.get(16)?,
        name: row.get(17)?,
        email: row.get(18)?,
        phone: row.get(19)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_amounts() {
        for (text, minor) in [
            ("12.47", vec![1247]),
            ("12,47", vec![1247]),
            ("12", vec![12, 1200]),
            ("12.5", vec![1250]),
            ("x", vec![]),
            ("1.234", vec![1234]),
        ] {
            assert_eq!(amounts(text), minor, "{text}");
        }
    }
}
