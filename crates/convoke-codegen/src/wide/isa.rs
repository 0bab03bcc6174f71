//! Which instruction does what, by element type, vector length and encoding: the only place that names opcodes of vector
//! instructions.

use convoke_ir::elem::Elem;
use iced_x86::Code::{self, *};

/// The length of a vector register as an instruction sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Length {
    /// 128 bits.
    X,
    /// 256 bits.
    Y,
    /// 512 bits.
    Z,
}

impl Length {
    /// The shortest that holds so many bytes.
    pub(super) fn of(bytes: usize) -> Length {
        match bytes {
            0..=16 => Length::X,
            17..=32 => Length::Y,
            _ => Length::Z,
        }
    }

    pub(super) fn bytes(self) -> usize {
        16 << self as usize
    }
}

/// What instructions there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Isa {
    /// AVX-512 with its vector length extension: EVEX encodings, 32 registers, masks. Otherwise AVX2 and FMA: VEX, 16 registers.
    pub(super) evex: bool,
    /// Whether there are instructions that convert `f16`.
    pub(super) converts: bool,
}

impl Isa {
    /// Bytes of the longest vector.
    pub(super) fn bytes(self) -> usize {
        if self.evex { 64 } else { 32 }
    }

    /// Vector registers.
    pub(super) fn registers(self) -> usize {
        if self.evex { 32 } else { 16 }
    }

    /// The form of an instruction for this element type and length.
    pub(super) fn form(self, forms: &Forms, elem: Elem, length: Length) -> Code {
        let row = &forms[usize::from(elem.bytes() == 8)];
        match (self.evex, length) {
            (true, length) => row[2 + length as usize],
            (false, Length::X) => row[0],
            (false, _) => row[1],
        }
    }
}

/// For lanes of 4 and of 8 bytes: VEX of 128 and 256 bits, EVEX of 128, 256 and 512 bits.
pub(super) type Forms = [[Code; 5]; 2];

/// An instruction with two sources, the second of which may be memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Add,
    Sub,
    Mul,
    Div,
    /// The second if either is NaN.
    Min,
    /// The second if either is NaN.
    Max,
    /// `first = second · third + first`.
    Fma231,
    /// `first = second · first + third`.
    Fma213,
    /// Interleaves the lower halves of each 128 bits.
    UnpackLow,
    /// Interleaves the upper halves of each 128 bits.
    UnpackHigh,
    And,
    Or,
    Xor,
    /// As integers.
    AddBits,
    /// AVX-512: lanes of two vectors by the indices in the first, which the result overwrites.
    Permute2,
    /// The same, with the indices in the second, and the result in place of the first of the two vectors.
    Permute2Table,
}

impl Op {
    pub(super) fn forms(self) -> &'static Forms {
        match self {
            Op::Add => &ADD,
            Op::Sub => &SUB,
            Op::Mul => &MUL,
            Op::Div => &DIV,
            Op::Min => &MIN,
            Op::Max => &MAX,
            Op::Fma231 => &FMA231,
            Op::Fma213 => &FMA213,
            Op::UnpackLow => &UNPACK_LOW,
            Op::UnpackHigh => &UNPACK_HIGH,
            Op::And => &AND,
            Op::Or => &OR,
            Op::Xor => &XOR,
            Op::AddBits => &ADD_BITS,
            Op::Permute2 => &PERMUTE2,
            Op::Permute2Table => &PERMUTE2_TABLE,
        }
    }
}

const ADD: Forms = [
    [
        VEX_Vaddps_xmm_xmm_xmmm128,
        VEX_Vaddps_ymm_ymm_ymmm256,
        EVEX_Vaddps_xmm_k1z_xmm_xmmm128b32,
        EVEX_Vaddps_ymm_k1z_ymm_ymmm256b32,
        EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er,
    ],
    [
        VEX_Vaddpd_xmm_xmm_xmmm128,
        VEX_Vaddpd_ymm_ymm_ymmm256,
        EVEX_Vaddpd_xmm_k1z_xmm_xmmm128b64,
        EVEX_Vaddpd_ymm_k1z_ymm_ymmm256b64,
        EVEX_Vaddpd_zmm_k1z_zmm_zmmm512b64_er,
    ],
];

const SUB: Forms = [
    [
        VEX_Vsubps_xmm_xmm_xmmm128,
        VEX_Vsubps_ymm_ymm_ymmm256,
        EVEX_Vsubps_xmm_k1z_xmm_xmmm128b32,
        EVEX_Vsubps_ymm_k1z_ymm_ymmm256b32,
        EVEX_Vsubps_zmm_k1z_zmm_zmmm512b32_er,
    ],
    [
        VEX_Vsubpd_xmm_xmm_xmmm128,
        VEX_Vsubpd_ymm_ymm_ymmm256,
        EVEX_Vsubpd_xmm_k1z_xmm_xmmm128b64,
        EVEX_Vsubpd_ymm_k1z_ymm_ymmm256b64,
        EVEX_Vsubpd_zmm_k1z_zmm_zmmm512b64_er,
    ],
];

const MUL: Forms = [
    [
        VEX_Vmulps_xmm_xmm_xmmm128,
        VEX_Vmulps_ymm_ymm_ymmm256,
        EVEX_Vmulps_xmm_k1z_xmm_xmmm128b32,
        EVEX_Vmulps_ymm_k1z_ymm_ymmm256b32,
        EVEX_Vmulps_zmm_k1z_zmm_zmmm512b32_er,
    ],
    [
        VEX_Vmulpd_xmm_xmm_xmmm128,
        VEX_Vmulpd_ymm_ymm_ymmm256,
        EVEX_Vmulpd_xmm_k1z_xmm_xmmm128b64,
        EVEX_Vmulpd_ymm_k1z_ymm_ymmm256b64,
        EVEX_Vmulpd_zmm_k1z_zmm_zmmm512b64_er,
    ],
];

const DIV: Forms = [
    [
        VEX_Vdivps_xmm_xmm_xmmm128,
        VEX_Vdivps_ymm_ymm_ymmm256,
        EVEX_Vdivps_xmm_k1z_xmm_xmmm128b32,
        EVEX_Vdivps_ymm_k1z_ymm_ymmm256b32,
        EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er,
    ],
    [
        VEX_Vdivpd_xmm_xmm_xmmm128,
        VEX_Vdivpd_ymm_ymm_ymmm256,
        EVEX_Vdivpd_xmm_k1z_xmm_xmmm128b64,
        EVEX_Vdivpd_ymm_k1z_ymm_ymmm256b64,
        EVEX_Vdivpd_zmm_k1z_zmm_zmmm512b64_er,
    ],
];

const MIN: Forms = [
    [
        VEX_Vminps_xmm_xmm_xmmm128,
        VEX_Vminps_ymm_ymm_ymmm256,
        EVEX_Vminps_xmm_k1z_xmm_xmmm128b32,
        EVEX_Vminps_ymm_k1z_ymm_ymmm256b32,
        EVEX_Vminps_zmm_k1z_zmm_zmmm512b32_sae,
    ],
    [
        VEX_Vminpd_xmm_xmm_xmmm128,
        VEX_Vminpd_ymm_ymm_ymmm256,
        EVEX_Vminpd_xmm_k1z_xmm_xmmm128b64,
        EVEX_Vminpd_ymm_k1z_ymm_ymmm256b64,
        EVEX_Vminpd_zmm_k1z_zmm_zmmm512b64_sae,
    ],
];

const MAX: Forms = [
    [
        VEX_Vmaxps_xmm_xmm_xmmm128,
        VEX_Vmaxps_ymm_ymm_ymmm256,
        EVEX_Vmaxps_xmm_k1z_xmm_xmmm128b32,
        EVEX_Vmaxps_ymm_k1z_ymm_ymmm256b32,
        EVEX_Vmaxps_zmm_k1z_zmm_zmmm512b32_sae,
    ],
    [
        VEX_Vmaxpd_xmm_xmm_xmmm128,
        VEX_Vmaxpd_ymm_ymm_ymmm256,
        EVEX_Vmaxpd_xmm_k1z_xmm_xmmm128b64,
        EVEX_Vmaxpd_ymm_k1z_ymm_ymmm256b64,
        EVEX_Vmaxpd_zmm_k1z_zmm_zmmm512b64_sae,
    ],
];

const FMA231: Forms = [
    [
        VEX_Vfmadd231ps_xmm_xmm_xmmm128,
        VEX_Vfmadd231ps_ymm_ymm_ymmm256,
        EVEX_Vfmadd231ps_xmm_k1z_xmm_xmmm128b32,
        EVEX_Vfmadd231ps_ymm_k1z_ymm_ymmm256b32,
        EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er,
    ],
    [
        VEX_Vfmadd231pd_xmm_xmm_xmmm128,
        VEX_Vfmadd231pd_ymm_ymm_ymmm256,
        EVEX_Vfmadd231pd_xmm_k1z_xmm_xmmm128b64,
        EVEX_Vfmadd231pd_ymm_k1z_ymm_ymmm256b64,
        EVEX_Vfmadd231pd_zmm_k1z_zmm_zmmm512b64_er,
    ],
];

const FMA213: Forms = [
    [
        VEX_Vfmadd213ps_xmm_xmm_xmmm128,
        VEX_Vfmadd213ps_ymm_ymm_ymmm256,
        EVEX_Vfmadd213ps_xmm_k1z_xmm_xmmm128b32,
        EVEX_Vfmadd213ps_ymm_k1z_ymm_ymmm256b32,
        EVEX_Vfmadd213ps_zmm_k1z_zmm_zmmm512b32_er,
    ],
    [
        VEX_Vfmadd213pd_xmm_xmm_xmmm128,
        VEX_Vfmadd213pd_ymm_ymm_ymmm256,
        EVEX_Vfmadd213pd_xmm_k1z_xmm_xmmm128b64,
        EVEX_Vfmadd213pd_ymm_k1z_ymm_ymmm256b64,
        EVEX_Vfmadd213pd_zmm_k1z_zmm_zmmm512b64_er,
    ],
];

const UNPACK_LOW: Forms = [
    [
        VEX_Vunpcklps_xmm_xmm_xmmm128,
        VEX_Vunpcklps_ymm_ymm_ymmm256,
        EVEX_Vunpcklps_xmm_k1z_xmm_xmmm128b32,
        EVEX_Vunpcklps_ymm_k1z_ymm_ymmm256b32,
        EVEX_Vunpcklps_zmm_k1z_zmm_zmmm512b32,
    ],
    [
        VEX_Vunpcklpd_xmm_xmm_xmmm128,
        VEX_Vunpcklpd_ymm_ymm_ymmm256,
        EVEX_Vunpcklpd_xmm_k1z_xmm_xmmm128b64,
        EVEX_Vunpcklpd_ymm_k1z_ymm_ymmm256b64,
        EVEX_Vunpcklpd_zmm_k1z_zmm_zmmm512b64,
    ],
];

const UNPACK_HIGH: Forms = [
    [
        VEX_Vunpckhps_xmm_xmm_xmmm128,
        VEX_Vunpckhps_ymm_ymm_ymmm256,
        EVEX_Vunpckhps_xmm_k1z_xmm_xmmm128b32,
        EVEX_Vunpckhps_ymm_k1z_ymm_ymmm256b32,
        EVEX_Vunpckhps_zmm_k1z_zmm_zmmm512b32,
    ],
    [
        VEX_Vunpckhpd_xmm_xmm_xmmm128,
        VEX_Vunpckhpd_ymm_ymm_ymmm256,
        EVEX_Vunpckhpd_xmm_k1z_xmm_xmmm128b64,
        EVEX_Vunpckhpd_ymm_k1z_ymm_ymmm256b64,
        EVEX_Vunpckhpd_zmm_k1z_zmm_zmmm512b64,
    ],
];

const AND: Forms = [
    [
        VEX_Vandps_xmm_xmm_xmmm128,
        VEX_Vandps_ymm_ymm_ymmm256,
        EVEX_Vpandd_xmm_k1z_xmm_xmmm128b32,
        EVEX_Vpandd_ymm_k1z_ymm_ymmm256b32,
        EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32,
    ],
    [
        VEX_Vandpd_xmm_xmm_xmmm128,
        VEX_Vandpd_ymm_ymm_ymmm256,
        EVEX_Vpandq_xmm_k1z_xmm_xmmm128b64,
        EVEX_Vpandq_ymm_k1z_ymm_ymmm256b64,
        EVEX_Vpandq_zmm_k1z_zmm_zmmm512b64,
    ],
];

const OR: Forms = [
    [
        VEX_Vorps_xmm_xmm_xmmm128,
        VEX_Vorps_ymm_ymm_ymmm256,
        EVEX_Vpord_xmm_k1z_xmm_xmmm128b32,
        EVEX_Vpord_ymm_k1z_ymm_ymmm256b32,
        EVEX_Vpord_zmm_k1z_zmm_zmmm512b32,
    ],
    [
        VEX_Vorpd_xmm_xmm_xmmm128,
        VEX_Vorpd_ymm_ymm_ymmm256,
        EVEX_Vporq_xmm_k1z_xmm_xmmm128b64,
        EVEX_Vporq_ymm_k1z_ymm_ymmm256b64,
        EVEX_Vporq_zmm_k1z_zmm_zmmm512b64,
    ],
];

const ADD_BITS: Forms = [
    [
        VEX_Vpaddd_xmm_xmm_xmmm128,
        VEX_Vpaddd_ymm_ymm_ymmm256,
        EVEX_Vpaddd_xmm_k1z_xmm_xmmm128b32,
        EVEX_Vpaddd_ymm_k1z_ymm_ymmm256b32,
        EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32,
    ],
    [
        VEX_Vpaddq_xmm_xmm_xmmm128,
        VEX_Vpaddq_ymm_ymm_ymmm256,
        EVEX_Vpaddq_xmm_k1z_xmm_xmmm128b64,
        EVEX_Vpaddq_ymm_k1z_ymm_ymmm256b64,
        EVEX_Vpaddq_zmm_k1z_zmm_zmmm512b64,
    ],
];

const XOR: Forms = [
    [
        VEX_Vxorps_xmm_xmm_xmmm128,
        VEX_Vxorps_ymm_ymm_ymmm256,
        EVEX_Vpxord_xmm_k1z_xmm_xmmm128b32,
        EVEX_Vpxord_ymm_k1z_ymm_ymmm256b32,
        EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32,
    ],
    [
        VEX_Vxorpd_xmm_xmm_xmmm128,
        VEX_Vxorpd_ymm_ymm_ymmm256,
        EVEX_Vpxorq_xmm_k1z_xmm_xmmm128b64,
        EVEX_Vpxorq_ymm_k1z_ymm_ymmm256b64,
        EVEX_Vpxorq_zmm_k1z_zmm_zmmm512b64,
    ],
];

const PERMUTE2: Forms = [
    [
        INVALID,
        INVALID,
        EVEX_Vpermi2ps_xmm_k1z_xmm_xmmm128b32,
        EVEX_Vpermi2ps_ymm_k1z_ymm_ymmm256b32,
        EVEX_Vpermi2ps_zmm_k1z_zmm_zmmm512b32,
    ],
    [
        INVALID,
        INVALID,
        EVEX_Vpermi2pd_xmm_k1z_xmm_xmmm128b64,
        EVEX_Vpermi2pd_ymm_k1z_ymm_ymmm256b64,
        EVEX_Vpermi2pd_zmm_k1z_zmm_zmmm512b64,
    ],
];
const PERMUTE2_TABLE: Forms = [
    [
        INVALID,
        INVALID,
        EVEX_Vpermt2ps_xmm_k1z_xmm_xmmm128b32,
        EVEX_Vpermt2ps_ymm_k1z_ymm_ymmm256b32,
        EVEX_Vpermt2ps_zmm_k1z_zmm_zmmm512b32,
    ],
    [
        INVALID,
        INVALID,
        EVEX_Vpermt2pd_xmm_k1z_xmm_xmmm128b64,
        EVEX_Vpermt2pd_ymm_k1z_ymm_ymmm256b64,
        EVEX_Vpermt2pd_zmm_k1z_zmm_zmmm512b64,
    ],
];

/// The square root.
pub(super) const SQRT: Forms = [
    [
        VEX_Vsqrtps_xmm_xmmm128,
        VEX_Vsqrtps_ymm_ymmm256,
        EVEX_Vsqrtps_xmm_k1z_xmmm128b32,
        EVEX_Vsqrtps_ymm_k1z_ymmm256b32,
        EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er,
    ],
    [
        VEX_Vsqrtpd_xmm_xmmm128,
        VEX_Vsqrtpd_ymm_ymmm256,
        EVEX_Vsqrtpd_xmm_k1z_xmmm128b64,
        EVEX_Vsqrtpd_ymm_k1z_ymmm256b64,
        EVEX_Vsqrtpd_zmm_k1z_zmmm512b64_er,
    ],
];

/// To a whole number, as the immediate says.
pub(super) const ROUND: Forms = [
    [
        VEX_Vroundps_xmm_xmmm128_imm8,
        VEX_Vroundps_ymm_ymmm256_imm8,
        EVEX_Vrndscaleps_xmm_k1z_xmmm128b32_imm8,
        EVEX_Vrndscaleps_ymm_k1z_ymmm256b32_imm8,
        EVEX_Vrndscaleps_zmm_k1z_zmmm512b32_imm8_sae,
    ],
    [
        VEX_Vroundpd_xmm_xmmm128_imm8,
        VEX_Vroundpd_ymm_ymmm256_imm8,
        EVEX_Vrndscalepd_xmm_k1z_xmmm128b64_imm8,
        EVEX_Vrndscalepd_ymm_k1z_ymmm256b64_imm8,
        EVEX_Vrndscalepd_zmm_k1z_zmmm512b64_imm8_sae,
    ],
];

/// Bits to the left.
pub(super) const SHIFT_LEFT: Forms = [
    [
        VEX_Vpslld_xmm_xmm_imm8,
        VEX_Vpslld_ymm_ymm_imm8,
        EVEX_Vpslld_xmm_k1z_xmmm128b32_imm8,
        EVEX_Vpslld_ymm_k1z_ymmm256b32_imm8,
        EVEX_Vpslld_zmm_k1z_zmmm512b32_imm8,
    ],
    [
        VEX_Vpsllq_xmm_xmm_imm8,
        VEX_Vpsllq_ymm_ymm_imm8,
        EVEX_Vpsllq_xmm_k1z_xmmm128b64_imm8,
        EVEX_Vpsllq_ymm_k1z_ymmm256b64_imm8,
        EVEX_Vpsllq_zmm_k1z_zmmm512b64_imm8,
    ],
];

/// Bits to the right, zeros behind them.
pub(super) const SHIFT_RIGHT: Forms = [
    [
        VEX_Vpsrld_xmm_xmm_imm8,
        VEX_Vpsrld_ymm_ymm_imm8,
        EVEX_Vpsrld_xmm_k1z_xmmm128b32_imm8,
        EVEX_Vpsrld_ymm_k1z_ymmm256b32_imm8,
        EVEX_Vpsrld_zmm_k1z_zmmm512b32_imm8,
    ],
    [
        VEX_Vpsrlq_xmm_xmm_imm8,
        VEX_Vpsrlq_ymm_ymm_imm8,
        EVEX_Vpsrlq_xmm_k1z_xmmm128b64_imm8,
        EVEX_Vpsrlq_ymm_k1z_ymmm256b64_imm8,
        EVEX_Vpsrlq_zmm_k1z_zmmm512b64_imm8,
    ],
];

/// A vector from memory or a register.
pub(super) const LOAD: Forms = [
    [
        VEX_Vmovups_xmm_xmmm128,
        VEX_Vmovups_ymm_ymmm256,
        EVEX_Vmovups_xmm_k1z_xmmm128,
        EVEX_Vmovups_ymm_k1z_ymmm256,
        EVEX_Vmovups_zmm_k1z_zmmm512,
    ],
    [
        VEX_Vmovupd_xmm_xmmm128,
        VEX_Vmovupd_ymm_ymmm256,
        EVEX_Vmovupd_xmm_k1z_xmmm128,
        EVEX_Vmovupd_ymm_k1z_ymmm256,
        EVEX_Vmovupd_zmm_k1z_zmmm512,
    ],
];

/// A vector to memory.
pub(super) const STORE: Forms = [
    [
        VEX_Vmovups_xmmm128_xmm,
        VEX_Vmovups_ymmm256_ymm,
        EVEX_Vmovups_xmmm128_k1z_xmm,
        EVEX_Vmovups_ymmm256_k1z_ymm,
        EVEX_Vmovups_zmmm512_k1z_zmm,
    ],
    [
        VEX_Vmovupd_xmmm128_xmm,
        VEX_Vmovupd_ymmm256_ymm,
        EVEX_Vmovupd_xmmm128_k1z_xmm,
        EVEX_Vmovupd_ymmm256_k1z_ymm,
        EVEX_Vmovupd_zmmm512_k1z_zmm,
    ],
];

/// A number in memory to every lane.
pub(super) const BROADCAST: Forms = [
    [
        VEX_Vbroadcastss_xmm_m32,
        VEX_Vbroadcastss_ymm_m32,
        EVEX_Vbroadcastss_xmm_k1z_xmmm32,
        EVEX_Vbroadcastss_ymm_k1z_xmmm32,
        EVEX_Vbroadcastss_zmm_k1z_xmmm32,
    ],
    [
        VEX_Vmovddup_xmm_xmmm64,
        VEX_Vbroadcastsd_ymm_m64,
        EVEX_Vmovddup_xmm_k1z_xmmm64,
        EVEX_Vbroadcastsd_ymm_k1z_xmmm64,
        EVEX_Vbroadcastsd_zmm_k1z_xmmm64,
    ],
];

/// Lane 0 of a register to every lane.
pub(super) const SPLAT: Forms = [
    [
        VEX_Vbroadcastss_xmm_xmm,
        VEX_Vbroadcastss_ymm_xmm,
        EVEX_Vbroadcastss_xmm_k1z_xmmm32,
        EVEX_Vbroadcastss_ymm_k1z_xmmm32,
        EVEX_Vbroadcastss_zmm_k1z_xmmm32,
    ],
    [
        VEX_Vmovddup_xmm_xmmm64,
        VEX_Vbroadcastsd_ymm_xmm,
        EVEX_Vmovddup_xmm_k1z_xmmm64,
        EVEX_Vbroadcastsd_ymm_k1z_xmmm64,
        EVEX_Vbroadcastsd_zmm_k1z_xmmm64,
    ],
];

/// A comparison: to a mask register with EVEX, to lanes of ones with VEX.
pub(super) const COMPARE: Forms = [
    [
        VEX_Vcmpps_xmm_xmm_xmmm128_imm8,
        VEX_Vcmpps_ymm_ymm_ymmm256_imm8,
        EVEX_Vcmpps_kr_k1_xmm_xmmm128b32_imm8,
        EVEX_Vcmpps_kr_k1_ymm_ymmm256b32_imm8,
        EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae,
    ],
    [
        VEX_Vcmppd_xmm_xmm_xmmm128_imm8,
        VEX_Vcmppd_ymm_ymm_ymmm256_imm8,
        EVEX_Vcmppd_kr_k1_xmm_xmmm128b64_imm8,
        EVEX_Vcmppd_kr_k1_ymm_ymmm256b64_imm8,
        EVEX_Vcmppd_kr_k1_zmm_zmmm512b64_imm8_sae,
    ],
];
