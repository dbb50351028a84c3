//! Kinds for tests: one of each sort, like the real ones but small.

use crate::config::key::{Key, Kinds, Shape, TypeKeys, default, optional, required};
use crate::domain::channel::Channel;

const SMTP: &[Key] = &[
    required("host", Shape::Text, "Host."),
    default("port", Shape::Int(1, 65_535), "587", "Port."),
    default("tls", Shape::Word(&["implicit", "starttls", "none"]), "\"starttls\"", "Encryption."),
    optional("username", Shape::Text, "User."),
    optional("password", Shape::Secret, "Password."),
];

const SENDGRID: &[Key] = &[
    required("api_key", Shape::Secret, "Key."),
    optional("callback", Shape::Table(&[optional("public_key", Shape::Secret, "Key of its reports.")]), "Reports."),
    default("timeout", Shape::Duration, "\"10 s\"", "Its own default for a common key."),
];

const TWILIO: &[Key] = &[required("account_sid", Shape::Text, "Account."), required("auth_token", Shape::Secret, "Token.")];

const LAN: &[Key] = &[
    optional("tokens", Shape::Either(&[Shape::List(&Shape::Secret), Shape::Secret]), "Tokens."),
    optional("signing_secrets", Shape::List(&Shape::Secret), "Secrets."),
];

const fn kind(name: &'static str, channels: &'static [Channel], keys: &'static [Key], example: &'static str) -> TypeKeys {
    TypeKeys { name, doc: "A kind for tests.", channels, keys, example }
}

/// All of them.
pub fn kinds() -> Kinds {
    Kinds {
        sources: vec![kind("lan", &[], LAN, "tokens = [{ file = \"secrets/token\" }]")],
        providers: vec![
            kind("smtp", &[Channel::Email], SMTP, "host = \"smtp.example\"\nusername = \"me\"\npassword = { env = \"SMTP_PASSWORD\" }"),
            kind("sendgrid", &[Channel::Email], SENDGRID, "api_key = { env = \"K\" }"),
            kind("twilio", &[Channel::Sms], TWILIO, "account_sid = \"AC0\"\nauth_token = { env = \"T\" }"),
            kind("capture", Channel::ALL, &[], ""),
        ],
        check_source: None,
    }
}
