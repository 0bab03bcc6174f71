//! What each stage of compilation costs: text, passes, and everything down to native code.
//!
//! `cargo bench -p convoke-benches --bench stages`

use convoke::Compiler;
use convoke_benches::{DEPTHWISE, GEMM_256, layer, vgg16_conv3_2};
use criterion::{Criterion, criterion_group, criterion_main};

fn stages(c: &mut Criterion) {
    let conv = vgg16_conv3_2("im2col");
    for (name, text) in [("gemm_256", GEMM_256), ("vgg16_conv3_2", &conv), ("mobilenetv2_depthwise", DEPTHWISE)] {
        let mut group = c.benchmark_group(name);
        let compiler = Compiler::host();
        let parsed = layer(text);
        group.bench_function("parse", |b| b.iter(|| layer(text)));
        group.bench_function("passes", |b| b.iter(|| compiler.lower(&parsed).expect("it lowers")));
        group.bench_function("compile", |b| b.iter(|| compiler.compile(&parsed).expect("it compiles")));
        group.finish();
    }
}

criterion_group!(benches, stages);
criterion_main!(benches);
