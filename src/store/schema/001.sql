-- The first schema. Later ones only add, so that the release before can still run on the file:
-- no CHECK on lists of words (a word that a release does not know is left alone and shown), and no
-- new UNIQUE on old columns. Times are milliseconds since 1970 in UTC.
--
-- Each place that a commit touches costs a page of 4 KiB in the log, so what comes together is written
-- together: keys grow with time, and no index of the daily work is in the order of a hash.

CREATE TABLE body(
    id     INTEGER PRIMARY KEY,
    key_id TEXT NOT NULL DEFAULT '',  -- the key that sealed it; empty: not sealed
    coding INTEGER NOT NULL,          -- 0 as it is, 1 deflate
    data   BLOB NOT NULL
) STRICT;

CREATE TABLE raw_event(
    seq     INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    source  TEXT NOT NULL,
    kind    TEXT NOT NULL,            -- sale, event, resend, contact
    subject TEXT NOT NULL DEFAULT '', -- the sender's id of it
    body    INTEGER NOT NULL REFERENCES body(id),
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
    body             INTEGER NOT NULL REFERENCES body(id),
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

-- A person known to the shop, with what they prefer.
CREATE TABLE contact(
    id         INTEGER PRIMARY KEY,
    contact_id TEXT NOT NULL UNIQUE,
    name       TEXT NOT NULL DEFAULT '',
    email      TEXT NOT NULL DEFAULT '',
    phone      TEXT NOT NULL DEFAULT '',
    language   TEXT NOT NULL DEFAULT '',
    preference TEXT NOT NULL DEFAULT '', -- channels in order, parted by blanks
    changed_at INTEGER NOT NULL
) STRICT;

-- "This document must reach this audience once."
CREATE TABLE message(
    id       INTEGER PRIMARY KEY,
    receipt  INTEGER NOT NULL REFERENCES receipt(id),
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
    why      TEXT NOT NULL DEFAULT '', -- the decision as JSON: [{channel, reason}]
    UNIQUE(receipt, kind, audience, slot)
) STRICT;

CREATE TABLE delivery(
    id           INTEGER PRIMARY KEY,  -- message * 16 + step: one step of a message is there once
    message      INTEGER NOT NULL REFERENCES message(id),
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
    content      INTEGER REFERENCES body(id),
    composed_at  INTEGER
) STRICT;
CREATE INDEX delivery_due ON delivery(channel, priority, due) WHERE state IN ('ready', 'retry');
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
