//! What the machine gives: clock, randomness, durable files, disk space, tasks.
//!
//! All time, randomness and spawning of the program pass through here, so that the core can be
//! driven from a seed. Knows nothing of sales, messages or providers.

pub mod clock;
pub mod device_key;
pub mod disk;
pub mod durable;
pub mod heavy;
pub mod random;
pub mod supervisor;
