//! The floating-point control register: what generated code runs with, and how callers get theirs back.
//!
//! ```text
//!              caller's word ──saved──┐
//!   word of the mode ──► register     │    round to nearest, no traps, subnormals as the mode says
//!                        kernel       │
//!                        register ◄───┘    with the exception flags of before
//! ```
//!
//! A run gives the same bits whatever its callers set: rounding, flushing to zero, traps. x86-64 has the word in MXCSR, aarch64 in FPCR,
//! riscv64 in FCSR, s390x in FPC; the last two cannot flush. In this
//! process [`call`] sets it around each kernel, on whatever thread the kernel runs, so that no Rust code meets a changed register. In an object file the exported function
//! calls [`exchange`] first and last. The x87 unit is not used. Cost: some 20 cycles for each call of a kernel.

use convoke_ir::elem::Subnormals;

use crate::jit::Kernel;

/// MXCSR as programs find it: rounding to nearest, all exceptions masked.
const MXCSR: u64 = 0x1f80;
/// MXCSR: results that are subnormal become zero, operands that are subnormal count as zero.
const MXCSR_FLUSH: u64 = 1 << 15 | 1 << 6;
/// FPCR: both for results and operands. All other bits are 0: rounding to nearest, no traps.
const FPCR_FLUSH: u64 = 1 << 24;

/// The word that kernels run with on an architecture; `None` where convoke knows no such register.
pub(crate) fn word(arch: &str, subnormals: Subnormals) -> Option<u64> {
    let (word, flush) = match arch {
        "x86_64" => (MXCSR, MXCSR_FLUSH),
        "aarch64" => (0, FPCR_FLUSH),
        // Rounding to nearest, no traps, no flags.
        "riscv64" | "s390x" => (0, 0),
        _ => return None,
    };
    Some(if subnormals == Subnormals::Flush { word | flush } else { word })
}

/// Code of a function `word ↦ word before` that writes the register, in the convention that generated functions call each other by.
pub(crate) fn exchange(arch: &str) -> Option<&'static [u8]> {
    match arch {
        "x86_64" => Some(&[
            0x57, // push rdi
            0x50, // push rax
            0x0f, 0xae, 0x1c, 0x24, // stmxcsr [rsp]
            0x0f, 0xae, 0x54, 0x24, 0x08, // ldmxcsr [rsp + 8]
            0x8b, 0x04, 0x24, // mov eax, [rsp]
            0x48, 0x83, 0xc4, 0x10, // add rsp, 16
            0xc3, // ret
        ]),
        "aarch64" => Some(&[
            0x09, 0x44, 0x3b, 0xd5, // mrs x9, fpcr
            0x00, 0x44, 0x1b, 0xd5, // msr fpcr, x0
            0xe0, 0x03, 0x09, 0xaa, // mov x0, x9
            0xc0, 0x03, 0x5f, 0xd6, // ret
        ]),
        "riscv64" => Some(&[
            0x73, 0x15, 0x35, 0x00, // fscsr a0, a0
            0x67, 0x80, 0x00, 0x00, // ret
        ]),
        "s390x" => Some(&[
            0xb3, 0x8c, 0x00, 0x10, // efpc r1
            0xb3, 0x84, 0x00, 0x20, // sfpc r2
            0xb9, 0x16, 0x00, 0x21, // llgfr r2, r1
            0x07, 0xfe, // br r14
        ]),
        _ => None,
    }
}

/// The arguments of a kernel; see [`crate::convention`].
pub(crate) struct Arguments {
    /// One pointer for each parameter.
    pub(crate) slots: *const *mut u8,
    /// Memory for locals.
    pub(crate) local: *mut u8,
    /// Iterations of the parallel loop.
    pub(crate) range: (i64, i64),
}

/// Calls a kernel with subnormals as said, and gives the thread its register back as it was.
///
/// # Safety
///
/// The kernel may be called with these arguments.
#[cfg(target_arch = "x86_64")]
pub(crate) unsafe fn call(kernel: Kernel, arguments: &Arguments, subnormals: Subnormals) {
    let word = word("x86_64", subnormals).expect("a known architecture") as u32;
    // SAFETY: the kernel follows the System V convention, whose registers are said to be clobbered; the stack is aligned to 16 bytes
    // before and after 16 are taken; the word sets no reserved bit; the caller's word is back before Rust code runs again. The rest is the caller's promise.
    unsafe {
        std::arch::asm!(
            "sub rsp, 16",
            "stmxcsr dword ptr [rsp]",
            "mov dword ptr [rsp + 4], {word:e}",
            "ldmxcsr dword ptr [rsp + 4]",
            "call rax",
            "ldmxcsr dword ptr [rsp]",
            "add rsp, 16",
            word = in(reg) word,
            in("rax") kernel,
            in("rdi") arguments.slots,
            in("rsi") arguments.local,
            in("rdx") arguments.range.0,
            in("rcx") arguments.range.1,
            clobber_abi("sysv64"),
        );
    }
}

/// Calls a kernel with subnormals as said, and gives the thread its register back as it was.
///
/// # Safety
///
/// The kernel may be called with these arguments.
#[cfg(target_arch = "aarch64")]
pub(crate) unsafe fn call(kernel: Kernel, arguments: &Arguments, subnormals: Subnormals) {
    let word = word("aarch64", subnormals).expect("a known architecture");
    // SAFETY: the kernel follows the platform's C convention, whose registers are said to be clobbered; it gives x20 back; the word sets
    // no reserved bit; the caller's word is back before Rust code runs again. The rest is the caller's promise.
    unsafe {
        std::arch::asm!(
            "mrs x20, fpcr",
            "msr fpcr, {word}",
            "blr x9",
            "msr fpcr, x20",
            word = in(reg) word,
            out("x20") _,
            in("x9") kernel,
            in("x0") arguments.slots,
            in("x1") arguments.local,
            in("x2") arguments.range.0,
            in("x3") arguments.range.1,
            clobber_abi("C"),
        );
    }
}

/// Calls a kernel. This architecture's register is left as it is.
///
/// # Safety
///
/// The kernel may be called with these arguments.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) unsafe fn call(kernel: Kernel, arguments: &Arguments, _: Subnormals) {
    // SAFETY: the caller's promise.
    unsafe { kernel(arguments.slots, arguments.local, arguments.range.0, arguments.range.1) }
}
