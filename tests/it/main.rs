//! The integration tests: one program, so that it links once.

#[cfg(test)]
mod readme;
#[cfg(test)]
mod smtp;

fn main() {}
