//! Compiled layers as Python objects.

use convoke::{Cached, CompiledLayer, Input, Output, TensorType};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::{reading, writing};
use crate::error::raised;

/// A layer as native code. Any number of threads may run it at the same time.
#[pyclass(frozen, module = "convoke._native")]
pub(crate) struct Compiled(CompiledLayer);

/// Name, element type, extents and type of an input or output, the type as the language writes it.
type Described = (String, &'static str, Vec<usize>, String);

impl Compiled {
    pub(crate) fn new(layer: CompiledLayer) -> Compiled {
        Compiled(layer)
    }
}

#[pymethods]
impl Compiled {
    /// The layer's name.
    fn name(&self) -> &str {
        self.0.name()
    }

    /// Name, element type, extents and type of each input.
    fn inputs(&self) -> Vec<Described> {
        described(self.0.inputs())
    }

    /// Name, element type, extents and type of each output.
    fn outputs(&self) -> Vec<Described> {
        described(self.0.outputs())
    }

    /// The costs and results of compiling; times in seconds.
    fn report<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let report = self.0.report();
        let dict = PyDict::new(py);
        dict.set_item("machine", &report.machine)?;
        dict.set_item("vector_bits", report.vector_bits)?;
        dict.set_item("compile_time", report.compile_time().as_secs_f64())?;
        dict.set_item("passes_time", report.passes_time.as_secs_f64())?;
        dict.set_item("codegen_time", report.codegen_time.as_secs_f64())?;
        dict.set_item("weights_time", report.weights_time.as_secs_f64())?;
        dict.set_item("loaded", matches!(report.cached, Cached::Loaded))?;
        dict.set_item("code_bytes", report.code_bytes)?;
        dict.set_item("constant_bytes", report.constant_bytes)?;
        dict.set_item("scratch_bytes", report.scratch_bytes)?;
        dict.set_item("flops", report.flops)?;
        let algorithms = PyDict::new(py);
        for choice in &report.choices {
            algorithms.set_item(&choice.result, choice.algorithm.to_string())?;
        }
        dict.set_item("algorithms", algorithms)?;
        dict.set_item("unmet", report.unmet.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        Ok(dict)
    }

    /// Runs the layer: reads `inputs`, writes `outputs`, which are arrays in order. Inputs in any memory order, outputs in C order.
    fn run(&self, py: Python<'_>, inputs: Vec<Bound<'_, PyAny>>, outputs: Vec<Bound<'_, PyAny>>) -> PyResult<()> {
        self.count("inputs", self.0.inputs().len(), inputs.len())?;
        self.count("outputs", self.0.outputs().len(), outputs.len())?;
        let read = self.0.inputs().iter().zip(&inputs).map(|((name, ty), array)| reading(array, name, ty));
        let read = read.collect::<PyResult<Vec<_>>>()?;
        let written = self.0.outputs().iter().zip(&outputs).map(|((name, ty), array)| writing(array, name, ty));
        let mut written = written.collect::<PyResult<Vec<_>>>()?;
        let inputs: Vec<_> = read.iter().map(|array| array.view()).collect();
        let mut outputs: Vec<_> = written.iter_mut().map(|array| array.view()).collect();
        let run = move || {
            let inputs: Vec<&dyn Input> = inputs.iter().map(|array| &**array as &dyn Input).collect();
            let mut outputs: Vec<&mut dyn Output> =
                outputs.iter_mut().map(|array| &mut **array as &mut dyn Output).collect();
            self.0.run_into(&inputs, &mut outputs)
        };
        py.detach(run).map_err(raised)
    }
}

impl Compiled {
    fn count(&self, what: &'static str, expected: usize, found: usize) -> PyResult<()> {
        match expected == found {
            true => Ok(()),
            false => Err(raised(convoke::Error::Count { layer: self.0.name().into(), what, expected, found })),
        }
    }
}

fn described(values: &[(String, TensorType)]) -> Vec<Described> {
    let one =
        |(name, ty): &(String, TensorType)| (name.clone(), ty.elem.name(), ty.shape.dims().to_vec(), ty.to_string());
    values.iter().map(one).collect()
}
