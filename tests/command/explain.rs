//! `convoke explain`: its page, its JSON and its stages.

use std::fs;

use super::{BLUR, convoke, folder, text};

#[test]
fn explain_writes_a_page() {
    let folder = folder();
    let (input, page) = (text(&folder.path().join("blur.conv")), text(&folder.path().join("blur.html")));
    let result = convoke(&["explain", &input, "--html", &page, "--no-times"]);
    assert_eq!((result.status, result.stderr.as_str()), (0, ""));
    let page = fs::read_to_string(page).expect("it was written");
    for part in [
        "<title>convoke: blur</title>",
        "<svg",
        "Chosen: <b>",
        "<b>Roofline.</b>",
        "<b>Error against time.</b>",
        "Where the predicted time goes",
        "Cost of the layer, from pass to pass",
        "<th>after select",
        "<td class=\"came\">",
        "conv2d %x, %w",
        "-&gt; f32[1, 1, 8, 8]",
    ] {
        assert!(page.contains(part), "no {part} in\n{page}");
    }
    // Nothing is fetched.
    assert!(!page.contains("http") && !page.contains("<script"), "{page}");
    assert_eq!(convoke(&["explain", &input, "--html", &input]).status, 1);
    assert_eq!(fs::read_to_string(&input).expect("still there"), BLUR);
}

/// Every candidate that can compute a convolution is told with the same keys, and timed if that is asked for.
#[test]
fn explain_tells_each_candidate_in_json() {
    let folder = folder();
    let input = text(&folder.path().join("blur.conv"));
    let result = convoke(&["explain", &input, "--json", "--measure", "--max-error", "1e-3", "--certified"]);
    assert_eq!((result.status, result.stderr.as_str()), (0, ""));
    let value: serde_json::Value = serde_json::from_str(&result.stdout).expect("JSON");
    let conv = &value["convolutions"][0];
    assert_eq!(conv["budget"]["limit"].as_f64(), Some(1e-3));
    assert_eq!((conv["budget"]["certified"].as_bool(), conv["budget"]["given"].as_bool()), (Some(true), Some(true)));
    assert!(conv["regret"].as_f64() >= Some(0.0) && conv["verdict"][0].is_string(), "{conv:#}");
    let candidates = conv["candidates"].as_array().expect("a list");
    let numbers = ["multiplications", "fewer", "bytes_moved", "scratch_bytes", "cycles", "predicted_seconds"];
    for candidate in candidates.iter().filter(|candidate| candidate["refused"].is_null()) {
        assert!(numbers.iter().all(|key| candidate[key].is_number()), "{candidate:#}");
        assert!(candidate["standing"].is_string() && candidate["allowed"].is_boolean(), "{candidate:#}");
        let cycles: f64 =
            candidate["terms"].as_array().expect("a list").iter().filter_map(|t| t["cycles"].as_f64()).sum();
        assert!(candidate["cycles"].as_f64().is_some_and(|all| (all - cycles).abs() <= 1e-9 * all), "{candidate:#}");
    }
    let chosen =
        candidates.iter().find(|candidate| candidate["algorithm"] == conv["chosen"]).expect("it is one of them");
    assert!(chosen["measured_seconds"].as_f64() > Some(0.0), "{chosen:#}");
    let measured = value["measured"].as_array().expect("a list");
    assert!(measured.iter().any(|m| m["algorithm"] == conv["chosen"] && m["seconds"] == chosen["measured_seconds"]));
}

#[test]
fn explain_shows_what_takes_turns_as_a_stage() {
    let folder = folder();
    let input = text(&folder.path().join("blur.conv"));
    let blur = "layer @blur(%x: f32[1, 1, 800, 1000]) -> f32[1, 1, 800, 1000] {
      %v = const f32[1, 1, 9, 1] = ones
      %w = const f32[1, 1, 1, 9] = ones
      %t = conv2d %x, %v { pads = [4, 0, 4, 0], algorithm = depthwise }
      %y = conv2d %t, %w { pads = [0, 4, 0, 4], algorithm = depthwise }
      return %y
    }";
    fs::write(&input, blur).expect("written");
    let explained = |more: &[&str]| {
        let result = convoke(&[&["explain", &input, "--json"], more].concat());
        assert_eq!((result.status, result.stderr.as_str()), (0, ""));
        let value: serde_json::Value = serde_json::from_str(&result.stdout).expect("JSON");
        value["waterfall"].as_array().expect("a list").clone()
    };
    let stages = explained(&["--cpu", "x86-64-v3"]);
    let names: Vec<_> = stages.iter().filter_map(|stage| stage["after"].as_str()).collect();
    assert_eq!(names, ["as given", "select", "bands"]);
    let [before, after] = [1, 2].map(|i| stages[i]["predicted_seconds"].as_f64().expect("predicted"));
    assert!(after < before, "{stages:#?}");
    // Measured, the stage before is compiled without bands, and this one with them.
    let measured = explained(&["--measure"]);
    assert!(measured.iter().all(|stage| stage["measured_seconds"].as_f64() > Some(0.0)), "{measured:#?}");
}

/// A 7x7 layer without weights.
const SEVEN: &str = "layer @seven(%x: f32[1, 8, 12, 12]) -> f32[1, 8, 12, 12] {
  %w = const f32[8, 8, 7, 7] = unbound
  %y = conv2d %x, %w { pads = [3, 3, 3, 3] }
  return %y
}
";

#[test]
fn explain_tells_what_the_layer_takes_from_pass_to_pass() {
    let folder = folder();
    let input = text(&folder.path().join("seven.conv"));
    fs::write(&input, SEVEN).expect("written");
    let passes = ["--structural", "--passes", "stack-small-kernels(activation=relu)"];
    let args = ["explain", &input, "--cpu", "x86-64-v3"];
    let result = convoke(&[&args[..], &passes, &["--json"]].concat());
    assert_eq!((result.status, result.stderr.as_str()), (0, ""));
    let value: serde_json::Value = serde_json::from_str(&result.stdout).expect("JSON");
    let stages = value["waterfall"].as_array().expect("a list");
    let names: Vec<_> = stages.iter().filter_map(|stage| stage["after"].as_str()).collect();
    assert_eq!(names, ["as given", "stack-small-kernels", "fuse-epilogue", "select"]);
    // 49 C² and 27 C², for each of 12 × 12 pixels.
    for (stage, taps) in stages.iter().zip([49, 27, 27]) {
        assert_eq!(stage["parameters"].as_u64(), Some(taps * 64), "{stage:#}");
        assert_eq!(stage["multiplications"].as_u64(), Some(taps * 64 * 144), "{stage:#}");
        assert!(stage["predicted_seconds"].as_f64() > Some(0.0) && stage["measured_seconds"].is_null(), "{stage:#}");
    }
    assert!(stages[1]["notes"][0].as_str().is_some_and(|note| note.contains("3 times 3x3")), "{stages:#?}");
    let result = convoke(&[&args[..], &passes].concat());
    assert!(result.stdout.contains("cost of the layer, from pass to pass"), "{}", result.stdout);
    // Not without the grant, and not what there is not.
    assert!(convoke(&[&args[..], &passes[1..]].concat()).stdout.contains("--structural"));
    assert_eq!(convoke(&[&args[..], &["--passes", "stack"]].concat()).status, 2);
    // Without values the weights are timed all the same.
    let result = convoke(&[&["explain", &input, "--measure", "--json"], &passes[..]].concat());
    let value: serde_json::Value = serde_json::from_str(&result.stdout).expect("JSON");
    let stages = value["waterfall"].as_array().expect("a list");
    assert!(stages.iter().all(|stage| stage["measured_seconds"].as_f64() > Some(0.0)), "{stages:#?}");
}

/// A net of two convolutions.
const TWO: &str = "layer @two(%x: f32[1, 4, 8, 8]) -> f32[1, 4, 8, 8] {
  %v = const f32[4, 4, 3, 3] = normal(seed = 1, std = 0.1)
  %w = const f32[4, 4, 1, 1] = normal(seed = 2, std = 0.1)
  %t = conv2d %x, %v { pads = [1, 1, 1, 1] } then relu
  %y = conv2d %t, %w {}
  return %y
}
";

#[test]
fn explain_shows_a_net_by_its_ops_and_one_convolution_by_its_name() {
    let folder = folder();
    let (input, page) = (text(&folder.path().join("two.conv")), text(&folder.path().join("two.html")));
    fs::write(&input, TWO).expect("written");
    let args = ["explain", &input, "--cpu", "x86-64-v3", "--no-times"];
    let net = convoke(&args);
    assert_eq!((net.status, net.stderr.as_str()), (0, ""));
    assert!(net.stdout.contains("\n2 ops as compiled\n") && net.stdout.contains("\nkinds of ops\n"), "{}", net.stdout);
    assert!(!net.stdout.contains("chosen: "), "{}", net.stdout);
    // One convolution has the report that it has by itself.
    for name in ["y", "%y"] {
        let one = convoke(&[&args[..], &["--of", name]].concat());
        assert_eq!((one.status, one.stderr.as_str()), (0, ""));
        assert!(one.stdout.contains("\n%y: 1x1, 4 -> 4 channels, 8x8 -> 8x8\nchosen: "), "{}", one.stdout);
        assert!(!one.stdout.contains("%t: ") && !one.stdout.contains("passes of"), "{}", one.stdout);
    }
    let none = convoke(&[&args[..], &["--of", "yy"]].concat());
    assert_eq!(none.status, 2);
    assert!(none.stderr.contains("there is no convolution `yy`; nearest first, there are %y, %t"), "{}", none.stderr);
    let written = convoke(&[&args[..], &["--html", &page]].concat());
    assert_eq!((written.status, written.stderr.as_str()), (0, ""));
    let page = fs::read_to_string(page).expect("it was written");
    assert!(page.contains("<svg id=\"graph\"") && page.contains("<section id=\"y\">"), "{page}");
    assert!(!page.contains("http") && !page.contains("src="), "{page}");
}

/// Of a net, each op is timed as it is chosen; of one convolution, every candidate.
#[test]
fn explain_measures_the_ops_of_a_net() {
    let folder = folder();
    let input = text(&folder.path().join("two.conv"));
    fs::write(&input, TWO).expect("written");
    let measured = |more: &[&str]| {
        let result = convoke(&[&["explain", &input, "--json", "--measure"], more].concat());
        assert_eq!((result.status, result.stderr.as_str()), (0, ""));
        serde_json::from_str::<serde_json::Value>(&result.stdout).expect("JSON")
    };
    let net = measured(&[]);
    let ops = net["net"]["ops"].as_array().expect("a list");
    assert!(ops.iter().all(|op| op["measured_seconds"].as_f64() > Some(0.0)), "{ops:#?}");
    assert_eq!(net["measured"].as_array().map(Vec::len), Some(ops.len()));
    assert!(net["net"]["sums"]["measured_whole_seconds"].as_f64() > Some(0.0), "{:#}", net["net"]["sums"]);
    let one = measured(&["--of", "t"]);
    assert_eq!(one["convolutions"].as_array().map(Vec::len), Some(1));
    assert!(one["measured"].as_array().is_some_and(|all| all.len() > 1), "{:#}", one["measured"]);
}
