//! Object files: the same bytes each time, and in a C program the same bits as in this process.
//!
//! The C program puts every array and the workspace against a page that faults, once behind and, where its start is on
//! a page, once before.

#![cfg(unix)]

mod common;

use std::path::Path;
use std::process::Command;

use convoke_codegen::{CodegenError, Export, Net, header, object};
use convoke_ir::loops::{self, Program};
use convoke_machine::Machine;

/// Needs constants, prepared constants and, by `im2col(explicit)`, workspace.
fn source(algorithm: &str, layout: &str) -> String {
    let (x, y) = if layout.is_empty() { ([1, 5, 9, 11], [1, 7, 9, 11]) } else { ([1, 9, 11, 5], [1, 9, 11, 7]) };
    format!(
        "layer @l(%x: f32{x:?}{layout}) -> f32{y:?}{layout} {{\n  %w = const f32[7, 5, 3, 3] = normal(seed = 1)\n  \
         %b = const f32[7] = normal(seed = 2)\n  \
         %0 = conv2d %x, %w {{ pads = [1, 1, 1, 1], algorithm = {algorithm} }} then bias %b then silu\n  return %0\n}}\n"
    )
}

const ELEMENTS: [usize; 2] = [5 * 9 * 11, 7 * 9 * 11];

fn object_of(program: &Program, machine: &Machine) -> Vec<u8> {
    let verified = loops::verify(program).expect("the pass manager verified it");
    object(&[Net::new(verified, machine)], &common::constants, &Export::default()).expect("it compiles").bytes
}

#[test]
fn the_same_bytes_each_time() {
    for machine in Machine::NAMES.iter().map(|name| Machine::named(name).expect("listed")) {
        for algorithm in ["direct", "im2col", "im2col(explicit)"] {
            let text = source(algorithm, "");
            let first = object_of(&common::program(&text, &machine), &machine);
            let second = object_of(&common::program(&text, &machine), &machine);
            assert!(first == second, "{algorithm} for {}", machine.name);
        }
    }
}

/// Runs `l` on numbers that the test gives too, between guard pages, and prints the bits of the result, once for each side. The second time the
/// caller rounds upwards and flushes subnormal numbers, and has both back.
const MAIN: &str = r#"
#define _DEFAULT_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "l.h"

#if defined(__x86_64__)
#define UPWARDS_FLUSHED 0xdfc0ul
static unsigned long control(void) { unsigned v; __asm__ volatile("stmxcsr %0" : "=m"(v)); return v; }
static void set_control(unsigned long v) { unsigned w = (unsigned)v; __asm__ volatile("ldmxcsr %0" : : "m"(w)); }
#elif defined(__aarch64__)
#define UPWARDS_FLUSHED 0x1400000ul
static unsigned long control(void) { unsigned long v; __asm__ volatile("mrs %0, fpcr" : "=r"(v)); return v; }
static void set_control(unsigned long v) { __asm__ volatile("msr fpcr, %0" : : "r"(v)); }
#else
#define UPWARDS_FLUSHED 0ul
static unsigned long control(void) { return 0; }
static void set_control(unsigned long v) { (void)v; }
#endif

static void *guarded(size_t bytes, int at_end) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), inner = (bytes + page - 1) / page * page;
  char *map = mmap(NULL, inner + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
  if (map == MAP_FAILED || mprotect(map, page, PROT_NONE) || mprotect(map + page + inner, page, PROT_NONE)) _exit(3);
  return map + page + (at_end ? inner - bytes : 0);
}

int main(void) {
  for (int at_end = 0; at_end < 2; at_end++) {
    float *x = guarded(INPUTS * sizeof(float), at_end), *y = guarded(OUTPUTS * sizeof(float), at_end);
    void *workspace = guarded(CONVOKE_L_WORKSPACE_BYTES, at_end);
    if ((uintptr_t)workspace % CONVOKE_L_WORKSPACE_ALIGN) return 4;
    for (int i = 0; i < INPUTS; i++) x[i] = (float)(i % 23 - 11) / 8.0f;
    unsigned long before = control();
    if (at_end) set_control(UPWARDS_FLUSHED);
    unsigned long expected = control();
    if (convoke_l(x, y, CONVOKE_L_WORKSPACE_BYTES ? workspace : NULL) != CONVOKE_OK) return 6;
    if (control() != expected) return 5;
    set_control(before);
    for (int i = 0; i < OUTPUTS; i++) {
      uint32_t bits;
      memcpy(&bits, y + i, 4);
      printf("%08x\n", (unsigned)bits);
    }
  }
  return 0;
}
"#;

fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    std::fs::write(folder.join(name), bytes).expect("the temporary folder can be written");
}

/// A layer may have any name that loop IR allows; the function's name is one that C and C++ take, without a warning.
#[test]
fn names_that_c_has_taken_get_a_prefix() {
    let names =
        ["nullptr", "and_eq", "int", "main", "expf", "environ", "sbrk", "memcpy", "y0", "linux", "conv_3x3", "a.b"];
    let machine = Machine::x86_64_v3();
    let program = common::program(&source("direct", ""), &machine);
    let mut all = String::new();
    for name in names {
        let program = Program { name: name.into(), ..program.clone() };
        let verified = loops::verify(&program).expect("the name is an identifier");
        let net = [Net::new(verified, &machine)];
        let text = header(&net, &Export::default()).expect("no name with the prefix is taken");
        let (name, exact) = (name.replace('.', "_"), Export { prefix: String::new(), ..Export::default() });
        assert!(text.contains(&format!("int convoke_{name}(")), "{text}");
        assert!(text.contains(&format!("#define CONVOKE_{}_WORKSPACE_BYTES", name.to_uppercase())), "{text}");
        match (header(&net, &exact), object(&net, &common::constants, &exact)) {
            (Ok(text), Ok(_)) if ["conv_3x3", "a_b"].contains(&&*name) => {
                assert!(text.contains(&format!("int {name}(")), "{text}");
            }
            (Err(CodegenError::Symbol { .. }), Err(CodegenError::Symbol { .. })) => {}
            (text, object) => panic!("{name}: {text:?}, an object: {}", object.is_ok()),
        }
        all.push_str(&text);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    // The library's declarations are there too.
    write(folder.path(), "all.h", "#include <math.h>\n#include <string.h>\n#include <unistd.h>\n".to_owned() + &all);
    for language in ["c", "c++"] {
        let mut compiler = Command::new("cc");
        compiler.args(["-fsyntax-only", "-Wall", "-Werror", "-x", language, "all.h"]).current_dir(folder.path());
        let Ok(checked) = compiler.output() else { return eprintln!("SKIPPED: there is no C compiler `cc`") };
        let complaint = String::from_utf8_lossy(&checked.stderr);
        // A C compiler may come without its C++ half.
        if complaint.contains("cc1plus") {
            eprintln!("SKIPPED for C++: {complaint}");
            continue;
        }
        assert!(checked.status.success(), "{language}: {complaint}");
    }
}

#[test]
fn a_c_program_gets_the_bits_of_the_jit() {
    if Command::new("cc").arg("--version").output().is_err() {
        return eprintln!("SKIPPED a_c_program_gets_the_bits_of_the_jit: there is no C compiler `cc`");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let x: Vec<f32> = (0..ELEMENTS[0]).map(|i| (i as i32 % 23 - 11) as f32 / 8.0).collect();
    let machine = Machine::host();
    let mut with_workspace = 0;
    for (algorithm, layout) in
        [("direct", ""), ("im2col", " nhwc"), ("im2col(explicit)", ""), ("im2col(explicit)", " nhwc")]
    {
        let text = source(algorithm, layout);
        let program = common::program(&text, &machine);
        let verified = loops::verify(&program).expect("the pass manager verified it");
        let declarations = header(&[Net::new(verified, &machine)], &Export::default()).expect("the name is free");
        with_workspace += usize::from(!declarations.contains("#define CONVOKE_L_WORKSPACE_BYTES 0\n"));
        write(folder, "l.h", declarations);
        write(folder, "l.o", object_of(&program, &machine));
        write(folder, "main.c", MAIN);
        let built = Command::new("cc")
            .args(["-std=c11", "-Wall", "-Wextra", "-Werror"])
            .args([format!("-DINPUTS={}", ELEMENTS[0]), format!("-DOUTPUTS={}", ELEMENTS[1])])
            .args(["-o", "main", "main.c", "l.o"])
            .current_dir(folder)
            .output()
            .expect("`cc` was there a moment ago");
        assert!(built.status.success(), "{algorithm}{layout}: {}", String::from_utf8_lossy(&built.stderr));
        let run = Command::new(folder.join("main")).output().expect("it starts");
        assert!(run.status.success(), "{algorithm}{layout}: {}", run.status);
        let mut y = vec![f32::NAN; ELEMENTS[1]];
        common::compiled(&text, 1).run(&[&x], &mut [&mut y]).expect("it runs");
        let expected: Vec<String> = y.iter().chain(&y).map(|v| format!("{:08x}", v.to_bits())).collect();
        let printed = String::from_utf8(run.stdout).expect("digits");
        assert!(printed.lines().eq(expected.iter()), "{algorithm}{layout}: the object computes other bits");
    }
    assert!(with_workspace > 0, "no program needs a workspace, so none was guarded");
}
