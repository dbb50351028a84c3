//! The command line, one file per noun: arguments in, words and an exit code out.

pub mod config;
pub mod init;
