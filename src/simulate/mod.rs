//! A shop in a file: the real core over virtual time, line and providers, from a seed, in an instant.
//!
//! Everything runs on one thread: writer, pipeline and dispatch are stepped, the world around them is
//! played from the scenario. No real clock, no network, no disk that is synced; the same file and seed give
//! the same output, byte for byte. The [`oracle`] keeps its own books and names every broken promise.

mod acts;
mod answers;
mod oracle;
mod report;
mod scenario;
mod world;

pub use scenario::ScenarioError;

use crate::config::Kinds;
use serde_json::Value;

/// Plays a scenario and gives what the contract's section on `simulate` names.
///
/// # Errors
/// What in the scenario cannot be read.
pub fn run(scenario: &Value, kinds: &Kinds, seed: u64, folder: &std::path::Path) -> Result<Value, ScenarioError> {
    let scenario = scenario::Scenario::parse(scenario, kinds)?;
    let mut world = world::World::new(scenario, seed, folder)?;
    world.play()?;
    world.report()
}
