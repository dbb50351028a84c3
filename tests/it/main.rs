//! The integration tests: one program, so that it links once.
//!
//! Each proves a sentence of the promise from the outside: a real agent over sockets ([`spine`],
//! [`crash`], [`stop`]), the real store over a disk that loses its power ([`power`]), the real core over
//! a virtual shop ([`simulate`]), the pages ([`pages`]), printer streams ([`printer`]), taps on printers ([`taps`], [`taps_serial`]), README's tour ([`readme`]), and the rules of the code itself ([`house`]).

#![allow(clippy::disallowed_methods)] // tests read the clock and start threads
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails
#![allow(clippy::indexing_slicing, clippy::string_slice)] // the same

mod agent;
mod any_day;
mod backtest;
mod callbacks;
mod crash;
mod hooks;
mod house;
mod inside;
mod links;
mod pages;
mod power;
mod printer;
mod readme;
mod reload;
mod scenarios;
mod simulate;
mod sink;
mod smtp;
mod spine;
mod spine_cli;
mod stop;
mod stub;
mod suppress;
mod taps;
mod taps_serial;
mod vendor;
mod vfs;
