//! The state of the CPU that a run leaves alone or sets for itself: rounding, subnormal numbers, the upper halves of vectors, the x87 unit.

#![cfg(target_arch = "x86_64")]

mod common;

use std::arch::asm;

use convoke_codegen::{Compiled, Options};
use convoke_ir::elem::Subnormals;
use convoke_machine::Machine;

/// The control register as programs find it, and what it may have besides.
const PLAIN: u32 = 0x1f80;
const FLUSH: u32 = 1 << 15 | 1 << 6;
const UP: u32 = 0b10 << 13;

fn control() -> u32 {
    let mut value = 0u32;
    // SAFETY: stores the control register, which every x86-64 has, to a local.
    unsafe { asm!("stmxcsr [{}]", in(reg) &mut value) };
    value
}

fn set_control(value: u32) {
    // SAFETY: loads a value with no reserved bit set; exceptions stay masked. What runs until it is set back is a call of compiled code, whose Rust
    // parts compute nothing with floating-point numbers.
    unsafe { asm!("ldmxcsr [{}]", in(reg) &value) };
}

/// Enough work for several threads, if `rows` is large.
fn conv(rows: usize, std: f64, threads: usize, machine: &Machine, subnormals: Subnormals) -> Compiled {
    let text = format!(
        "layer @l(%x: f32[1, 16, {rows}, 32]) -> f32[1, 16, {rows}, 32] {{\n  \
         %w = const f32[16, 16, 3, 3] = normal(seed = 1, std = {std:e})\n  \
         %0 = conv2d %x, %w {{ pads = [1, 1, 1, 1], algorithm = direct }} then silu\n  return %0\n}}\n"
    );
    let options = Options { threads, subnormals, ..Options::default() };
    common::compiled_with(machine, &text, &options)
}

fn input(rows: usize, scale: f32) -> Vec<f32> {
    (0..16 * rows * 32).map(|i| scale * ((i * 7919 % 1000) as f32 / 500.0 - 1.0)).collect()
}

fn run(compiled: &Compiled, x: &[f32]) -> Vec<f32> {
    let mut y = vec![f32::NAN; x.len()];
    compiled.run(&[x], &mut [&mut y]).expect("it runs");
    y
}

/// Bits, and the register after a call that found `control` in it. Exceptions of before the call are set.
fn run_under(word: u32, compiled: &Compiled, x: &[f32]) -> (Vec<f32>, u32) {
    let mut y = vec![f32::NAN; x.len()];
    let before = control();
    set_control(word);
    let result = compiled.run(&[x], &mut [&mut y]);
    let after = control();
    set_control(before);
    result.expect("it runs");
    (y, after)
}

#[test]
fn a_run_gives_the_same_bits_whatever_its_caller_set() {
    // Some results are subnormal, so that flushing and rounding upwards would show.
    let (std, rows) = (1e-36, 64);
    let x = input(rows, 0.01);
    for machine in common::machines() {
        for (threads, subnormals) in
            [(1, Subnormals::Flush), (1, Subnormals::Keep), (3, Subnormals::Flush), (3, Subnormals::Keep)]
        {
            let compiled = conv(rows, std, threads, &machine, subnormals);
            let expected = run(&compiled, &x);
            // The flag of an invalid operation, which stays as it is.
            for word in [PLAIN | FLUSH, PLAIN | UP, PLAIN | FLUSH | UP | 1, PLAIN] {
                let (y, after) = run_under(word, &compiled, &x);
                assert_eq!(after, word, "{}, {threads} threads, {subnormals:?}", machine.name);
                assert!(
                    y == expected,
                    "{}, {threads} threads, {subnormals:?}: other bits under {word:x}",
                    machine.name
                );
            }
            let subnormal = expected.iter().filter(|y| y.is_subnormal()).count();
            assert_eq!(subnormal > 0, subnormals == Subnormals::Keep, "{}: {subnormal}", machine.name);
        }
    }
}

#[test]
fn helpers_flush_and_have_their_register_back() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("three threads");
    let rows = 256;
    let compiled = conv(rows, 1e-36, 3, &Machine::host(), Subnormals::Flush);
    let x = input(rows, 0.01);
    for word in [PLAIN, PLAIN | UP] {
        pool.broadcast(|_| set_control(word));
        let y = pool.install(|| run(&compiled, &x));
        assert!(y.iter().any(|y| *y != 0.0) && !y.iter().any(|y| y.is_subnormal()));
        assert_eq!(pool.broadcast(|_| control()), [word; 3]);
        pool.broadcast(|_| set_control(PLAIN));
    }
}

#[test]
fn subnormal_inputs_and_weights_count_as_zero() {
    for machine in common::machines() {
        let flushing = |std: f64| conv(8, std, 1, &machine, Subnormals::Flush);
        // Weights: flushed when they are packed, and counted.
        let compiled = flushing(1e-40);
        assert!(compiled.flushed() >= 16 * 16 * 9, "{}: {}", machine.name, compiled.flushed());
        assert!(run(&compiled, &input(8, 1e30)).iter().all(|y| *y == 0.0), "{}", machine.name);
        // Inputs: weights of 1e20 would make normal numbers of them.
        let compiled = flushing(1e20);
        assert_eq!(compiled.flushed(), 0);
        assert!(run(&compiled, &input(8, 1e-40)).iter().all(|y| *y == 0.0), "{}", machine.name);
        let kept = conv(8, 1e20, 1, &machine, Subnormals::Keep);
        assert!(run(&kept, &input(8, 1e-40)).iter().any(|y| *y != 0.0), "{}", machine.name);
    }
}

/// The parts of the CPU's state that are in use, as XGETBV says: bit 2 for the upper halves of the first 16 vectors, bit 6 for their upper 256 bits.
fn in_use() -> u32 {
    let low: u32;
    // SAFETY: asked for only where CPUID says that the register exists.
    unsafe { asm!("xgetbv", in("ecx") 1, out("eax") low, out("edx") _) };
    low
}

#[test]
fn upper_halves_of_vectors_are_clear_after_a_run() {
    let leaf = std::arch::x86_64::__cpuid_count(0xd, 1);
    if !std::arch::is_x86_feature_detected!("avx") || leaf.eax & 1 << 2 == 0 {
        return eprintln!("SKIPPED: this CPU does not say which state is in use");
    }
    let x = input(8, 1.0);
    for machine in common::machines() {
        let compiled = conv(8, 0.1, 1, &machine, Subnormals::Flush);
        let mut y = vec![f32::NAN; x.len()];
        // SAFETY: AVX is there, as was asked above; all vector registers are said to be clobbered.
        unsafe { asm!("vzeroupper", out("xmm0") _, clobber_abi("sysv64")) };
        compiled.run(&[&x], &mut [&mut y]).expect("it runs");
        assert_eq!(in_use() & (1 << 2 | 1 << 6), 0, "{}", machine.name);
    }
}

#[test]
fn the_x87_unit_is_left_alone() {
    let x = input(8, 1.0);
    for machine in common::machines() {
        let compiled = conv(8, 0.1, 1, &machine, Subnormals::Flush);
        let (mut before, mut after) = ([0u32; 7], [0u32; 7]);
        let mut y = vec![f32::NAN; x.len()];
        // SAFETY: stores the environment of the unit to a local of its 28 bytes, and loads it again, since storing masks exceptions.
        unsafe { asm!("fnstenv [{0}]", "fldenv [{0}]", in(reg) before.as_mut_ptr()) };
        compiled.run(&[&x], &mut [&mut y]).expect("it runs");
        // SAFETY: as before.
        unsafe { asm!("fnstenv [{0}]", "fldenv [{0}]", in(reg) after.as_mut_ptr()) };
        // Control, status and tag words; the rest says where the last instruction was.
        assert_eq!(before[..3], after[..3], "{}", machine.name);
    }
}
