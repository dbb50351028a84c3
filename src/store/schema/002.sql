-- What comes from sources: more of a raw event than its bytes, and what has to be asked for it.

CREATE TABLE arrival(
    raw_event INTEGER PRIMARY KEY,
    headers   TEXT NOT NULL DEFAULT '', -- JSON [[name, value]]: those that say what it is, no key and no signature
    due       INTEGER,                  -- when it is to be decoded next; NULL: nothing is to be done
    tries     INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX arrival_due ON arrival(due) WHERE due IS NOT NULL;

-- A question to a vendor's API, written with the decoding that needs it. Answers go once nothing waits for them.
CREATE TABLE lookup(
    id        INTEGER PRIMARY KEY,
    raw_event INTEGER NOT NULL,
    source    TEXT NOT NULL,
    key       TEXT NOT NULL,            -- the same question of one raw event has the same key
    need      TEXT NOT NULL,            -- lookup: the sale waits for it, enrich: it adds to the receipt
    path      TEXT NOT NULL,
    headers   TEXT NOT NULL DEFAULT '', -- JSON [[name, value]]
    asked_at  INTEGER NOT NULL,         -- when the raw event came
    state     TEXT NOT NULL,            -- open, found, absent
    due       INTEGER,                  -- NULL: not open any more
    tries     INTEGER NOT NULL DEFAULT 0,
    answer    INTEGER                   -- body
) STRICT;
CREATE INDEX lookup_of ON lookup(raw_event, key);
CREATE INDEX lookup_due ON lookup(source, due) WHERE due IS NOT NULL;

-- The newest state that a source told of one business key.
CREATE TABLE told(
    source       TEXT NOT NULL,
    business_key TEXT NOT NULL,
    at           INTEGER NOT NULL,
    version      INTEGER NOT NULL,      -- 0: unknown
    PRIMARY KEY(source, business_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX told_at ON told(at);
