//! Rules: expressions over an event, as a shop writes them in the config (`event.total > 10000`). Pure.
//!
//! An expression that cannot be evaluated is not true; that is told, never guessed around.

use minijinja::value::{Serde, Value};
use minijinja::{Environment, Expression};
use serde::Serialize;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// A checked expression.
#[derive(Clone)]
pub struct Rule {
    text: String,
    expression: Arc<Expression<'static, 'static>>,
}

/// One environment for all: expressions see only what they are given.
fn environment() -> &'static Environment<'static> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let mut env = Environment::new();
        env.set_fuel(Some(20_000));
        env.set_recursion_limit(50);
        env
    })
}

impl Rule {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Rule, String> {
        let expression = environment().compile_expression_owned(text.to_owned()).map_err(|e| {
            let detail = e.detail().map_or_else(|| e.kind().to_string(), str::to_owned);
            detail.trim().to_owned()
        })?;
        Ok(Rule { text: text.to_owned(), expression: Arc::new(expression) })
    }

    /// Whether it is true of what it is given.
    ///
    /// # Errors
    /// Why it could not be evaluated.
    pub fn holds(&self, over: &impl Serialize) -> Result<bool, String> {
        let value = self.expression.eval(Value::from(Serde(over))).map_err(|e| e.to_string())?;
        Ok(value.is_true())
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Rule) -> bool {
        self.text == other.text
    }
}

impl Eq for Rule {}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rule({})", self.text)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn expressions_over_an_event() {
        let event =
            json!({"type": "refund.processed", "data": {"total": 12.5, "customer": {"email": "lee@example.org"}}, "domain": "example.org"});
        for (text, holds) in [
            ("data.total > 10", true),
            ("data.total > 100", false),
            ("domain == 'example.org' and type is startingwith('refund')", true),
            ("data.customer.phone is defined", false),
            ("not data.customer.phone", true),
        ] {
            assert_eq!(Rule::parse(text).unwrap().holds(&event), Ok(holds), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for bad in ["", "a >", "a b", "{{ a }}"] {
            assert!(Rule::parse(bad).is_err(), "{bad}");
        }
        assert!(Rule::parse("a.b.c").unwrap().holds(&json!({})).is_err());
    }
}
