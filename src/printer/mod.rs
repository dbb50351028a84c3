//! Printer languages become pages, and pages become text, pictures and fields.
//!
//! ```text
//!  bytes ─► lex ─► act ─► press ─► job ─► page ─► text, PNG, HTML
//!        (escpos, star)                      └──► kind, profile, fields ─► sale
//! ```
//!
//! [`Decoder`] takes the copy of a stream as it comes and gives [`Job`]s; [`Decoder::deadline`] says when
//! [`Decoder::tick`] must look at the clock, [`Decoder::lost`] is told what the copy missed.
//! [`fields::read`] reads a job, [`sale::sale`] makes a sale of it or says why it is none. Everything here is a pure function
//! of bytes and times: no clock, no disk, no network, and nothing from outside can make it fail, wait or
//! grow without bound. It never answers a till and never speaks to a printer.

mod act_escpos;
mod act_star;
mod charset;
mod escpos;
pub mod fields;
pub mod html;
mod job;
pub mod kind;
mod lex;
pub mod mask;
pub mod page;
pub mod paint;
mod png;
mod press;
pub mod profile;
pub mod report;
pub mod sale;
mod star;
pub mod symbol;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_fields;
#[cfg(test)]
mod tests_jobs;
pub mod values;

pub use charset::{Multibyte, Table};
pub use job::{Boundary, Decoder, Job, Rule, Settings, decode};
pub use lex::{Command, Dialect, Lexer, Sink, Token};
pub use press::Notes;
