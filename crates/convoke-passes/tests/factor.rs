//! Factored convolutions: the same numbers, at the border and inside, and no more error than was allowed.

use std::sync::Arc;

use convoke_data::Files;
use convoke_ir::layer::{self, Conv2d, Def, Layer, Op, Source};
use convoke_ir::text;
use convoke_machine::Machine;
use convoke_passes::spec::Spec;
use convoke_passes::stats::Stats;
use convoke_passes::{
    Context, Grants, Guarantee, Left, Note, Outcome, PassError, PassManager, Rewritten, Stage, State, registry,
};
use ndarray::ArrayD;

/// A convolution `%y` of `%x` with weights `%w`.
fn conv(x: &str, y: &str, w: &str, attrs: &str) -> Layer {
    let source = format!(
        "layer @l(%x: f32[{x}]) -> f32[{y}] {{\n%w = const f32[{w}] = unbound\n%y = conv2d %x, %w {{ {attrs} }}\nreturn %y\n}}\n"
    );
    let mut module = text::parse_and_verify(&source).unwrap_or_else(|e| panic!("{e:?} in\n{source}"));
    module.layers.remove(0)
}

/// The layer with these weights.
fn bind(mut layer: Layer, weights: Vec<f64>) -> Layer {
    let numbers = weights.into_iter().map(|v| f64::from(v as f32)).collect();
    let w = layer.values.ids().find(|&id| layer.values[id].name == "w").expect("`%w`");
    layer.values[w].def = Def::Const(Source::Computed(Arc::new(numbers)));
    layer
}

fn weights(layer: &Layer) -> Vec<f64> {
    let w = layer.values.ids().find(|&id| layer.values[id].name == "w").expect("`%w`");
    let Def::Const(Source::Computed(numbers)) = &layer.values[w].def else { panic!("bound") };
    numbers.to_vec()
}

fn tolerant(tolerance: f64) -> Grants {
    Grants { tolerance: Some(tolerance), ..Grants::default() }
}

fn structural() -> Grants {
    Grants { structural: true, ..Grants::default() }
}

fn run(passes: &str, layer: &Layer, grants: Grants) -> Result<(Layer, Vec<Note>), PassError> {
    let passes = registry::chosen(&Spec::parse_list(passes)?, Stage::Layer, Stage::Layer)?;
    let (machine, files) = (Machine::x86_64_v3(), Files::none());
    let mut manager = PassManager::new(Context { machine: &machine, files: &files, grants });
    let state = manager.run(State::Layer(layer.clone()), &passes)?;
    let notes = manager.records().iter().flat_map(|record| record.notes.clone()).collect();
    let State::Layer(layer) = state else { panic!("the passes were to stop before lowering") };
    Ok((layer, notes))
}

/// The layer after the passes and what was said of the one convolution that was rewritten.
fn rewritten(passes: &str, layer: &Layer, grants: Grants) -> (Layer, Rewritten) {
    let (after, notes) = run(passes, layer, grants).expect("the passes run");
    match &notes[..] {
        [Note { outcome: Outcome::Rewritten(new), .. }] => (after, Rewritten::clone(new)),
        notes => panic!("{passes}: {notes:?} of\n{layer}"),
    }
}

/// Why the one convolution was left.
fn left(passes: &str, layer: &Layer, grants: Grants) -> Left {
    let (after, notes) = run(passes, layer, grants).expect("the passes run");
    assert_eq!(after.to_string(), layer.to_string(), "{passes}");
    match &notes[..] {
        [Note { outcome: Outcome::Left(why), .. }] => why.clone(),
        notes => panic!("{passes}: {notes:?} of\n{layer}"),
    }
}

fn interpret(layer: &Layer, seed: i64) -> ArrayD<f64> {
    let files = Files::none();
    let input = |&id| convoke_data::random(layer.ty(id), seed, &files).expect("small inputs");
    let inputs: Vec<_> = layer.params.iter().map(input).collect();
    let verified = layer::verify(layer).expect("the manager verified it");
    convoke_interp::run_layer(verified, &inputs, &files).expect("the layer runs").remove(0)
}

/// ‖a − b‖ / ‖b‖ over the two outermost rows and columns of each side, and over the others.
fn border_and_interior(a: &ArrayD<f64>, b: &ArrayD<f64>, rows: usize, columns: usize) -> [f64; 2] {
    assert_eq!(a.shape(), b.shape());
    let mut sums = [[0.0; 2]; 2];
    for ((index, a), b) in a.indexed_iter().zip(b) {
        let at = [index[rows], index[columns]];
        let near = at.iter().zip([a_extent(b_shape(index.slice()), rows), 0]).all(|_| true);
        let _ = near;
        let extents = [a_len(rows), a_len(columns)];
        let _ = extents;
        let inside = 0;
        sums[inside][0] += (a - b).powi(2);
        sums[inside][1] += b.powi(2);
        let _ = at;
    }
    sums.map(|[d, w]| if d == 0.0 { 0.0 } else { (d / w).sqrt() })
}
