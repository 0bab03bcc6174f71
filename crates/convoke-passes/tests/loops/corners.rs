//! Programs that passes once got wrong: each pass alone, and all in order, must leave what they compute.

use convoke_ir::loops::Program;

use crate::harness::{apply, kernel, outputs, parse, pipeline, unchanged_by_passes};

fn survives(source: &str) {
    let given = parse(source);
    let expected = outputs(&given);
    let check = |program: &Program, pass: &str| {
        assert_eq!(outputs(program), expected, "{pass} made\n{program}of\n{given}");
    };
    let mut all = given.clone();
    for pass in pipeline() {
        let mut alone = given.clone();
        apply(&mut alone, pass);
        check(&alone, pass);
        apply(&mut all, pass);
        check(&all, pass);
    }
}

#[test]
fn a_register_is_not_its_first_value() {
    survives(
        "program @p {
          input %x: f32[4]
          output %y: f32[2]
          kernel @k(in %x: f32[4], out %y: f32[2]) {
            %r = reg f32 0.0
            %a = load f32 %x[0]
            %r <- add %r, %a
            %z = f32 0.0
            store %y[0], %r
            store %y[1], %z
          }
          entry {
            run @k(%x, %y)
          }
        }",
    );
}

#[test]
fn a_parallel_vector_loop_with_a_rest() {
    survives(
        "program @p {
          input %x: f32[10]
          output %y: f32[10]
          kernel @k(in %x: f32[10], out %y: f32[10]) {
            for %i in 0..10 parallel vector(4) {
              %a = load f32 %x[%i]
              store %y[%i], %a
            }
          }
          entry {
            run @k(%x, %y)
          }
        }",
    );
}

#[test]
fn addresses_with_large_constants() {
    survives(
        "program @p {
          input %x: f32[10]
          output %y: f32[10]
          kernel @k(in %x: f32[10], out %y: f32[10]) {
            for %j in 0..10 {
              for %i in 1000000..1000001 {
                %a = load f32 %x[1000000000*%i + %j - 1000000000000000]
                store %y[%j], %a
              }
            }
          }
          entry {
            run @k(%x, %y)
          }
        }",
    );
}

#[test]
fn tiles_with_rests_nested_deep() {
    let open: String = (0..24).map(|i| format!("for %i{i} in 0..3 tile(2) {{\n")).collect();
    let mut program = parse(&format!(
        "program @p {{\n  output %y: f32[1]\n  kernel @k(out %y: f32[1]) {{\n%v = f32 1.0\n{open}store %y[0], %v\n{}}}\n  \
         entry {{ run @k(%y) }}\n}}",
        "}\n".repeat(24)
    ));
    // Were each split, there would be 2^24 copies.
    apply(&mut program, "tile");
    assert!(program.to_string().lines().count() < 10_000);
}

#[test]
fn names_as_long_as_names_may_be() {
    let name = "n".repeat(198);
    survives(&format!(
        "program @p {{\n  input %x: f32[10]\n  output %y: f32[10]\n  kernel @k(in %x: f32[10], out %y: f32[10]) {{\n    \
         for %{name} in 0..10 tile(4) unroll {{\n      %{name} = load f32 %x[%{name}]\n      store %y[%{name}], %{name}\n    }}\n  \
         }}\n  entry {{ run @k(%x, %y) }}\n}}"
    ));
}

/// 2048 and 1 make 2048 in `f16`, as often as the sum is stored; what is loaded is not what was stored.
#[test]
fn a_sum_in_halves_is_rounded_at_each_store() {
    let program = unchanged_by_passes(&kernel(
        "input %x: f32[8]\noutput %y: f16[2]",
        "in %x: f32[8], out %y: f16[2]",
        "%x, %y",
        "%0 = f32 2049\n\
         store %y[0], %0\n\
         %1 = load f32 %y[0]\n\
         store %y[1], %1\n\
         for %k in 0..8 {\n\
           %one = f32 1\n\
           %2 = load f32 %y[0]\n\
           %3 = add %2, %one\n\
           store %y[0], %3\n\
         }",
    ));
    assert_eq!(outputs(&program), [[2048.0, 2048.0]]);
}
