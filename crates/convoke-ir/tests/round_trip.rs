//! What the documentation shows parses, and prints back.

use convoke_ir::{diagnostic::render, text};

const LAYER: &str = r#"
// VGG-16 conv3_2, 3x3, 256 -> 256, with bias and ReLU
layer @vgg16_conv3_2(%x: f32[1, 256, 56, 56]) -> f32[1, 256, 56, 56] {
  %w = const f32[256, 256, 3, 3] = normal(seed = 7, std = 0.02)
  %b = const f32[256] = file("vgg16.safetensors", "conv3_2.bias")
  %0 = conv2d %x, %w { pads = [1, 1, 1, 1] } then bias %b then relu
  %1 = bias %0, %b
  %2 = relu %1
  return %2
}

layer @l(%x: f32[1, 8, 8, 3] nhwc in [0.00392, 1], %y: f32[3, 3] in [1e-10, 1e30]) -> (f32[1, 8, 8, 3] nhwc, f32[3, 3]) {
  %w = const f32[3, 3] = [[1, 2, 1], [2, 4.5, 2], [1, -2, inf]]
  %f = const f32[3, 3] = 0.5
  %u = const f32[3, 3] = unbound
  %a = clip %x { max = 6.0 }
  %b = mul %y, %w
  return %a, %b
}
"#;

const PROGRAM: &str = r#"program @edges {
  input %x: f32[1, 1, 480, 640]
  const %w: f32[1, 1, 3, 3] = sobel_x
  output %y: f32[1, 1, 480, 640]
  scratch %x.padded: f32[309444]

  kernel @pad(in %x: f32[307200], out %p: f32[309444]) {
    local %t: f32[64]
    for %i in 0..482 parallel {
      %z = f32 0
      for %j in 0..642 step 2 tile(8) vector(4) unroll(2) with %a = 642*%i + 3 by 2, %b = -%i by -1 {
        store %p[%a - 3], %z
      }
    }
  }

  codelet @row(in %x: f32[1922], in %w: f32[9], out %y: f32[640]) {
    for %q in 0..160 unroll {
      %acc = reg f32x4 0
      %a = load f32x4 %x[4*%q + 1]
      %b = load f32x4 %w[2] broadcast
      %c = load f32x4 %x[4*%q] stride 2 lanes 3
      %acc <- fma %a, %b, %acc
      %m = max %a, %c
      %n = neg %m
      %s = reduce add %n
      %v = splat f32x4 %s
      %d = convert f64x4 %v
      %e = %v
      %f = zip hi %a, %e
      %g = part 1 f32x2 %f
      %h = pick 3 by 1 %f, %a
      store %y[4*%q], %acc lanes 3
      store %y[%q], %s
    }
  }

  kernel @conv(in %p: f32[309444], in %w: f32[9], out %y: f32[307200]) {
    for %i in 0..480 parallel {
      call @row(%p[642*%i], %w[0], %y[640*%i])
      call @row(%p[642*%i], %w[0], %y[640*%i]) if %p[%i]
    }
  }

  entry {
    run @pad(%x, %x.padded)
    run @conv(%x.padded, %w, %y)
  }
}
"#;

#[track_caller]
fn parse(source: &str) -> text::Module {
    text::parse(source).unwrap_or_else(|found| panic!("{}", render(&found, "example.conv", source, false)))
}

#[test]
fn layers_print_and_parse_back() {
    let module = parse(LAYER);
    let printed = module.to_string();
    assert_eq!(parse(&printed), module, "{printed}");
    assert_eq!(parse(&printed).to_string(), printed);
}

#[test]
fn programs_print_as_written() {
    let module = parse(PROGRAM);
    assert_eq!(module.to_string(), PROGRAM);
    assert_eq!(parse(&module.to_string()), module);
}

/// The examples in the documentation of the two languages are right.
#[test]
fn documented_examples() {
    for source in [include_str!("../src/layer/mod.rs"), include_str!("../src/loops/mod.rs")] {
        let docs: Vec<_> = source.lines().filter_map(|line| line.strip_prefix("//!")).collect();
        let mut examples = docs.split(|line| line.trim().starts_with("```")).skip(1).step_by(2);
        let example = examples.next().expect("an example").join("\n");
        let module = text::parse_and_verify(&example);
        let module = module.unwrap_or_else(|found| panic!("{}", render(&found, "example.conv", &example, false)));
        assert_eq!(module.layers.len() + module.programs.len(), 1);
    }
}

/// Every prefix is refused or valid, and says why in bounded space.
#[test]
fn prefixes_never_panic() {
    for source in [LAYER, PROGRAM] {
        for end in 0..source.len() {
            let prefix = &source[..end];
            if let Err(found) = text::parse(prefix) {
                assert!(!found.is_empty());
                assert!(render(&found, "prefix.conv", prefix, false).len() < 50_000);
            }
        }
    }
}
