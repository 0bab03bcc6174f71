//! A C program that runs functions of object files on numbers from files, and writes what they compute.

use std::fmt::Write;

use convoke::TensorType;

/// Files in and out. The caller rounds upwards, and must find this so after each call. Memory is full of a NaN before it is used.
const HEAD: &str = r#"#include <fenv.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *memory(size_t bytes) {
  char *all = malloc(bytes + 64);
  if (!all) exit(2);
  memset(all, 0xff, bytes + 64);
  return all + (64 - (uintptr_t)all % 64);
}

static void *numbers(const char *name, size_t bytes) {
  void *all = memory(bytes);
  FILE *file = fopen(name, "rb");
  if (!file || fread(all, 1, bytes, file) != bytes || fclose(file)) exit(3);
  return all;
}

static void keep(const char *name, const void *all, size_t bytes) {
  FILE *file = fopen(name, "wb");
  if (!file || fwrite(all, 1, bytes, file) != bytes || fclose(file)) exit(4);
}
"#;

/// A function of a program.
pub(crate) struct Function {
    /// The name in C, with its prefix.
    pub(crate) symbol: String,
    pub(crate) inputs: Vec<TensorType>,
    pub(crate) outputs: Vec<TensorType>,
    /// Whether its weights are in the file `SYMBOL.weights`.
    pub(crate) weights_beside: bool,
}

impl Function {
    /// The file of an input or output of the function.
    pub(crate) fn file(&self, kind: &str, index: usize) -> String {
        format!("{}.{kind}{index}", self.symbol)
    }
}

/// The program that runs `functions`, each with its header. `kept` has the first, of one input and one output, called by [`KEPT`].
pub(crate) fn main(functions: &[Function], kept: bool) -> String {
    let mut text = HEAD.to_owned();
    for function in functions {
        let _ = writeln!(text, "#include \"{}.h\"", function.symbol);
    }
    if kept {
        text += "unsigned kept(void (*f)(void), const void *x, void *y, void *workspace);\n";
    }
    text += "int main(void) {\n  fesetround(FE_UPWARD);\n";
    for (at, function) in functions.iter().enumerate() {
        let Function { symbol, inputs, outputs, weights_beside } = function;
        let mut args = Vec::new();
        text += "  {\n";
        for (i, ty) in inputs.iter().enumerate() {
            let _ = writeln!(text, "    void *x{i} = numbers(\"{}\", {});", function.file("x", i), ty.bytes());
            args.push(format!("x{i}"));
        }
        for (i, ty) in outputs.iter().enumerate() {
            let _ = writeln!(text, "    void *y{i} = memory({});", ty.bytes());
            args.push(format!("y{i}"));
        }
        if *weights_beside {
            let _ = writeln!(text, "    void *weights = numbers(\"{symbol}.weights\", {symbol}_weights_bytes());");
            args.push("weights".into());
        }
        let _ = writeln!(text, "    void *w = memory({}_WORKSPACE_BYTES);", symbol.to_uppercase());
        args.push("w".into());
        let args = args.join(", ");
        if kept && at == 0 {
            let _ = writeln!(text, "    if (kept((void (*)(void)){symbol}, {args})) return 5;");
        } else {
            let _ = writeln!(text, "    if ({symbol}({args}) != CONVOKE_OK) return 7;");
        }
        text += "    if (fegetround() != FE_UPWARD) return 6;\n";
        for (i, ty) in outputs.iter().enumerate() {
            let _ = writeln!(text, "    keep(\"{}\", y{i}, {});", function.file("y", i), ty.bytes());
        }
        text += "  }\n";
    }
    text + "  return 0;\n}\n"
}

/// A caller in assembly that has a number in every register that Windows' convention gives back, and tells which came back changed:
/// bits 0 to 7 for rbx, rbp, rdi, rsi and r12 to r15, bits 8 to 17 for xmm6 to xmm15.
pub(crate) fn kept() -> String {
    let general = ["rbx", "rbp", "rdi", "rsi", "r12", "r13", "r14", "r15"];
    let mut text = String::from(".text\n.globl kept\nkept:\n");
    general.iter().for_each(|r| text += &format!("  pushq %{r}\n"));
    // The callee's 32 bytes, ten vectors, and 8 for the boundary of 16.
    text += "  subq $200, %rsp\n";
    (6..16).for_each(|i| text += &format!("  movups %xmm{i}, {}(%rsp)\n", 32 + 16 * (i - 6)));
    text += "  movq %rcx, %rax\n  movq %rdx, %rcx\n  movq %r8, %rdx\n  movq %r9, %r8\n";
    general.iter().enumerate().for_each(|(i, r)| text += &format!("  movabsq ${}, %{r}\n", pattern(i)));
    (6..16).for_each(|i| text += &format!("  pcmpeqd %xmm{i}, %xmm{i}\n"));
    text += "  call *%rax\n  xorl %eax, %eax\n";
    for (i, register) in general.iter().enumerate() {
        text += &format!("  movabsq ${}, %rcx\n  cmpq %rcx, %{register}\n", pattern(i));
        text += &format!("  je 1f\n  orl ${}, %eax\n1:\n", 1 << i);
    }
    text += "  pcmpeqd %xmm0, %xmm0\n";
    for i in 6..16 {
        text += &format!("  movaps %xmm0, %xmm1\n  pcmpeqd %xmm{i}, %xmm1\n  pmovmskb %xmm1, %ecx\n");
        text += &format!("  cmpl $65535, %ecx\n  je 1f\n  orl ${}, %eax\n1:\n", 1 << (i + 2));
    }
    (6..16).for_each(|i| text += &format!("  movups {}(%rsp), %xmm{i}\n", 32 + 16 * (i - 6)));
    text += "  addq $200, %rsp\n";
    general.iter().rev().for_each(|r| text += &format!("  popq %{r}\n"));
    text + "  ret\n"
}

fn pattern(register: usize) -> u64 {
    0x1234_5678_9abc_def0 + register as u64
}
