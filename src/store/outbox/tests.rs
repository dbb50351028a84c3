//! The outbox by itself: what is stored once, what may move, and what another release wrote.

use super::*;
use crate::domain::ids::ReceiptId;
use crate::store::Options;
use crate::store::inbox::Body;
use crate::store::receipts::NewReceipt;
use crate::store::writer::WriterCore;

const NOW: UnixMs = UnixMs(1_790_000_000_000);

/// A receipt with one delivery that is due; gives the delivery's row.
fn put(tx: Tx<'_>, n: u8) -> Result<i64> {
    let id = ReceiptId::new(NOW.0, [n; 10]);
    let number = n.to_string();
    let body = tx.put_body(&Body::pack(b"{}"))?;
    let receipt = tx.put_receipt(&NewReceipt {
        receipt_id: id,
        raw_event: 0,
        body,
        content: &[n; 16],
        taken_at: NOW,
        sold_at: NOW,
        source: "front",
        till: "front",
        workstation_id: "1",
        unit_id: "s",
        transaction_id: &number,
        transaction_type: "sale",
        receipt_number: &number,
        total: 100,
        currency: "USD",
        last4: "",
        no_message: "",
        name: "",
        email: "",
        phone: "",
    })?;
    let intent = IntentId::new(Kind::Receipt, &id, 0, "customer", "");
    let (kind, audience) = (Kind::Receipt, Audience::Customer);
    let message = NewMessage { fresh: true, ..NewMessage::new(Some(receipt), kind, audience, "", intent, NOW) };
    let message = tx.put_message(&message)?.expect("it is new");
    let (channel, state, expires) = (Channel::Email, State::Ready, UnixMs(NOW.0 + 1000));
    tx.put_delivery(&NewDelivery {
        message,
        step: 1,
        channel,
        address: "a@b.example",
        state,
        reason: "",
        priority: 1,
        due: NOW,
        expires,
        online_ms: None,
    })
}

fn store() -> (tempfile::TempDir, WriterCore) {
    let folder = tempfile::tempdir().unwrap();
    let core = WriterCore::open(&Options::new(folder.path().join("t.db"))).unwrap();
    (folder, core)
}

#[test]
fn a_word_of_another_release_is_left_alone_and_the_rest_goes_out() {
    let (_folder, mut core) = store();
    let (odd, good) = core.run(|tx| Ok((put(tx, 1)?, put(tx, 2)?))).unwrap();
    core.run(|tx| Ok(tx.sql("UPDATE message SET kind = 'hologram' WHERE id = ?1")?.execute([odd / STEPS])?)).unwrap();
    let due = core.read().due(Channel::Email, 1, NOW, false, 10).unwrap();
    assert_eq!(due.iter().map(|d| d.id).collect::<Vec<_>>(), [good]);
    core.run(|tx| Ok(tx.sql("UPDATE delivery SET state = 'sending'")?.execute([])?)).unwrap();
    assert_eq!(core.run(|tx| tx.doubt_in_flight(NOW)).unwrap(), 1, "a start is not stopped by it");
}

#[test]
fn an_intent_is_stored_once() {
    let (_folder, mut core) = store();
    core.run(|tx| put(tx, 1)).unwrap();
    let again = core.run(|tx| {
        let d = tx.read().due(Channel::Email, 1, NOW, false, 1)?.remove(0);
        tx.put_message(&NewMessage::new(d.receipt, d.kind, d.audience, "", d.intent, NOW))
    });
    assert_eq!(again.unwrap(), None);
}

#[test]
fn a_delivery_is_found_by_its_outside_name_and_moves_only_as_it_may() {
    let (_folder, mut core) = store();
    let id = core.run(|tx| put(tx, 1)).unwrap();
    let d = core.read().delivery(id).unwrap().unwrap();
    assert_eq!(core.read().delivery_by_step(d.step_id().as_str()).unwrap().map(|d| d.id), Some(id));
    assert!(core.run(|tx| tx.transition(id, State::Ready, State::Accepted, "", NOW)).is_err());
    assert!(!core.run(|tx| tx.transition(id, State::Held, State::Ready, "", NOW)).unwrap(), "it is not held");
    assert!(core.run(|tx| tx.transition(id, State::Ready, State::Cancelled, "x", NOW)).unwrap());
    assert_eq!(core.read().counts(NOW).unwrap()["cancelled"], 1);
}
