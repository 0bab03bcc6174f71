//! `--ieee`: the algorithms and passes that are left, the warnings without it, and the refusals.

use std::fs;

use super::{convoke, folder, text};

const NET: &str = "layer @net(%x: f32[1, 64, 56, 56]) -> f32[1, 64, 56, 56] {
  %w = const f32[64, 64, 3, 3] = normal(seed = 1, std = 0.05)
  %y = conv2d %x, %w { pads = [1, 1, 1, 1] }
  return %y
}
";

#[test]
fn explain_warns_of_an_algorithm_that_spreads_a_nan() {
    let folder = folder();
    let input = text(&folder.path().join("net.conv"));
    fs::write(&input, NET).expect("written");
    let explained = |more: &[&str]| {
        let result = convoke(&[&["explain", &input, "--cpu", "zen4", "--no-times"], more].concat());
        assert_eq!((result.status, result.stderr.as_str()), (0, ""));
        result.stdout
    };
    let propagation = |more: &[&str]| {
        let value: serde_json::Value = serde_json::from_str(&explained(&[more, &["--json"]].concat())).expect("JSON");
        value["convolutions"][0]["propagation"].as_str().map(String::from)
    };
    let [words, guarded] = [") spreads a NaN or an infinity", "of the weights, or from an overflow"];
    let warned = explained(&[]).replace("\n   ", "");
    assert!(warned.contains(&format!("{words} {guarded}")) && warned.contains("with --ieee it stays"), "{warned}");
    assert_eq!(propagation(&[]).as_deref(), Some("guarded_tile"));
    let warned = explained(&["--guard", "0"]).replace("\n   ", "");
    assert!(warned.contains(words) && !warned.contains(guarded), "{warned}");
    assert_eq!(propagation(&["--guard", "0"]).as_deref(), Some("tile"));
    let kept = explained(&["--ieee"]);
    assert!(!kept.contains("with --ieee"), "{kept}");
    assert!(kept.contains("over its tiles, which --ieee forbids\n"), "{kept}");
    assert_eq!(propagation(&["--ieee"]).as_deref(), Some("sum"));
}

#[test]
fn an_algorithm_or_a_pass_that_spreads_one_is_refused_by_every_command() {
    let folder = folder();
    let (input, out) = (text(&folder.path().join("net.conv")), text(&folder.path().join("net.o")));
    fs::write(&input, NET).expect("written");
    let named = text(&folder.path().join("named.conv"));
    fs::write(&named, NET.replace("pads =", "algorithm = winograd(4x4), pads =")).expect("written");
    for command in
        [vec!["opt"], vec!["run"], vec!["check"], vec!["explain"], vec!["bench"], vec!["compile", "-o", &out]]
    {
        for (file, more) in [(&input, &["--algorithm", "winograd(4x4)"][..]), (&named, &[])] {
            let result = convoke(&[&command[..], &[file, "--ieee"], more].concat());
            let message = "`%y`: winograd(4x4): spreads a NaN or an infinity of the weights, or from an overflow, over its tiles, \
                           which --ieee forbids; leave the algorithm out to have one chosen";
            assert_eq!(result.status, 1, "{command:?}: {}", result.stderr);
            assert!(result.stderr.contains(message), "{command:?}: {}", result.stderr);
        }
    }
    let result = convoke(&["opt", &input, "--ieee", "--passes", "compose"]);
    assert_eq!(result.status, 2);
    assert!(result.stderr.contains("leave out the pass or --ieee"), "{}", result.stderr);
}

#[test]
fn a_net_says_how_many_of_its_convolutions_spread_one() {
    let folder = folder();
    let input = text(&folder.path().join("net.conv"));
    let body: String =
        (0..9).map(|i| format!("  %x{} = conv2d %x{i}, %w {{ pads = [1, 1, 1, 1] }}\n", i + 1)).collect();
    let net = format!(
        "layer @net(%x0: f32[1, 64, 28, 28]) -> f32[1, 64, 28, 28] {{\n  %w = const f32[64, 64, 3, 3] = \
         normal(seed = 1, std = 0.05)\n{body}  return %x9\n}}\n"
    );
    fs::write(&input, net).expect("written");
    let explained =
        |more: &[&str]| convoke(&[&["explain", &input, "--cpu", "zen4", "--no-times"], more].concat()).stdout;
    assert!(
        explained(&[]).contains("9 of 9 convolutions may spread a NaN or an infinity; with --ieee"),
        "{}",
        explained(&[])
    );
    assert!(!explained(&["--ieee"]).contains("may spread"));
}
