//! The inner loop of products, as generated: sums stay in registers, and nothing is there that need not be. A static
//! guard, on a named machine, so that it says the same everywhere.

mod common;

use convoke_codegen::asm;
use convoke_ir::limits::Bounds;
use convoke_ir::loops;
use convoke_machine::Machine;

/// The main loop of the codelet that begins with `name`: the longest between a label and a jump back to it.
fn main_loop(listing: &str, name: &str) -> Vec<String> {
    let start = listing.lines().skip_while(|line| !line.starts_with(&format!("; @{name} ")));
    let lines: Vec<&str> = start.skip(1).take_while(|line| !line.starts_with("; @")).collect();
    let mut longest = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(label) = line.strip_suffix(':') else { continue };
        let jump = lines[at..].iter().position(|l| l.trim_start().starts_with('j') && l.trim_end().ends_with(label));
        if let Some(jump) = jump.filter(|&jump| jump > longest.len()) {
            longest = lines[at + 1..=at + jump].iter().map(|l| l.trim().to_owned()).collect();
        }
    }
    longest
}

#[test]
fn sums_stay_in_registers() {
    let conv = |algorithm: &str| {
        format!(
            "layer @l(%x: f32[1, 64, 16, 16]) -> f32[1, 64, 16, 16] {{\n  %w = const f32[64, 64, 3, 3] = normal(seed = 1)\n  \
             %0 = conv2d %x, %w {{ pads = [1, 1, 1, 1], algorithm = {algorithm} }}\n  return %0\n}}\n"
        )
    };
    let gemm = "layer @l(%a: f32[256, 256]) -> f32[256, 256] {\n  %b = const f32[256, 256] = normal(seed = 1)\n  \
                %0 = matmul %a, %b\n  return %0\n}\n";
    let machine = Machine::x86_64_v3().narrowed(128);
    for (source, per_eight) in [(gemm.to_owned(), 24), (conv("im2col"), 24)] {
        let program = common::program(&source, &machine);
        let listing =
            asm(loops::verify(&program).expect("verified"), &machine, &Bounds::default()).expect("it compiles");
        let body = main_loop(&listing, "matmul_f32_4x8");
        let fused = body.iter().filter(|line| line.starts_with("vfmadd")).count();
        assert!(fused >= 32 && fused.is_multiple_of(8), "{fused} multiply-adds in\n{}", body.join("\n"));
        let stack: Vec<_> = body.iter().filter(|line| line.contains("[rsp") || line.contains("[rbp")).collect();
        assert!(stack.is_empty(), "the stack is used: {stack:?}\n{source}");
        assert!(
            body.len() * 8 <= per_eight * fused,
            "{} instructions for {fused} multiply-adds\n{source}{}",
            body.len(),
            body.join("\n")
        );
    }
}
