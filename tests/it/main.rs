//! The integration tests: one program, so that it links once.

#[cfg(test)]
mod agent;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod smtp;

fn main() {}
