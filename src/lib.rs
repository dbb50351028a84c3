//! Tillpost, the receipt outbox for shops: keeps every sale, sends every receipt, online or not.
//!
//! ```text
//!   sales come in                       one file on disk                        messages go out
//!
//!  POS webhooks ──┐                  ┌────────────────────┐                  ┌── e-mail
//!  LAN HTTP ──────┤    raw event     │       store        │   due delivery   ├── SMS
//!  taps ──────────┼──► sources ────► │  inbox  →  outbox  │ ──► dispatch ──► ├── chat          providers
//!  callbacks ─────┤  commit, then    │    │         ▲     │ ◄── outcome ───  ├── CRM, tickets
//!  cashier ───────┘  acknowledge     │    ▼         │     │                  └── push, webhook
//!                                    │ decode → decide    │
//!                                    │  (pure functions)  │
//!                                    └────────────────────┘
//!
//!  web: LAN page and API · observe: logs, metrics, story of a receipt · app: wires it all
//! ```
//!
//! Six one-way steps: **keep** (source → inbox: commit the raw bytes, then acknowledge), **decode**,
//! **decide** (who gets what, by which way), **compose** (just before sending), **send** (the provider is
//! chosen here), **record** (attempt, next state, next due time). Steps hand over through the store only;
//! channels in memory carry wake-ups.
//!
//! # The promise
//! A sale answered with 200 is on disk and survives kill -9 and power cuts, as far as the disk keeps what
//! it said it had synced. A message to a customer is repeated by itself only where the earlier attempt
//! certainly did not arrive or the provider drops the repeat; where nobody can know, it is held and shown
//! to a person: it may have arrived or not. Messages to staff and systems may come twice, never silently
//! not at all.
//!
//! # Invariants
//! 1. Nothing is acknowledged before its transaction is durable.
//! 2. kill -9 anywhere loses wake-ups, nothing else.
//! 3. Only `store` contains SQL; only `sources/*` knows a POS wire, only `providers/*` a provider wire.
//! 4. `domain`, decoding, deciding, composing, request building and classification do no I/O, read no clock
//!    and draw no randomness.
//! 5. One thread owns the write connection and the checkpoints.
//! 6. A delivery in flight has its attempt committed before its first byte leaves. After a crash it is
//!    uncertain: never forgotten, never blindly repeated.
//! 7. Every outside call has a time limit, a size cap and a classified outcome; every queue, body, cache
//!    and retry has a limit and a stated behaviour at it.
//! 8. Being offline costs no attempts. A wrong or jumping clock loses nothing and sends nothing twice.
//! 9. Secrets and personal data never reach logs, metrics, errors or URLs that we make.
//! 10. Only `app` wires. Only the supervisor spawns.
//! 11. The agent always starts: damage is set aside and shown.
//! 12. Time, randomness and network reach the core through interfaces, so that a week in a shop can be
//!     simulated in seconds from a seed.

#![forbid(unsafe_code)]

pub mod app;
pub mod cli;
pub mod compose;
pub mod config;
pub mod dispatch;
pub mod domain;
pub mod http;
pub mod observe;
pub mod pipeline;
pub mod printer;
pub mod providers;
pub mod simulate;
pub mod sources;
pub mod store;
pub mod sys;
pub mod web;
