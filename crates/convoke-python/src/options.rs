//! Options of compiling, from the `dict` that the package fills in.

use std::collections::HashMap;
use std::path::PathBuf;

use convoke::ir::layer::Range;
use convoke::{Compiler, InputRange, Limit, Limits, Machine, Plan, Subnormals};
use pyo3::prelude::*;

use crate::error::Error;

/// The options of `convoke.compile`, each under its name.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Options {
    threads: usize,
    level: u8,
    max_error: Option<f64>,
    max_output_error: Option<f64>,
    certified: bool,
    tolerance: Option<f64>,
    guard: u32,
    input_range: Option<(f64, f64)>,
    algorithm: Option<String>,
    cpu: Option<String>,
    subnormals: String,
    ieee: bool,
    sanitize: bool,
    max_memory: u64,
    limits: HashMap<String, f64>,
    tune: bool,
    tune_cache: Option<PathBuf>,
    cache: Option<PathBuf>,
}

impl Options {
    /// The compiler with these options.
    ///
    /// # Errors
    ///
    /// `convoke.Error` for a name or a range that does not exist. The compiler refuses other options itself.
    pub(crate) fn compiler(&self) -> PyResult<Compiler> {
        let machine = match &self.cpu {
            Some(name) => Machine::named(name).map_err(|_| {
                let known = Machine::NAMES.join(", ");
                Error::new_err(format!("there is no machine `{name}`; known are {known}"))
            })?,
            None => Machine::host(),
        };
        let mut compiler = Compiler::for_machine(machine)
            .with_level(self.level)
            .with_certified(self.certified)
            .with_guard(self.guard)
            .with_threads(self.threads)
            .with_subnormals(self.subnormals()?)
            .with_ieee(self.ieee)
            .with_sanitize(self.sanitize)
            .with_limits(self.limits()?);
        if let Some(limit) = self.max_error {
            compiler = compiler.with_max_error(limit);
        }
        if let Some(limit) = self.max_output_error {
            compiler = compiler.with_max_output_error(limit);
        }
        if let Some(tolerance) = self.tolerance {
            compiler = compiler.with_tolerance(tolerance);
        }
        if let Some((least, most)) = self.input_range {
            let range = Range::new(least, most).ok_or_else(|| {
                Error::new_err(format!(
                    "input_range is ({least}, {most}); give the smallest magnitude that counts and the largest, both positive"
                ))
            })?;
            compiler = compiler.with_input_range(InputRange::Within(range));
        }
        if let Some(algorithm) = &self.algorithm {
            let plan: Plan =
                algorithm.parse().map_err(|expected| Error::new_err(format!("an algorithm is {expected}")))?;
            compiler = compiler.with_algorithm(plan);
        }
        if self.tune {
            compiler = compiler.with_tuning(self.tune_cache.clone());
        }
        if let Some(folder) = &self.cache {
            compiler = compiler.with_cache(folder);
        }
        Ok(compiler)
    }

    /// The limits.
    ///
    /// # Errors
    ///
    /// `convoke.Error` for a limit that does not exist, or a negative value.
    pub(crate) fn limits(&self) -> PyResult<Limits> {
        let mut limits = Limits::default().with(Limit::Memory, self.max_memory);
        for (name, &value) in &self.limits {
            let limit =
                Limit::of_flag(name).filter(|&limit| limit != Limit::Memory && value >= 0.0).ok_or_else(|| {
                    let known = Limit::ALL.into_iter().filter(|&limit| limit != Limit::Memory);
                    let known: Vec<_> = known.map(|limit| limit.flag().replace('-', "_")).collect();
                    let known = known.join(", ");
                    Error::new_err(format!("limits has {name} = {value}; give numbers of at least 0 for {known}"))
                })?;
            limits = limits.with(limit, limit.value_of(value));
        }
        Ok(limits)
    }

    /// The bytes that a layer and its files may take.
    pub(crate) fn max_memory(&self) -> u64 {
        self.max_memory
    }

    fn subnormals(&self) -> PyResult<Subnormals> {
        match self.subnormals.as_str() {
            "flush" => Ok(Subnormals::Flush),
            "keep" => Ok(Subnormals::Keep),
            other => Err(Error::new_err(format!("subnormals is `{other}`; give `flush` or `keep`"))),
        }
    }
}
