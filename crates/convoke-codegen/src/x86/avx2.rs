//! AVX2 with FMA: VEX encodings of 128 and 256 bits.

use iced_x86::Code::*;

super::op::table! {
    Add: VEX_Vaddps_xmm_xmm_xmmm128 VEX_Vaddps_ymm_ymm_ymmm256
       / VEX_Vaddpd_xmm_xmm_xmmm128 VEX_Vaddpd_ymm_ymm_ymmm256;
    Sub: VEX_Vsubps_xmm_xmm_xmmm128 VEX_Vsubps_ymm_ymm_ymmm256
       / VEX_Vsubpd_xmm_xmm_xmmm128 VEX_Vsubpd_ymm_ymm_ymmm256;
    Mul: VEX_Vmulps_xmm_xmm_xmmm128 VEX_Vmulps_ymm_ymm_ymmm256
       / VEX_Vmulpd_xmm_xmm_xmmm128 VEX_Vmulpd_ymm_ymm_ymmm256;
    Div: VEX_Vdivps_xmm_xmm_xmmm128 VEX_Vdivps_ymm_ymm_ymmm256
       / VEX_Vdivpd_xmm_xmm_xmmm128 VEX_Vdivpd_ymm_ymm_ymmm256;
    Min: VEX_Vminps_xmm_xmm_xmmm128 VEX_Vminps_ymm_ymm_ymmm256
       / VEX_Vminpd_xmm_xmm_xmmm128 VEX_Vminpd_ymm_ymm_ymmm256;
    Max: VEX_Vmaxps_xmm_xmm_xmmm128 VEX_Vmaxps_ymm_ymm_ymmm256
       / VEX_Vmaxpd_xmm_xmm_xmmm128 VEX_Vmaxpd_ymm_ymm_ymmm256;
    Fma231: VEX_Vfmadd231ps_xmm_xmm_xmmm128 VEX_Vfmadd231ps_ymm_ymm_ymmm256
          / VEX_Vfmadd231pd_xmm_xmm_xmmm128 VEX_Vfmadd231pd_ymm_ymm_ymmm256;
    Fma213: VEX_Vfmadd213ps_xmm_xmm_xmmm128 VEX_Vfmadd213ps_ymm_ymm_ymmm256
          / VEX_Vfmadd213pd_xmm_xmm_xmmm128 VEX_Vfmadd213pd_ymm_ymm_ymmm256;
    Sqrt: VEX_Vsqrtps_xmm_xmmm128 VEX_Vsqrtps_ymm_ymmm256
        / VEX_Vsqrtpd_xmm_xmmm128 VEX_Vsqrtpd_ymm_ymmm256;
    Round: VEX_Vroundps_xmm_xmmm128_imm8 VEX_Vroundps_ymm_ymmm256_imm8
         / VEX_Vroundpd_xmm_xmmm128_imm8 VEX_Vroundpd_ymm_ymmm256_imm8;
    And: VEX_Vandps_xmm_xmm_xmmm128 VEX_Vandps_ymm_ymm_ymmm256
       / VEX_Vandpd_xmm_xmm_xmmm128 VEX_Vandpd_ymm_ymm_ymmm256;
    Or: VEX_Vorps_xmm_xmm_xmmm128 VEX_Vorps_ymm_ymm_ymmm256
      / VEX_Vorpd_xmm_xmm_xmmm128 VEX_Vorpd_ymm_ymm_ymmm256;
    Xor: VEX_Vxorps_xmm_xmm_xmmm128 VEX_Vxorps_ymm_ymm_ymmm256
       / VEX_Vxorpd_xmm_xmm_xmmm128 VEX_Vxorpd_ymm_ymm_ymmm256;
    AddBits: VEX_Vpaddd_xmm_xmm_xmmm128 VEX_Vpaddd_ymm_ymm_ymmm256
           / VEX_Vpaddq_xmm_xmm_xmmm128 VEX_Vpaddq_ymm_ymm_ymmm256;
    ShiftLeft: VEX_Vpslld_xmm_xmm_imm8 VEX_Vpslld_ymm_ymm_imm8
             / VEX_Vpsllq_xmm_xmm_imm8 VEX_Vpsllq_ymm_ymm_imm8;
    ShiftRight: VEX_Vpsrld_xmm_xmm_imm8 VEX_Vpsrld_ymm_ymm_imm8
              / VEX_Vpsrlq_xmm_xmm_imm8 VEX_Vpsrlq_ymm_ymm_imm8;
    Compare: VEX_Vcmpps_xmm_xmm_xmmm128_imm8 VEX_Vcmpps_ymm_ymm_ymmm256_imm8
           / VEX_Vcmppd_xmm_xmm_xmmm128_imm8 VEX_Vcmppd_ymm_ymm_ymmm256_imm8;
    Blend: VEX_Vblendvps_xmm_xmm_xmmm128_xmm VEX_Vblendvps_ymm_ymm_ymmm256_ymm
         / VEX_Vblendvpd_xmm_xmm_xmmm128_xmm VEX_Vblendvpd_ymm_ymm_ymmm256_ymm;
    Load: VEX_Vmovups_xmm_xmmm128 VEX_Vmovups_ymm_ymmm256
        / VEX_Vmovupd_xmm_xmmm128 VEX_Vmovupd_ymm_ymmm256;
    Store: VEX_Vmovups_xmmm128_xmm VEX_Vmovups_ymmm256_ymm
         / VEX_Vmovupd_xmmm128_xmm VEX_Vmovupd_ymmm256_ymm;
    LoadOne: VEX_Vmovss_xmm_m32 / VEX_Vmovsd_xmm_m64;
    StoreOne: VEX_Vmovss_m32_xmm / VEX_Vmovsd_m64_xmm;
    SetOne: VEX_Vmovd_xmm_rm32 / VEX_Vmovq_xmm_rm64;
    LoadSigned: VEX_Vmaskmovps_xmm_xmm_m128 VEX_Vmaskmovps_ymm_ymm_m256
              / VEX_Vmaskmovpd_xmm_xmm_m128 VEX_Vmaskmovpd_ymm_ymm_m256;
    Broadcast: VEX_Vbroadcastss_xmm_m32 VEX_Vbroadcastss_ymm_m32
             / VEX_Vmovddup_xmm_xmmm64 VEX_Vbroadcastsd_ymm_m64;
    Splat: VEX_Vbroadcastss_xmm_xmm VEX_Vbroadcastss_ymm_xmm
         / VEX_Vmovddup_xmm_xmmm64 VEX_Vbroadcastsd_ymm_xmm;
    UnpackLow: VEX_Vunpcklps_xmm_xmm_xmmm128 VEX_Vunpcklps_ymm_ymm_ymmm256
             / VEX_Vunpcklpd_xmm_xmm_xmmm128 VEX_Vunpcklpd_ymm_ymm_ymmm256;
    UnpackHigh: VEX_Vunpckhps_xmm_xmm_xmmm128 VEX_Vunpckhps_ymm_ymm_ymmm256
              / VEX_Vunpckhpd_xmm_xmm_xmmm128 VEX_Vunpckhpd_ymm_ymm_ymmm256;
    PermuteWithin: VEX_Vpermilps_xmm_xmmm128_imm8 VEX_Vpermilps_ymm_ymmm256_imm8
                 / VEX_Vpermilpd_xmm_xmmm128_imm8 VEX_Vpermilpd_ymm_ymmm256_imm8;
    Shuffle: VEX_Vshufps_xmm_xmm_xmmm128_imm8 VEX_Vshufps_ymm_ymm_ymmm256_imm8
           / VEX_Vshufpd_xmm_xmm_xmmm128_imm8 VEX_Vshufpd_ymm_ymm_ymmm256_imm8;
    PermuteQuads: INVALID VEX_Vpermpd_ymm_ymmm256_imm8 / INVALID VEX_Vpermpd_ymm_ymmm256_imm8;
    PermuteHalves: INVALID VEX_Vperm2f128_ymm_ymm_ymmm256_imm8 / INVALID VEX_Vperm2f128_ymm_ymm_ymmm256_imm8;
    AlignBytes: VEX_Vpalignr_xmm_xmm_xmmm128_imm8 VEX_Vpalignr_ymm_ymm_ymmm256_imm8
              / VEX_Vpalignr_xmm_xmm_xmmm128_imm8 VEX_Vpalignr_ymm_ymm_ymmm256_imm8;
    Widen: INVALID INVALID / VEX_Vcvtps2pd_xmm_xmmm64 VEX_Vcvtps2pd_ymm_xmmm128;
    Narrow: INVALID INVALID / VEX_Vcvtpd2ps_xmm_xmmm128 VEX_Vcvtpd2ps_xmm_ymmm256;
    WidenF16: VEX_Vcvtph2ps_xmm_xmmm64 VEX_Vcvtph2ps_ymm_xmmm128 / INVALID;
    NarrowF16: VEX_Vcvtps2ph_xmmm64_xmm_imm8 VEX_Vcvtps2ph_xmmm128_ymm_imm8 / INVALID;
    WidenBits: VEX_Vpmovzxwd_xmm_xmmm64 VEX_Vpmovzxwd_ymm_xmmm128 / INVALID;
    PackBits: VEX_Vpackusdw_xmm_xmm_xmmm128 VEX_Vpackusdw_ymm_ymm_ymmm256 / INVALID;
    ExtractHigh: INVALID VEX_Vextractf128_xmmm128_ymm_imm8 / INVALID VEX_Vextractf128_xmmm128_ymm_imm8;
    InsertHigh: INVALID VEX_Vinsertf128_ymm_ymm_xmmm128_imm8 / INVALID VEX_Vinsertf128_ymm_ymm_xmmm128_imm8;
}
