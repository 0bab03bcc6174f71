//! `compile --certificates` and `verify`: the code that belongs to a certificate.

use std::fs;

use crate::{convoke, folder, text};

#[test]
fn code_is_stated_and_checked() {
    let folder = folder();
    let at = |name: &str| text(&folder.path().join(name));
    let (object, why) = (at("blur.o"), at("why"));
    let args =
        ["compile", &at("blur.conv"), "-o", &object, "-o", &at("blur.h"), "--cpu", "x86-64", "--certificates", &why];
    let compiled = convoke(&args);
    assert_eq!(compiled.status, 0, "{}", compiled.stderr);
    let holds = convoke(&["verify", &why]);
    assert_eq!(holds.status, 0, "{}", holds.stderr);
    assert!(holds.stdout.contains("blur.o") && holds.stdout.contains("--code checks it"), "{}", holds.stdout);
    assert!(!holds.stdout.contains("blur.h"), "a header is no code: {}", holds.stdout);
    let holds = convoke(&["verify", &why, "--code", &object]);
    assert_eq!(holds.status, 0, "{}", holds.stderr);
    assert_eq!(holds.stdout.matches("blur.o").count(), 1, "{}", holds.stdout);
    assert!(holds.stdout.contains("the code that was written with this certificate"), "{}", holds.stdout);

    let mut bytes = fs::read(&object).expect("an object");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&object, &bytes).expect("it can be written");
    let refused = convoke(&["verify", &why, "--code", &object]);
    assert_eq!(refused.status, 1, "{}", refused.stdout);
    assert!(refused.stderr.contains("does not hold: blur.o: its hash is "), "{}", refused.stderr);
    let refused = convoke(&["verify", &why, "--code", &at("other.o")]);
    assert_eq!(refused.status, 1, "{}", refused.stdout);
    assert!(refused.stderr.contains("--code names a file of code"), "{}", refused.stderr);
}
