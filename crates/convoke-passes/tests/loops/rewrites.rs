//! What each pass makes of a small text, and what it leaves alone.

use crate::harness::check;

#[test]
fn tile_splits_and_keeps_marks() {
    check(
        &["tile"],
        "for %i in 0..10 tile(4) vector(4) {
           %0 = load f32 %x[2*%i]
           store %y[%i], %0
         }",
        "for %i in 0..8 step 4 {
           for %i.in in 0..4 vector(4) {
             %0 = load f32 %x[2*%i + 2*%i.in]
             store %y[%i + %i.in], %0
           }
         }
         for %i.rest in 8..10 vector(4) {
           %1 = load f32 %x[2*%i.rest]
           store %y[%i.rest], %1
         }",
    );
    // A tile as large as the loop, and a parallel loop that would leave a rest.
    let leaves = |marks: &str, kept: &str| {
        let text = |marks: &str| format!("for %i in 0..10 {marks} {{ %0 = load f32 %x[%i] store %y[%i], %0 }}");
        check(&["tile"], &text(marks), &text(kept));
    };
    leaves("tile(10)", "");
    leaves("parallel tile(4)", "parallel");
}

#[test]
fn vectorise_loads_by_stride() {
    check(
        &["vectorise"],
        "for %j in 0..8 vector(4) {
           %0 = load f32 %x[5]
           %1 = load f32 %x[3*%j]
           %2 = mul %0, %1
           store %y[%j], %2
         }",
        "for %j in 0..8 step 4 {
           %0 = load f32x4 %x[5] broadcast
           %1 = load f32x4 %x[3*%j] stride 3
           %2 = mul %0, %1
           store %y[%j], %2
         }",
    );
}

#[test]
fn vectorise_ends_with_a_partial_vector() {
    check(
        &["vectorise"],
        "for %j in 0..7 vector(4) {
           %0 = load f32 %x[%j]
           store %y[%j], %0
         }",
        "%0 = load f32x4 %x[0]
         store %y[0], %0
         %1 = load f32x4 %x[4] lanes 3
         store %y[4], %1 lanes 3",
    );
}

#[test]
fn vectorise_reduces() {
    check(
        &["vectorise"],
        "%s = reg f32 0.0
         for %j in 0..8 vector(4) {
           %0 = load f32 %x[%j]
           %s <- add %s, %0
         }
         store %y[0], %s",
        "%s = reg f32 0.0
         %0 = reg f32x4 0.0
         for %j in 0..8 step 4 {
           %1 = load f32x4 %x[%j]
           %0 <- add %0, %1
         }
         %2 = reduce add %0
         %s <- add %s, %2
         store %y[0], %s",
    );
}

#[test]
fn vectorise_leaves_what_is_not_independent() {
    let leaves = |body: &str| check(&["vectorise"], &body.replace("MARK", "vector(4)"), &body.replace("MARK", ""));
    leaves("for %j in 0..8 MARK { %0 = load f32 %x[%j] store %y[0], %0 }");
    leaves("%s = reg f32 1.0 for %j in 0..8 MARK { %0 = load f32 %x[%j] %s <- sub %0, %s } store %y[0], %s");
    leaves("%s = reg f32 1.0 for %j in 0..8 MARK { %0 = load f32 %x[%j] %s <- add %s, %0 store %y[%j], %s }");
}

#[test]
fn unroll_leaves_a_rest() {
    check(
        &["unroll"],
        "for %k in 0..11 unroll(4) {
           %0 = load f32 %x[2*%k]
           store %y[%k], %0
         }",
        "for %k in 0..8 step 4 {
           %0 = load f32 %x[2*%k]
           store %y[%k], %0
           %1 = load f32 %x[2*%k + 2]
           store %y[%k + 1], %1
           %2 = load f32 %x[2*%k + 4]
           store %y[%k + 2], %2
           %3 = load f32 %x[2*%k + 6]
           store %y[%k + 3], %3
         }
         for %k.1 in 8..11 {
           %4 = load f32 %x[2*%k.1]
           store %y[%k.1], %4
         }",
    );
}

#[test]
fn unroll_steps_inductions() {
    check(
        &["unroll"],
        "for %k in 0..4 unroll(2) with %p = 1 by 3 {
           %0 = load f32 %x[%p]
           store %y[%k], %0
         }",
        "for %k in 0..4 step 2 with %p = 1 by 6 {
           %0 = load f32 %x[%p]
           store %y[%k], %0
           %1 = load f32 %x[%p + 3]
           store %y[%k + 1], %1
         }",
    );
}

#[test]
fn cse_sees_stores() {
    check(
        &["cse-loops"],
        "%0 = load f32 %x[1]
         %1 = load f32 %x[1]
         %2 = add %0, %1
         store %y[0], %2
         %3 = load f32 %y[0]
         store %y[1], %3
         %4 = load f32 %y[0]
         store %y[2], %4
         for %i in 3..5 {
           %5 = load f32 %y[2]
           %6 = load f32 %x[1]
           %7 = add %5, %6
           store %y[%i], %7
         }",
        "%0 = load f32 %x[1]
         %1 = add %0, %0
         store %y[0], %1
         store %y[1], %1
         store %y[2], %1
         for %i in 3..5 {
           %2 = load f32 %y[2]
           %3 = add %2, %0
           store %y[%i], %3
         }",
    );
}

#[test]
fn cse_tells_a_register_from_its_next_value() {
    check(
        &["cse-loops"],
        "%r = reg load f32 %x[0]
         %0 = neg %r
         %1 = neg %r
         %r <- add %0, %1
         %2 = neg %r
         store %y[0], %2",
        "%r = reg load f32 %x[0]
         %0 = neg %r
         %r <- add %0, %0
         %1 = neg %r
         store %y[0], %1",
    );
}

#[test]
fn cse_asks_who_reads_beyond_a_partial_store() {
    let text = |last: &str| {
        format!(
            "%0 = load f32x4 %x[0]
             store %t[0], %0 lanes 3
             {last}"
        )
    };
    let reads = "%1 = load f32x4 %t[0] lanes 3 store %y[0], %1 lanes 3";
    check(&["cse-loops"], &text(reads), &text("store %y[0], %0 lanes 3"));
    let sums = "%1 = load f32x4 %t[0] lanes 3 %2 = reduce add %1 store %y[0], %2";
    check(&["cse-loops"], &text(sums), &text(sums));
}

#[test]
fn zips_ask_for_the_lanes_they_take() {
    let text = |half: &str, loaded: &str, lanes: usize| {
        format!(
            "%0 = load f32x4 %x[0]
             store %t[0], %0 lanes 3
             {loaded}%2 = zip {half} %1, %0
             store %y[0], %2 lanes {lanes}"
        )
    };
    // Of the upper halves' lanes 2 and 3, the first two lanes of a zip are both lanes 2.
    let loaded = "%1 = load f32x4 %t[0] lanes 3 ";
    let found = |half: &str, lanes: usize| text(half, "", lanes).replace("%1, %0", "%0, %0");
    check(&["cse-loops"], &text("lo", loaded, 4), &found("lo", 4).replace("%2", "%1"));
    check(&["cse-loops"], &text("hi", loaded, 2), &found("hi", 2).replace("%2", "%1"));
    check(&["cse-loops"], &text("hi", loaded, 3), &text("hi", loaded, 3));
}

#[test]
fn both_operands_of_a_zip_live() {
    let text = "%0 = load f32x4 %x[0] %1 = load f32x4 %x[4] %2 = zip lo %0, %1 store %y[0], %2 lanes 1";
    check(&["drop-dead-loops"], text, text);
}

#[test]
fn picks_ask_for_the_lanes_they_take() {
    let text = |pick: &str, loaded: &str, lanes: usize| {
        format!(
            "%0 = load f32x4 %x[0]
             store %t[0], %0 lanes 3
             {loaded}%2 = pick {pick} %1, %0
             store %y[0], %2 lanes {lanes}"
        )
    };
    // Of the first vector, the first two lanes of these are lanes 0 and 2, and 1 and 2.
    let loaded = "%1 = load f32x4 %t[0] lanes 3 ";
    let found = |pick: &str| text(pick, "", 2).replace("%1, %0", "%0, %0").replace("%2", "%1");
    check(&["cse-loops"], &text("0 by 2", loaded, 2), &found("0 by 2"));
    check(&["cse-loops"], &text("1 by 1", loaded, 2), &found("1 by 1"));
    check(&["cse-loops"], &text("1 by 2", loaded, 2), &text("1 by 2", loaded, 2));
    check(&["cse-loops"], &text("2 by 1", loaded, 2), &text("2 by 1", loaded, 2));
}

#[test]
fn parts_ask_for_the_lanes_they_take() {
    let text = |loaded: &str, part: usize| {
        format!(
            "%0 = load f32x4 %x[0]
             store %t[0], %0 lanes 3
             {loaded}%2 = part {part} f32x2 %1
             store %y[0], %2"
        )
    };
    let loaded = "%1 = load f32x4 %t[0] lanes 3 ";
    check(&["cse-loops"], &text(loaded, 0), &text("", 0).replace("%1", "%0").replace("%2", "%1"));
    check(&["cse-loops"], &text(loaded, 1), &text(loaded, 1));
}

#[test]
fn cse_finds_equal_zips() {
    check(
        &["cse-loops"],
        "%0 = load f32x4 %x[0]
         %1 = load f32x4 %x[4]
         %2 = zip lo %0, %1
         %3 = zip hi %0, %1
         %4 = zip lo %0, %1
         %5 = zip lo %1, %0
         store %y[0], %2
         store %y[4], %3
         store %y[8], %4
         store %y[12], %5",
        "%0 = load f32x4 %x[0]
         %1 = load f32x4 %x[4]
         %2 = zip lo %0, %1
         %3 = zip hi %0, %1
         %4 = zip lo %1, %0
         store %y[0], %2
         store %y[4], %3
         store %y[8], %2
         store %y[12], %4",
    );
}

#[test]
fn promote_through_nested_loops() {
    check(
        &["promote"],
        "for %i in 0..4 {
           %0 = f32 0.0
           store %y[%i], %0
           for %r in 0..3 {
             for %s in 0..3 {
               %1 = load f32 %x[%i + 4*%r + %s]
               %2 = load f32 %y[%i]
               %3 = add %1, %2
               store %y[%i], %3
             }
           }
         }",
        "for %i in 0..4 {
           %acc = reg f32 0.0
           for %r in 0..3 {
             for %s in 0..3 {
               %0 = load f32 %x[%i + 4*%r + %s]
               %acc <- add %0, %acc
             }
           }
           store %y[%i], %acc
         }",
    );
}

#[test]
fn promote_leaves_what_may_overlap() {
    let leaves = |body: &str| check(&["promote"], body, body);
    leaves(
        "%c = f32 1.0
         store %y[3], %c
         for %i in 0..3 {
           %0 = load f32 %y[3]
           store %y[%i], %0
           store %y[3], %c
         }",
    );
    leaves(
        "%c = load f32x4 %x[0]
         store %y[0], %c
         store %y[4], %c
         for %i in 0..3 {
           %0 = load f32x4 %y[0]
           %1 = load f32x4 %y[2]
           %2 = add %0, %1
           store %y[0], %2
         }",
    );
}

#[test]
fn hoist_moves_what_is_fixed() {
    check(
        &["hoist"],
        "for %i in 0..4 {
           for %j in 0..4 {
             %0 = load f32 %x[0]
             %1 = load f32 %x[%i]
             %2 = mul %0, %1
             store %y[4*%i + %j], %2
           }
         }",
        "%0 = load f32 %x[0]
         for %i in 0..4 {
           %1 = load f32 %x[%i]
           %2 = mul %0, %1
           for %j in 0..4 {
             store %y[4*%i + %j], %2
           }
         }",
    );
    let stored = "%c = f32 1.0 store %y[0], %c for %i in 0..3 { %0 = load f32 %y[0] store %y[%i], %0 }";
    check(&["hoist"], stored, stored);
}

#[test]
fn drop_dead_drops_stores_too() {
    check(
        &["drop-dead-loops"],
        "%0 = load f32 %x[0]
         %1 = mul %0, %0
         store %y[0], %1
         store %y[0], %0
         %2 = load f32 %y[0]
         store %y[0], %2
         store %t[0], %0
         for %i in 0..0 {
           store %y[%i], %0
         }",
        "%0 = load f32 %x[0]
         store %y[0], %0
         %1 = load f32 %y[0]
         store %y[0], %1",
    );
    let read = "%0 = load f32 %x[0] store %t[0], %0 %1 = load f32 %t[0] store %y[0], %1";
    check(&["drop-dead-loops"], read, read);
}

#[test]
fn strength_reduce_shares_inductions() {
    check(
        &["strength-reduce"],
        "for %i in 0..2 {
           for %k in 0..4 {
             %0 = load f32 %x[16*%i + 2*%k]
             %1 = load f32 %x[16*%i + 2*%k + 1]
             %2 = add %0, %1
             store %y[16*%i + 2*%k], %2
           }
         }",
        "for %i in 0..2 with %p = 0 by 16 {
           for %k in 0..4 with %p.1 = %p by 2 {
             %0 = load f32 %x[%p.1]
             %1 = load f32 %x[%p.1 + 1]
             %2 = add %0, %1
             store %y[%p.1], %2
           }
         }",
    );
    let parallel = "for %i in 0..8 parallel { %0 = load f32 %x[2*%i] store %y[8*%i], %0 }";
    check(&["strength-reduce"], parallel, parallel);
}
