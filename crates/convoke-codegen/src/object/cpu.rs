//! The choice of the code for the CPU that a program finds itself on.
//!
//! A function of fixed bytes asks `cpuid` and `xgetbv`; the answers are compared with masks that each variant's extensions need. The system must keep
//! the registers too: `xcr0` says so.

use convoke_machine::Machine;

use crate::error::CodegenError;

/// Words that [`ASK`] writes.
pub(super) const WORDS: usize = 7;

/// Code of a function that writes [`WORDS`] words of 32 bits to where its parameter points, in the System V convention: `ecx` of leaf 1; `edx`, `ebx` and
/// `ecx` of leaf 7; the low half of `xcr0`, 0 without it; `ecx` of leaf 0x80000001; `eax` of leaf 7, part 1.
pub(super) const ASK: &[u8] = &[
    0x53, // push rbx
    0x31, 0xc0, 0x0f, 0xa2, 0x89, 0xc6, // xor eax, eax; cpuid; mov esi, eax: the last leaf
    0x31, 0xc0, // xor eax, eax
    0x89, 0x47, 0x04, 0x89, 0x47, 0x08, 0x89, 0x47, 0x0c, // mov [rdi + 4], eax; + 8; + 12
    0x89, 0x47, 0x10, 0x89, 0x47, 0x18, // mov [rdi + 16], eax; + 24
    0xb8, 0x01, 0x00, 0x00, 0x00, 0x31, 0xc9, 0x0f, 0xa2, // mov eax, 1; xor ecx, ecx; cpuid
    0x89, 0x0f, // mov [rdi], ecx
    0x0f, 0xba, 0xe1, 0x1b, 0x73, 0x08, // bt ecx, 27; jnc over 8: does the system use xsave?
    0x31, 0xc9, 0x0f, 0x01, 0xd0, 0x89, 0x47, 0x10, // xor ecx, ecx; xgetbv; mov [rdi + 16], eax
    0x83, 0xfe, 0x07, 0x72, 0x21, // cmp esi, 7; jb over 33
    0xb8, 0x07, 0x00, 0x00, 0x00, 0x31, 0xc9, 0x0f, 0xa2, // mov eax, 7; xor ecx, ecx; cpuid
    0x89, 0x57, 0x04, 0x89, 0x5f, 0x08, 0x89, 0x4f, 0x0c, // mov [rdi + 4], edx; [rdi + 8], ebx; [rdi + 12], ecx
    0xb8, 0x07, 0x00, 0x00, 0x00, 0xb9, 0x01, 0x00, 0x00, 0x00, 0x0f, 0xa2, // mov eax, 7; mov ecx, 1; cpuid
    0x89, 0x47, 0x18, // mov [rdi + 24], eax
    0xb8, 0x01, 0x00, 0x00, 0x80, 0x31, 0xc9, 0x0f, 0xa2, // mov eax, 0x80000001; xor ecx, ecx; cpuid
    0x89, 0x4f, 0x14, // mov [rdi + 20], ecx
    0x5b, 0xc3, // pop rbx; ret
];

/// The word of [`ASK`] with `xcr0`; the registers of AVX and of AVX-512 that the system must keep.
const XCR0: (usize, u32, u32) = (4, 0x06, 0xe6);

/// Word and bit of each extension, by its name in machine descriptions.
const BITS: &[(&str, usize, u32)] = &[
    ("sse3", 0, 0),
    ("ssse3", 0, 9),
    ("fma", 0, 12),
    ("cmpxchg16b", 0, 13),
    ("sse41", 0, 19),
    ("sse42", 0, 20),
    ("popcnt", 0, 23),
    ("avx", 0, 28),
    ("f16c", 0, 29),
    ("avx512fp16", 1, 23),
    ("bmi1", 2, 3),
    ("avx2", 2, 5),
    ("bmi2", 2, 8),
    ("avx512f", 2, 16),
    ("avx512dq", 2, 17),
    ("avx512cd", 2, 28),
    ("avx512bw", 2, 30),
    ("avx512vl", 2, 31),
    ("avx512vbmi", 3, 1),
    ("avx512vnni", 3, 11),
    ("avx512bitalg", 3, 12),
    ("lzcnt", 5, 5),
    ("avx_vnni", 6, 4),
];

/// The bits of each word that `machine` needs; `None` where every CPU of the architecture has enough.
pub(super) fn masks(machine: &Machine) -> Result<Option<[u32; WORDS]>, CodegenError> {
    if machine.arch != "x86_64" || machine.features.is_empty() {
        return Ok(None);
    }
    let mut masks = [0; WORDS];
    for feature in &machine.features {
        let Some((_, word, bit)) = BITS.iter().find(|(name, ..)| name == feature) else {
            return Err(CodegenError::Internal(format!("the object cannot ask a CPU for `{feature}`")));
        };
        masks[*word] |= 1 << bit;
        let (word, avx, avx512) = XCR0;
        match feature.as_str() {
            feature if feature.starts_with("avx512") => masks[word] |= avx512,
            "avx" | "avx2" | "fma" | "f16c" | "avx_vnni" => masks[word] |= avx,
            _ => {}
        }
    }
    Ok(Some(masks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_extension_of_every_machine_can_be_asked_for() {
        for name in Machine::NAMES {
            let machine = Machine::named(name).expect("a known name");
            let masks = masks(&machine).expect("all bits are known");
            assert_eq!(masks.is_some(), machine.arch == "x86_64" && !machine.features.is_empty(), "{name}");
        }
        let [_, _, ebx, _, xcr0, ..] = masks(&Machine::x86_64_v3()).expect("known").expect("AVX2");
        assert_eq!((ebx & 1 << 5 != 0, xcr0), (true, 6));
    }

    /// The bytes, run here, say what the standard library says.
    #[cfg(all(target_arch = "x86_64", unix))]
    #[test]
    fn the_question_is_answered_as_by_the_standard_library() {
        use cranelift_jit::{JITBuilder, JITModule};
        use cranelift_module::{Linkage, Module, default_libcall_names};

        let builder = JITBuilder::new(default_libcall_names()).expect("this machine");
        let mut module = JITModule::new(builder);
        let signature = module.make_signature();
        let id = module.declare_function("ask", Linkage::Local, &signature).expect("a new name");
        module.define_function_bytes(id, 16, ASK, &[]).expect("bytes");
        module.finalize_definitions().expect("executable memory");
        let mut words = [u32::MAX; WORDS];
        // SAFETY: the function writes as many words as there are, and keeps what the System V convention asks for.
        unsafe {
            let ask = std::mem::transmute::<*const u8, extern "sysv64" fn(*mut u32)>(module.get_finalized_function(id));
            ask(words.as_mut_ptr());
        }
        for (name, word, bit) in BITS {
            let machine = Machine { features: vec![(*name).into()], ..Machine::x86_64_v3() };
            let masks = masks(&machine).expect("known").expect("x86-64");
            let answered = words.iter().zip(masks).all(|(word, mask)| word & mask == mask);
            assert_eq!(answered, machine.runs_on_host().is_ok(), "{name}: word {word}, bit {bit}");
        }
    }
}
