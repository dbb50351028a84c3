//! Colours: a shop's own, made legible on our backgrounds.
//!
//! Pure. Never shows a colour with less than 4.5:1 against what it stands on.

/// The card that a receipt is printed on, in light and dark.
pub const CARD: Rgb = Rgb(0xfd, 0xfd, 0xfc);
/// The card in the dark.
pub const CARD_DARK: Rgb = Rgb(0x1c, 0x20, 0x24);
/// What stands in for a colour that is none.
const FALLBACK: Rgb = Rgb(0x1f, 0x5f, 0x4b);
/// The least contrast of text (WCAG AA).
const LEAST: f64 = 4.5;

/// A colour of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rgb(u8, u8, u8);

impl Rgb {
    /// From `#rrggbb` or `#rgb`.
    pub fn parse(text: &str) -> Option<Rgb> {
        let hex = text.trim().strip_prefix('#')?;
        if !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let wide: String = if hex.len() == 3 { hex.chars().flat_map(|c| [c, c]).collect() } else { hex.to_owned() };
        let part = |at: usize| u8::from_str_radix(wide.get(at..at + 2)?, 16).ok();
        (wide.len() == 6).then_some(())?;
        Some(Rgb(part(0)?, part(2)?, part(4)?))
    }

    /// `#rrggbb`
    pub fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }

    /// Contrast between two colours, 1 to 21.
    pub fn contrast(self, other: Rgb) -> f64 {
        let (a, b) = (self.luminance(), other.luminance());
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    fn luminance(self) -> f64 {
        let linear = |v: u8| {
            let v = f64::from(v) / 255.0;
            if v <= 0.039_28 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2)
    }

    /// This colour, moved in steps towards `to` until it can be read on `ground`.
    fn legible(self, ground: Rgb, to: Rgb) -> Rgb {
        let mix = |a: u8, b: u8, step: u16| u8::try_from((u16::from(a) * (20 - step) + u16::from(b) * step) / 20).unwrap_or(b);
        (0..=20u16)
            .map(|step| Rgb(mix(self.0, to.0, step), mix(self.1, to.1, step), mix(self.2, to.2, step)))
            .find(|c| c.contrast(ground) >= LEAST)
            .unwrap_or(to)
    }
}

/// A shop's colour as it can be used: for text on the light card (and under white text), and for text
/// on the dark card (and under dark text).
pub fn brand(given: &str) -> (Rgb, Rgb) {
    let colour = Rgb::parse(given).unwrap_or(FALLBACK);
    (colour.legible(CARD, Rgb(0, 0, 0)), colour.legible(CARD_DARK, Rgb(255, 255, 255)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_colour_becomes_legible() {
        for given in ["#ffee00", "#ffffff", "#000000", "#1f5f4b", "#7fd1ff", "#f00", "red", "", "#12345", "#éé"] {
            let (light, dark) = brand(given);
            assert!(light.contrast(CARD) >= 4.5, "{given} {}", light.hex());
            assert!(dark.contrast(CARD_DARK) >= 4.5, "{given} {}", dark.hex());
        }
        assert_eq!(brand("#1f5f4b").0.hex(), "#1f5f4b", "a good colour stays");
    }
}
