//! Money: whole minor units of a currency. No binary floating point, ever.

use std::fmt;

/// A currency by its ISO 4217 code; any three capital letters, as a till may know one that we do not.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// A unit of account with four digits (Chile's UF): stands in where a faulty code is reported, so
    /// that amounts are still checked.
    pub const FOUR_DIGITS: Currency = Currency(*b"CLF");

    /// From three capital letters.
    pub fn parse(code: &str) -> Option<Currency> {
        let bytes: [u8; 3] = code.as_bytes().try_into().ok()?;
        bytes.iter().all(u8::is_ascii_uppercase).then_some(Currency(bytes))
    }

    /// The code.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }

    /// Digits after the decimal point (ISO 4217): 0 for the yen, 3 for the Kuwaiti dinar, mostly 2.
    pub fn digits(&self) -> u32 {
        match self.code() {
            "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND" | "VUV" | "XAF"
            | "XOF" | "XPF" => 0,
            "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
            "CLF" | "UYW" => 4,
            _ => 2,
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount in minor units: 1299 of USD is 12.99 dollars, 1080 of JPY is 1080 yen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    /// Minor units; negative where money flows the other way.
    pub minor: i64,
    /// Of what.
    pub currency: Currency,
}

impl Money {
    /// `12.99`, `1080`, `-0.50`: decimal text in major units with the currency's digits.
    pub fn decimal(&self) -> String {
        let digits = self.currency.digits() as usize;
        let all = format!("{:0>width$}", self.minor.unsigned_abs(), width = digits + 1);
        let (whole, fraction) = all.split_at(all.len() - digits);
        let sign = if self.minor < 0 { "-" } else { "" };
        if digits == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    }
}

/// `12.99 USD`: unambiguous, for logs, the command line and the API. Receipts format by locale.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.decimal(), self.currency)
    }
}

/// Why a text is no amount of the currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotMoney {
    /// Not `123` or `123.45`.
    Form,
    /// More digits after the point than the currency has.
    TooManyDigits,
    /// More than 12 digits before the point.
    TooLarge,
}

/// Reads decimal major units exactly: `"10.99"` of USD is 1099, `"1080"` of JPY is 1080. Digits that
/// the currency does not have are refused, also zeros, as they would hide a mistake of a factor.
pub fn parse_decimal(text: &str, currency: Currency) -> Result<i64, NotMoney> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let number = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !number(whole) || (digits.contains('.') && !number(fraction)) {
        return Err(NotMoney::Form);
    }
    let places = currency.digits() as usize;
    if fraction.len() > places {
        return Err(NotMoney::TooManyDigits);
    }
    if whole.len() > 12 {
        return Err(NotMoney::TooLarge);
    }
    let minor: i64 = format!("{whole}{fraction:0<places$}").parse().map_err(|_| NotMoney::TooLarge)?;
    Ok(if negative { -minor } else { minor })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn c(code: &str) -> Currency {
        Currency::parse(code).unwrap()
    }

    #[test]
    fn currencies_of_0_2_3_digits() {
        for (minor, code, text) in [
            (1299, "USD", "12.99"),
            (5, "USD", "0.05"),
            (-50, "EUR", "-0.50"),
            (1080, "JPY", "1080"),
            (0, "JPY", "0"),
            (1234, "KWD", "1.234"),
            (-7, "KWD", "-0.007"),
        ] {
            let money = Money { minor, currency: c(code) };
            assert_eq!(money.decimal(), text);
            assert_eq!(parse_decimal(text, money.currency), Ok(minor), "{text}");
        }
        assert_eq!(Money { minor: 1299, currency: c("USD") }.to_string(), "12.99 USD");
    }

    #[test]
    fn what_is_no_money() {
        for (text, code, why) in [
            ("1,200", "USD", NotMoney::Form),
            ("1.", "USD", NotMoney::Form),
            (".5", "USD", NotMoney::Form),
            ("1e3", "USD", NotMoney::Form),
            ("", "USD", NotMoney::Form),
            ("-", "USD", NotMoney::Form),
            ("+1", "USD", NotMoney::Form),
            ("--1", "USD", NotMoney::Form),
            ("1.999", "USD", NotMoney::TooManyDigits),
            ("1.0", "JPY", NotMoney::TooManyDigits),
            ("1234567890123", "USD", NotMoney::TooLarge),
        ] {
            assert_eq!(parse_decimal(text, c(code)), Err(why), "{text}");
        }
        assert_eq!(Currency::parse("usd"), None);
        assert_eq!(Currency::parse("EURO"), None);
    }

    proptest! {
        #[test]
        fn decimal_reads_back(minor in -999_999_999_999i64..=999_999_999_999, code in "USD|JPY|KWD|CLF") {
            let money = Money { minor, currency: c(&code) };
            prop_assert_eq!(parse_decimal(&money.decimal(), money.currency), Ok(minor));
        }
    }
}
