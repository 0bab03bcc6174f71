//! A guard that counts: the kernels of nets, the bytes that these read and write, and the memory between them, for one machine on every machine.
//!
//! `INSTA_UPDATE=always cargo test -p convoke-tests --test traffic` writes the counts anew; the diff is the review.

use std::collections::HashSet;
use std::fmt::Write;
use std::path::Path;

use convoke::explain::Workspace;
use convoke::ir::loops::Program;
use convoke::onnx::Options;
use convoke::{Compiler, Layer, Machine, Module};

/// Layers with several ops, from `ir-examples`, and nets, from `examples`.
const LAYERS: [&str; 8] = [
    "resnet50_bottleneck",
    "mobilenetv2_inverted_residual",
    "googlenet_inception_3a",
    "densenet_transition",
    "efficientnet_squeeze_excite",
    "darknet53_residual",
    "fpn_top_down",
    "cbam_spatial_attention",
];
const NETS: [&str; 2] = ["digits/digits-torchscript.onnx", "digits/digits-dynamo.onnx"];

fn lowered(layer: &Layer) -> Program {
    let machine = Machine::named("zen4").expect("a machine of this name");
    Compiler::for_machine(machine).lower(layer).expect("it lowers").into_program()
}

/// Bytes of the buffers that each run is given, each once a run.
fn moved(program: &Program) -> usize {
    let of_run = |args: &[_]| {
        args.iter().copied().collect::<HashSet<_>>().iter().map(|&id| program.buffers[id].ty.bytes()).sum::<usize>()
    };
    program.entry.iter().map(|run| of_run(&run.args)).sum()
}

#[test]
fn kernels_and_bytes_of_nets() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let of_text = |name: &&str| {
        let module = Module::read(&root.join(format!("ir-examples/{name}.conv"))).expect("an example");
        (name.to_string(), module.layer(None).expect("one layer"))
    };
    let of_model = |name: &&str| {
        let file = root.join("examples").join(name);
        let options = Options::default().with_dim("batch", 1);
        let module = Module::from_onnx(&file, &options, Compiler::DEFAULT_MAX_MEMORY).expect("a model");
        (name.to_string(), module.layer(None).expect("one layer"))
    };
    let mut counts = String::new();
    for (name, layer) in LAYERS.iter().map(of_text).chain(NETS.iter().map(of_model)) {
        let program = lowered(&layer);
        let Workspace { bytes, least, unshared } = Workspace::of(&program, 1);
        let (kernels, moved) = (program.entry.len(), moved(&program));
        writeln!(
            counts,
            "{name}: {kernels} kernels, {moved} bytes moved; scratch {bytes}, {least} at once, {unshared} in all"
        )
        .expect("a string grows");
        assert!(bytes <= least + least / 4, "{name}: the plan takes {bytes} bytes, {least} are live at once");
    }
    insta::assert_snapshot!(counts);
}
