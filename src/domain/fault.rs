//! Faults: what is wrong with something that came from outside, said so that a person can mend it.

use serde::Serialize;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// JSON pointer (RFC 6901) to the member; empty for the whole document.
    pub pointer: String,
    /// Stable word for programs.
    pub code: &'static str,
    /// What was given, shortened; absent where nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given: Option<String>,
    /// What would be right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<String>,
    /// One sentence for people.
    pub message: String,
}

impl Fault {
    /// A fault with neither `given` nor `allowed`.
    pub fn new(pointer: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Fault { pointer: pointer.into(), code, given: None, allowed: None, message: message.into() }
    }

    /// With what was given, cut to 60 characters.
    pub fn given(mut self, given: impl ToString) -> Self {
        let text = given.to_string();
        let cut: String = text.chars().take(60).collect();
        self.given = Some(if cut.len() < text.len() { format!("{cut}…") } else { cut });
        self
    }

    /// With what would be right.
    pub fn allowed(mut self, allowed: impl Into<String>) -> Self {
        self.allowed = Some(allowed.into());
        self
    }
}
