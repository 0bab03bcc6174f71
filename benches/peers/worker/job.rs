//! One layer, compiled, with its input and output.

use std::path::Path;
use std::time::Instant;

use convoke::{CompiledLayer, Compiler, Elem, Error, Layer, Layout, Memory, Plan};
use convoke_benches::protocol::resident;
use convoke_benches::rows::Row;
use convoke_conv::select::selections;
use ndarray::{Array4, ArrayD, ArrayView4, ArrayViewMut4};
use serde::Serialize;

use crate::data;

/// A layer ready to run.
pub(crate) struct Job {
    compiled: CompiledLayer,
    x: Image,
    y: Image,
}

/// An image in memory as its library hands it out, which is where the peers have theirs.
struct Image {
    numbers: Memory<f32>,
    dims: [usize; 4],
}

impl Image {
    fn zeros(dims: [usize; 4]) -> Result<Image, String> {
        let numbers = Memory::zeros(dims.iter().product()).ok_or("no memory is left")?;
        Ok(Image { numbers, dims })
    }

    fn view(&self) -> ArrayView4<'_, f32> {
        ArrayView4::from_shape(self.dims, &self.numbers).expect("as many as there are pixels")
    }

    fn view_mut(&mut self) -> ArrayViewMut4<'_, f32> {
        ArrayViewMut4::from_shape(self.dims, &mut self.numbers).expect("as many as there are pixels")
    }
}

/// What building a layer took, and what it gave. Times in milliseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Built {
    /// From arrays in memory to code, weights packed.
    compile_ms: f64,
    /// The part of it that read, packed and transformed weights.
    prepare_ms: f64,
    /// The next call; it takes the workspace from the system.
    first_run_ms: f64,
    /// Resident memory after the first run less that before compilation. The allocator may have kept memory of the layer before, which
    /// hides as much; what is certain is scratch, constants and code below.
    rss_growth_mb: f64,
    /// The largest |y − ref| of the first run.
    max_abs_err: f64,
    /// √(Σ(y − ref)² / Σref²) of it.
    rel_rms_err: f64,
    layout: String,
    algorithm: String,
    /// Workspace of a run.
    scratch_bytes: usize,
    /// Weights as packed.
    constant_bytes: usize,
    code_bytes: usize,
    /// The error to expect of an element, root mean square, relative to its Σ|w||x|.
    error_typical: Option<f64>,
    /// What no input exceeds: relative to Σ|w||x|, for algorithms that mix the inputs of a tile to Σ|w| · max|x|.
    error_bound: Option<f64>,
}

impl Job {
    /// Compiles the layer of `row` with the weights in the file `path`, and runs it once.
    pub(crate) fn build(compiler: &Compiler, row: &Row, layout: Layout, path: &Path) -> Result<(Job, Built), String> {
        let x = stored(&data::four(path, "x", row.input())?, layout)?;
        let (w, b) = (data::four(path, "w", row.filter())?, data::one(path, "b", row.oc as usize)?);
        let before = resident();
        let start = Instant::now();
        let layer = row.layer(layout, w.view(), b.view()).map_err(told)?;
        let compiled = compiler.compile(&layer).map_err(told)?;
        let compile = start.elapsed();
        let dims = compiled.outputs()[0].1.shape.dims();
        let y = Image::zeros(dims.try_into().expect("a convolution gives an image"))?;
        let mut job = Job { compiled, x, y };
        let start = Instant::now();
        job.run()?;
        let first_run = start.elapsed();
        let rss_growth_mb = resident() - before;
        let [max_abs_err, rel_rms_err] = job.errors(layout, path)?;
        let bounds = bounds(compiler, &layer).map_err(told)?;
        let report = job.compiled.report();
        let built = Built {
            compile_ms: 1e3 * compile.as_secs_f64(),
            prepare_ms: 1e3 * report.weights_time.as_secs_f64(),
            first_run_ms: 1e3 * first_run.as_secs_f64(),
            rss_growth_mb,
            max_abs_err,
            rel_rms_err,
            layout: layout.to_string(),
            algorithm: job.algorithm(),
            scratch_bytes: report.scratch_bytes,
            constant_bytes: report.constant_bytes,
            code_bytes: report.code_bytes,
            error_typical: bounds.map(|b| b.0),
            error_bound: bounds.map(|b| b.1),
        };
        Ok((job, built))
    }

    /// One run, into the same output, in the workspace that the layer keeps from run to run.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        self.compiled.run_into(&[&self.x.view()], &mut [&mut self.y.view_mut()]).map_err(told)
    }

    /// The algorithm chosen.
    pub(crate) fn algorithm(&self) -> String {
        self.compiled.report().choices.first().map_or_else(String::new, |choice| choice.algorithm.to_string())
    }

    /// The largest error of the output, and its relative root mean square.
    fn errors(&self, layout: Layout, path: &Path) -> Result<[f64; 2], String> {
        let y = if layout == Layout::Nhwc { self.y.view().permuted_axes([0, 3, 1, 2]) } else { self.y.view() };
        let reference: ArrayD<f64> = data::array(path, "ref", y.shape(), Elem::F64)?;
        let (mut worst, mut error, mut square) = (0.0f64, 0.0, 0.0);
        for (&y, &r) in y.iter().zip(&reference) {
            let e = (f64::from(y) - r).abs();
            // `max` would lose a NaN.
            worst = if e <= worst { worst } else { e };
            error += e * e;
            square += r * r;
        }
        Ok([worst, (error / square).sqrt()])
    }
}

/// An image `[N, C, H, W]` as it is stored in this layout.
fn stored(x: &Array4<f32>, layout: Layout) -> Result<Image, String> {
    let x = if layout == Layout::Nhwc { x.view().permuted_axes([0, 2, 3, 1]) } else { x.view() };
    let mut image = Image::zeros(x.dim().into())?;
    image.view_mut().assign(&x);
    Ok(image)
}

/// The error to expect and the certified bound of the algorithm chosen. The bounds of the others are not computed: they take long.
fn bounds(compiler: &Compiler, layer: &Layer) -> Result<Option<(f64, f64)>, Error> {
    let selected = compiler.select(layer)?;
    let selections = selections(selected.ir(), Plan::default(), compiler.machine(), &compiler.grants().rounding());
    let Some(mut selection) = selections.ok().and_then(|all| all.into_iter().next()) else { return Ok(None) };
    selection.candidates.retain(|(algorithm, _)| *algorithm == selection.chosen);
    selection.certify();
    Ok(selection.estimate().map(|plan| (plan.error_typical, plan.error_bound)))
}

fn told(error: Error) -> String {
    error.render(false)
}
