//! The shop and its look, as receipts show them.

/// Who sells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shop {
    /// Short id, unique among the shops of one company.
    pub id: String,
    /// As customers know it.
    pub name: String,
    /// As it stands on documents, where it differs.
    pub legal_name: String,
    /// Postal address; lines parted by `\n`.
    pub address: String,
    /// For people, as written.
    pub phone: String,
    /// For people.
    pub email: String,
    /// VAT or sales-tax id.
    pub tax_id: String,
    /// ISO 3166, two letters.
    pub country: String,
    /// ISO 3166-2, e.g. `US-NY`; may be empty.
    pub region: String,
    /// IANA name; checked to exist.
    pub timezone: String,
    /// BCP 47, e.g. `en-US`.
    pub locale: String,
    /// ISO 4217.
    pub currency: String,
    /// For people, as written.
    pub opening_hours: String,
}

impl Shop {
    /// ISO 3166 of the shop: the region where it is known, else the country.
    pub fn whereabouts(&self) -> &str {
        if self.region.is_empty() { &self.country } else { &self.region }
    }
}

/// `[brand]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brand {
    /// Main colour, `#rrggbb`.
    pub color: String,
    /// Lines at the foot of each receipt.
    pub legal: Vec<String>,
    /// Lines of the promotion block, for customers who agreed to offers.
    pub promotions: Vec<String>,
    /// The return policy in words.
    pub return_policy: String,
    /// How the shop shows on a card statement.
    pub statement_name: String,
    /// Label and URL.
    pub links: Vec<(String, String)>,
}
