-- The first schema. Later ones only add, so that the release before can still run on the file:
-- no CHECK on lists of words (a word that a release does not know is left alone and shown), and no
-- new UNIQUE on old columns. Times are milliseconds since 1970 in UTC.
--
-- Each place that a commit touches costs a page of 4 KiB in the log, so what comes together is written
-- together: keys grow with time, and no index of the daily work is in the order of a hash.
--
-- References are declared only where the referring column has an index: without one each delete would look
-- through a whole table.

CREATE TABLE body(
    id     INTEGER PRIMARY KEY,
    key_id TEXT NOT NULL DEFAULT '',  -- the key that sealed it; empty: not sealed
    coding INTEGER NOT NULL,          -- 0 as it is, 1 deflate, 2 sealed with the key of this box
    data   BLOB NOT NULL
) STRICT;

CREATE TABLE raw_event(
    seq     INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    source  TEXT NOT NULL,
    kind    TEXT NOT NULL,            -- sale, event, resend, contact
    subject TEXT NOT NULL DEFAULT '', -- the sender's id of it
    body    INTEGER NOT NULL,
    state   TEXT NOT NULL,            -- new, done, kept (no rule acts on it yet), quarantined
    reason  TEXT
) STRICT;
CREATE INDEX raw_event_open ON raw_event(seq) WHERE state = 'new';

-- What was already taken, longer than what was taken is kept.
CREATE TABLE dedup(
    key     BLOB PRIMARY KEY,         -- 16 bytes of SHA-256
    at      INTEGER NOT NULL,
    content BLOB NOT NULL,            -- 16 bytes of SHA-256 over the canonical content
    answer  TEXT NOT NULL             -- what was answered
) STRICT, WITHOUT ROWID;
CREATE INDEX dedup_at ON dedup(at);

CREATE TABLE receipt(
    id               INTEGER PRIMARY KEY,
    receipt_id       BLOB NOT NULL UNIQUE, -- 16 bytes, sorts by time
    raw_event        INTEGER NOT NULL,
    body             INTEGER NOT NULL,
    content          BLOB NOT NULL,        -- 16 bytes of SHA-256 over the canonical content
    taken_at         INTEGER NOT NULL,
    sold_at          INTEGER NOT NULL,
    source           TEXT NOT NULL,
    till             TEXT NOT NULL,        -- the till as its key names it
    workstation_id   TEXT NOT NULL,
    unit_id          TEXT NOT NULL,
    transaction_id   TEXT NOT NULL,
    transaction_type TEXT NOT NULL,
    receipt_number   TEXT NOT NULL,
    total            INTEGER NOT NULL,     -- minor units
    currency         TEXT NOT NULL,
    last4            TEXT NOT NULL DEFAULT '',
    no_message       TEXT NOT NULL DEFAULT '' -- why no message was made: declined, no_contact, …
) STRICT;
CREATE INDEX receipt_transaction ON receipt(transaction_id);
CREATE INDEX receipt_number ON receipt(receipt_number);

-- Who bought, apart from the document, so that it can go without touching it.
CREATE TABLE buyer(
    receipt INTEGER PRIMARY KEY REFERENCES receipt(id),
    name    TEXT NOT NULL DEFAULT '',
    email   TEXT NOT NULL DEFAULT '',
    phone   TEXT NOT NULL DEFAULT '',
    email48 INTEGER,                  -- 48 bits of SHA-256 over the normalised address
    phone48 INTEGER,
    shelf   INTEGER NOT NULL          -- of so many receipts: a search looks at each, an insert at the last
) STRICT;
CREATE INDEX buyer_email ON buyer(shelf, email48) WHERE email48 IS NOT NULL;
CREATE INDEX buyer_phone ON buyer(shelf, phone48) WHERE phone48 IS NOT NULL;

-- The vendor's ids of a sale, where it has some: by them a second sighting is known.
CREATE TABLE native(
    id      TEXT NOT NULL,
    receipt INTEGER NOT NULL REFERENCES receipt(id),
    PRIMARY KEY(id, receipt)
) STRICT, WITHOUT ROWID;
CREATE INDEX native_receipt ON native(receipt);

-- Another sighting of a sale that is there already: from another source, or told again by its own.
CREATE TABLE sighting(
    receipt    INTEGER NOT NULL REFERENCES receipt(id),
    raw_event  INTEGER NOT NULL,
    receipt_id BLOB NOT NULL,             -- the id that was given to it: it leads to the one document
    source     TEXT NOT NULL,
    at         INTEGER NOT NULL,
    total      INTEGER NOT NULL,
    content    BLOB NOT NULL,             -- as in receipt
    note       TEXT NOT NULL DEFAULT '',  -- total_differs, filled, late
    PRIMARY KEY(receipt, raw_event)
) STRICT, WITHOUT ROWID;
CREATE INDEX sighting_receipt_id ON sighting(receipt_id);
CREATE INDEX sighting_raw_event ON sighting(raw_event);

-- A person known to the shop, with what they prefer.
CREATE TABLE contact(
    id         INTEGER PRIMARY KEY,
    contact_id TEXT NOT NULL UNIQUE,
    name       TEXT NOT NULL DEFAULT '',
    email      TEXT NOT NULL DEFAULT '',
    phone      TEXT NOT NULL DEFAULT '',
    push_token TEXT NOT NULL DEFAULT '',
    language   TEXT NOT NULL DEFAULT '',
    timezone   TEXT NOT NULL DEFAULT '', -- IANA name
    region     TEXT NOT NULL DEFAULT '', -- ISO 3166, as US or US-NY
    preference TEXT NOT NULL DEFAULT '', -- channels in order, parted by blanks
    no_sharing INTEGER NOT NULL DEFAULT 0, -- not to be sold or shared
    changed_at INTEGER NOT NULL
) STRICT;
CREATE INDEX contact_email ON contact(email) WHERE email <> '';
CREATE INDEX contact_phone ON contact(phone) WHERE phone <> '';

-- What a person allowed or forbade, entry by entry; the one that came last counts.
CREATE TABLE consent(
    id       INTEGER PRIMARY KEY,
    channel  TEXT NOT NULL,
    address  TEXT NOT NULL,            -- normalised
    purpose  TEXT NOT NULL,            -- marketing, receipts
    state    TEXT NOT NULL,            -- soft, express, written, denied, revoked
    at       INTEGER NOT NULL,
    method   TEXT NOT NULL DEFAULT '', -- till, cashier, form, keyword, import, crm, …
    till     TEXT NOT NULL DEFAULT '',
    actor    TEXT NOT NULL DEFAULT '',
    wording  TEXT NOT NULL DEFAULT '', -- version of the words that were agreed to
    origin   TEXT NOT NULL DEFAULT ''  -- the event that told it
) STRICT;
CREATE INDEX consent_address ON consent(channel, address, purpose, id);

-- Addresses of people who asked to be forgotten, as keyed hashes.
CREATE TABLE erased(
    hash BLOB PRIMARY KEY,
    at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Soft bounces of an address, until there are enough of them.
CREATE TABLE soft_bounce(
    channel TEXT NOT NULL,
    address TEXT NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY(channel, address, at)
) STRICT, WITHOUT ROWID;

-- "This document must reach this audience once."
CREATE TABLE message(
    id       INTEGER PRIMARY KEY,
    receipt  INTEGER REFERENCES receipt(id), -- NULL: it is about something else
    body     INTEGER,    -- the document, where it is not the receipt's
    kind     TEXT NOT NULL,
    audience TEXT NOT NULL,
    slot     TEXT NOT NULL DEFAULT '',
    intent   BLOB NOT NULL,            -- 16 bytes: the receipt's time, and a hash of the four columns above
    made_at  INTEGER NOT NULL,
    sold_at  INTEGER NOT NULL,
    fresh    INTEGER NOT NULL,         -- the customer may still have been in the shop
    test     INTEGER NOT NULL DEFAULT 0, -- to the test inbox only
    language TEXT NOT NULL DEFAULT '',
    actor    TEXT NOT NULL DEFAULT '', -- who asked for it
    chain    TEXT NOT NULL DEFAULT '', -- further steps as JSON: [{channel, address}]
    why      TEXT NOT NULL DEFAULT '', -- the decision: `channel=result@origin`, parted by blanks
    route    TEXT NOT NULL DEFAULT '', -- the rule that made it; empty: the built-in one of its kind
    thread   TEXT NOT NULL DEFAULT '', -- order, return or the like: its messages leave in order
    campaign TEXT NOT NULL DEFAULT '',
    zone     TEXT NOT NULL DEFAULT '', -- time zone of the recipient, where it is known
    region   TEXT NOT NULL DEFAULT '', -- the same for ISO 3166
    UNIQUE(receipt, kind, audience, slot)
) STRICT;
CREATE UNIQUE INDEX message_other ON message(kind, audience, slot) WHERE receipt IS NULL;
CREATE INDEX message_intent ON message(intent) WHERE receipt IS NULL;
CREATE INDEX message_body ON message(body) WHERE body IS NOT NULL;
CREATE INDEX message_thread ON message(thread) WHERE thread <> '';
CREATE INDEX message_campaign ON message(campaign) WHERE campaign <> '';

CREATE TABLE delivery(
    id           INTEGER PRIMARY KEY,  -- message * 16 + step: one step of a message is there once
    message      INTEGER NOT NULL,
    step         INTEGER NOT NULL,     -- ordinal in the chain, from 1
    channel      TEXT NOT NULL,
    address      TEXT NOT NULL,
    state        TEXT NOT NULL,
    reason       TEXT NOT NULL DEFAULT '',
    priority     INTEGER NOT NULL,
    due          INTEGER NOT NULL,
    expires      INTEGER NOT NULL,
    tries        INTEGER NOT NULL DEFAULT 0, -- attempts that began
    counted      INTEGER NOT NULL DEFAULT 0, -- those that count against the limit
    ordinal      INTEGER NOT NULL DEFAULT 0, -- of the provider, in the channel's list
    here         INTEGER NOT NULL DEFAULT 0, -- counted attempts at this provider since it was chosen
    here_since   INTEGER,                    -- online time when it was first tried here
    online_since INTEGER,                    -- online time when the channel was first tried
    provider     TEXT NOT NULL DEFAULT '',   -- of the last attempt
    began_at     INTEGER,                    -- of the last attempt
    ended_at     INTEGER,                    -- when it reached the state it is in
    content      INTEGER,
    composed_at  INTEGER,
    seen_at      INTEGER                     -- the recipient opened it or followed a link
) STRICT;
CREATE INDEX delivery_due ON delivery(channel, priority, due) WHERE state IN ('ready', 'retry');
CREATE INDEX delivery_offer ON delivery(address, channel) WHERE priority = 6;
CREATE INDEX delivery_open ON delivery(state, id) WHERE state IN ('sending', 'held', 'uncertain', 'dead');

CREATE TABLE attempt(
    delivery    INTEGER NOT NULL REFERENCES delivery(id),
    n           INTEGER NOT NULL,
    provider    TEXT NOT NULL,
    began_at    INTEGER NOT NULL,
    ended_at    INTEGER NOT NULL,
    class       TEXT NOT NULL,
    scope       TEXT NOT NULL,
    detail      TEXT NOT NULL,
    provider_id TEXT,
    PRIMARY KEY(delivery, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE suppression(
    channel TEXT NOT NULL,
    address TEXT NOT NULL,
    reason  TEXT NOT NULL,
    at      INTEGER NOT NULL,
    origin  TEXT NOT NULL DEFAULT '', -- what it was learned from
    PRIMARY KEY(channel, address)
) STRICT, WITHOUT ROWID;

-- What is or was wrong: people hear of each once, and once of its end.
CREATE TABLE incident(
    id          INTEGER PRIMARY KEY,
    alert       TEXT NOT NULL,            -- auth, provider_down, offline, dead_letter, …
    object      TEXT NOT NULL DEFAULT '', -- the provider or the like
    raised_at   INTEGER NOT NULL,
    resolved_at INTEGER,
    told        INTEGER NOT NULL DEFAULT 0 -- 0 of nothing, 1 that it is there, 2 that it is over
) STRICT;
CREATE INDEX incident_open ON incident(alert, object) WHERE resolved_at IS NULL;
CREATE INDEX incident_untold ON incident(id) WHERE told < 2;

-- A message to many.
CREATE TABLE campaign(
    id          TEXT PRIMARY KEY,
    channel     TEXT NOT NULL,
    template    TEXT NOT NULL DEFAULT '',
    state       TEXT NOT NULL,            -- planned, running, paused, finished, cancelled, refused
    reason      TEXT NOT NULL DEFAULT '',
    matched     INTEGER NOT NULL DEFAULT 0,
    planned     INTEGER NOT NULL DEFAULT 0,
    skipped     TEXT NOT NULL DEFAULT '', -- JSON: [{contact, reason}]
    changed_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What a person did to a receipt or a delivery.
CREATE TABLE audit(
    seq    INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    actor  TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    detail TEXT NOT NULL DEFAULT ''
) STRICT;

-- How many deliveries reached an ended state in each hour, less those that left it again.
CREATE TABLE rollup(
    hour INTEGER NOT NULL,
    word TEXT NOT NULL,
    n    INTEGER NOT NULL,
    PRIMARY KEY(hour, word)
) STRICT, WITHOUT ROWID;

-- Small things that must outlive a restart.
CREATE TABLE fact(
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_object ON audit(object);
