//! How fast compiled layers run, beside the multiply-add peak of the same vectors in the same process.
//!
//! `cargo bench -p convoke-benches --bench kernels`
//!
//! Throughput is counted in floating-point operations, so that criterion's "elem/s" are FLOP/s; `peak` is what a loop of
//! nothing but multiply-adds reaches. Ratios to it mean something, absolute figures depend on the machine and its neighbours.

use convoke::peak::Peak;
use convoke::{Compiler, Input, Output};
use convoke_benches::{DEPTHWISE, GEMM_256, inputs, layer, vgg16_conv3_2};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn kernels(c: &mut Criterion) {
    let compiler = Compiler::host();
    let mut group = c.benchmark_group("kernels");
    let mut peak = Peak::new(compiler.machine()).expect("the loop compiles");
    group.throughput(Throughput::Elements(peak.flops() as u64));
    group.bench_function("peak", |b| b.iter(|| peak.measure().expect("it runs")));
    let [direct, im2col] = ["direct", "im2col"].map(vgg16_conv3_2);
    for (name, text) in [
        ("gemm_256", GEMM_256),
        ("vgg16_conv3_2/direct", &direct),
        ("vgg16_conv3_2/im2col", &im2col),
        ("mobilenetv2_depthwise", DEPTHWISE),
    ] {
        let layer = layer(text);
        let compiled = compiler.compile(&layer).expect("it compiles");
        let inputs = inputs(&layer);
        let inputs: Vec<_> = inputs.iter().map(|x| x as &dyn Input).collect();
        let mut outputs = compiled.run::<f32>(&inputs).expect("it runs");
        group.throughput(Throughput::Elements(compiled.report().flops as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut outputs: Vec<_> = outputs.iter_mut().map(|y| y as &mut dyn Output).collect();
                compiled.run_into(&inputs, &mut outputs).expect("it runs");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, kernels);
criterion_main!(benches);
