    use super::*;
    use crate::domain::time::UnixMs;
    use crate::sys::clock::Mono;
    use serde_json::{Value, json};
    use std::time::Duration;

    fn sale(customer: Value) -> Sale {
        let json = json!({"schema": "tillpost.sale/1", "transaction_type": "sale", "transaction_id": "t", "receipt_number": "1",
            "receipt_date_time": "2026-10-03T18:00:00Z", "business_unit": {"unit_id": "1"}, "currency_code": "USD", "tax_included": true,
            "line_items": [{"description": "Tea", "quantity": "1", "extended_amount": 300}], "tenders": [], "totals": {"grand_amount": 300},
            "customer": customer});
        Sale::parse(&json).unwrap()
    }

    fn rules() -> Routing {
        Routing {
            fresh: Duration::from_secs(1800),
            retry: vec![Duration::from_secs(5)],
            max_attempts: 20,
            failover_attempts: 3,
            failover_after: Duration::from_secs(600),
            fallback_after: Duration::from_secs(7200),
            uncertain_wait: Duration::from_secs(900),
            reconnect_wait: Duration::ZERO,
            reconnect_ramp: Duration::ZERO,
            drain_oldest: true,
            channels: vec![Channel::Email, Channel::Sms, Channel::Whatsapp, Channel::Push],
        }
    }

    struct Case {
        customer: Value,
        receipts: Receipts,
        contact: Option<Contact>,
        suppressed: &'static [&'static str],
        minutes_old: u64,
    }

    impl Default for Case {
        fn default() -> Self {
            Case { customer: json!({}), receipts: Receipts::Always, contact: None, suppressed: &[], minutes_old: 1 }
        }
    }

    fn decide(case: &Case) -> Decision {
        let sale = sale(case.customer.clone());
        let suppressed = |_: Channel, address: &str| case.suppressed.contains(&address).then(|| "hard_bounce".to_owned());
        document(&Facts {
            sale: &sale,
            receipts: case.receipts,
            contact: case.contact.as_ref(),
            configured: &[Channel::Email, Channel::Sms],
            suppressed: &suppressed,
            rules: &rules(),
            country: "US",
            now: Now { wall: sale.at + Duration::from_secs(60 * case.minutes_old), mono: Mono(0), good: true },
        })
    }

    #[track_caller]
    fn check(case: Case, chain: &[(Channel, &str)], no_message: &str) {
        let decision = decide(&case);
        let got: Vec<(Channel, &str)> = decision.chain.iter().map(|w| (w.channel, w.address.as_str())).collect();
        assert_eq!((got.as_slice(), decision.no_message), (chain, no_message), "{:?}", decision.considered);
    }

    const LEE: &str = "lee@example.org";
    const TEL: &str = "+16075550100";

    #[test]
    fn the_shops_order_holds_without_a_choice() {
        check(
            Case { customer: json!({"phone": "607 555 0100", "email": " Lee@Example.org"}), ..Case::default() },
            &[(Channel::Email, LEE), (Channel::Sms, TEL)],
            "",
        );
    }

    #[test]
    fn the_choice_at_the_sale_goes_first_and_the_rest_is_fallback() {
        let customer = json!({"phone": TEL, "email": LEE, "preferred_channel": "sms"});
        check(Case { customer, ..Case::default() }, &[(Channel::Sms, TEL), (Channel::Email, LEE)], "");
    }

    #[test]
    fn paper_is_an_answer() {
        for word in ["paper", "none"] {
            check(Case { customer: json!({"email": LEE, "preferred_channel": word}), ..Case::default() }, &[], "declined");
        }
    }

    #[test]
    fn a_known_person_is_reached_as_preferred() {
        let contact =
            Contact { phone: TEL.into(), email: LEE.into(), preference: vec!["sms".into(), "email".into()], ..Contact::default() };
        check(Case { contact: Some(contact.clone()), ..Case::default() }, &[(Channel::Sms, TEL), (Channel::Email, LEE)], "");
        let none = Contact { preference: vec!["none".into()], ..contact };
        check(Case { contact: Some(none), ..Case::default() }, &[], "declined");
    }

    #[test]
    fn nobody_to_write_to() {
        check(Case::default(), &[], "no_contact");
        check(Case { customer: json!({"email": "not an address"}), ..Case::default() }, &[], "undeliverable");
        check(Case { customer: json!({"email": LEE}), suppressed: &[LEE], ..Case::default() }, &[], "undeliverable");
    }

    #[test]
    fn a_suppressed_address_gives_way_to_the_next_channel() {
        let case = Case { customer: json!({"email": LEE, "phone": TEL}), suppressed: &[LEE], ..Case::default() };
        let decision = decide(&case);
        assert_eq!(decision.considered[0].result, "suppressed:hard_bounce");
        check(case, &[(Channel::Sms, TEL)], "");
    }

    #[test]
    fn what_the_till_wants() {
        let with = |receipts, customer: Value| Case { receipts, customer, ..Case::default() };
        let asked = json!({"email": LEE, "preferred_channel": "email"});
        check(with(Receipts::Never, asked.clone()), &[], "declined");
        check(with(Receipts::OnRequest, json!({"email": LEE})), &[], "declined");
        check(with(Receipts::OnRequest, asked.clone()), &[(Channel::Email, LEE)], "");
        check(with(Receipts::Registered, json!({"email": LEE})), &[], "declined");
        check(with(Receipts::Registered, asked), &[(Channel::Email, LEE)], "");
    }

    #[test]
    fn fresh_or_stale() {
        assert!(decide(&Case { minutes_old: 30, ..Case::default() }).fresh);
        assert!(!decide(&Case { minutes_old: 31, ..Case::default() }).fresh);
        assert_eq!(UnixMs(0).since(UnixMs(1)), Duration::ZERO);
    }
