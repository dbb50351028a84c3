//! Time zones of North American telephone numbers, by area code. A code that lies in two zones stands in
//! that of most of its people. From the numbering plan's public assignments.

/// The IANA zone of a number in E.164, where its area code tells one.
pub fn zone(phone: &str) -> Option<&'static str> {
    let code = phone.strip_prefix("+1").and_then(|rest| rest.get(..3))?;
    ZONES.iter().find(|(_, codes)| codes.split(' ').any(|c| c == code)).map(|(zone, _)| *zone)
}

const ZONES: &[(&str, &str)] = &[
    (
        "America/New_York",
        "201 202 203 207 212 215 216 220 223 227 229 231 234 239 240 248 252 267 269 272 276 283 301 302 304 305 313 315 321 324 326 329 330 \
         332 336 339 347 351 352 363 380 386 401 404 407 410 412 413 419 423 434 436 440 443 445 470 472 475 478 484 502 508 513 516 517 518 540 \
         551 561 567 570 571 582 585 586 603 606 607 609 610 614 616 617 624 631 640 645 646 656 667 678 679 680 681 686 689 703 704 706 716 717 718 \
         724 727 728 732 734 740 743 754 757 762 770 771 772 774 781 786 802 803 804 810 813 814 821 826 828 835 838 839 843 845 848 854 856 857 859 \
         860 862 863 864 865 878 904 906 908 910 912 914 917 919 929 934 937 941 943 947 948 954 959 973 978 980 984 989",
    ),
    ("America/Indiana/Indianapolis", "260 317 463 574 765 812 930"),
    (
        "America/Chicago",
        "205 210 214 217 218 219 224 225 228 235 251 254 256 262 270 274 281 308 309 312 314 316 318 319 320 325 327 331 334 337 346 353 361 364 \
         402 405 409 414 417 430 432 447 448 457 464 469 479 501 504 507 512 515 531 534 539 557 563 572 573 580 601 605 608 612 615 618 620 621 629 630 636 641 651 \
         659 660 662 682 701 708 712 713 715 726 730 731 737 763 769 773 779 785 806 815 816 817 830 832 847 850 861 870 872 901 903 913 918 920 924 931 936 \
         938 940 945 952 956 972 975 979 985",
    ),
    ("America/Denver", "303 307 385 406 435 505 575 719 720 748 801 915 970 983"),
    ("America/Boise", "208 986"),
    ("America/Phoenix", "480 520 602 623 928"),
    (
        "America/Los_Angeles",
        "206 209 213 253 279 310 323 341 350 357 360 369 408 415 424 425 442 458 503 509 510 530 541 559 562 564 619 626 628 650 657 661 669 702 \
         707 714 725 738 747 760 775 805 818 820 831 837 840 858 909 916 925 949 951 971",
    ),
    ("America/Anchorage", "907"),
    ("Pacific/Honolulu", "808"),
    ("Pacific/Guam", "670 671"),
    ("Pacific/Pago_Pago", "684"),
    (
        "America/Toronto",
        "226 249 263 289 343 354 365 367 382 416 418 437 438 450 468 514 519 548 579 581 613 647 683 705 742 753 807 819 873 905",
    ),
    ("America/Winnipeg", "204 431 584"),
    ("America/Regina", "306 474 639"),
    ("America/Edmonton", "368 403 587 780 825 867"),
    ("America/Vancouver", "236 250 257 604 672 778"),
    ("America/Halifax", "428 506 782 902"),
    ("America/St_Johns", "709 879"),
    ("Atlantic/Bermuda", "441"),
    ("America/Nassau", "242"),
    ("America/Jamaica", "658 876"),
    ("America/Cayman", "345"),
    ("America/Grand_Turk", "649"),
    ("America/Santo_Domingo", "809 829 849"),
    ("America/Puerto_Rico", "246 264 268 284 340 473 664 721 758 767 784 787 868 869 939"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_and_their_zones() {
        for (phone, expected) in [
            ("+12125550101", Some("America/New_York")),
            ("+13105550101", Some("America/Los_Angeles")),
            ("+14165550101", Some("America/Toronto")),
            ("+18085550101", Some("Pacific/Honolulu")),
            ("+353861234567", None),
            ("+1800", None),
            ("", None),
        ] {
            assert_eq!(zone(phone), expected, "{phone}");
        }
    }

    #[test]
    fn every_code_stands_once_and_every_zone_exists() {
        let mut seen = BTreeSet::new();
        for (zone, codes) in ZONES {
            assert!(jiff::tz::TimeZone::get(zone).is_ok(), "{zone}");
            for code in codes.split(' ') {
                assert!(code.len() == 3 && code.bytes().all(|b| b.is_ascii_digit()), "{code}");
                assert!(seen.insert(code), "{code} twice");
            }
        }
        assert!(seen.len() > 400);
    }
}
