//! Options out of range, and layers beyond the limits: refused before anything is done.

use crate::compiler::Compiler;
use crate::error::Error;
use crate::layer::Layer;
use crate::memory;
use crate::option_error::OptionError;
use crate::range::InputRange;

impl Compiler {
    /// Refuses a layer whose inputs, outputs and constants alone need more than the memory limit, one with more ops or larger tensors than allowed, and
    /// options out of range.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] with the bytes of each; [`Error::Limit`]; [`Error::Option`].
    pub fn fits(&self, layer: &Layer) -> Result<(), Error> {
        self.validate()?;
        memory::within(layer.ir(), &self.limits())?;
        memory::check_layer(layer, self.max_memory())
    }

    /// Refuses options out of range.
    ///
    /// # Errors
    ///
    /// The first option that no layer can be compiled with.
    pub fn validate(&self) -> Result<(), OptionError> {
        let (at_least_0, above_0) = (|x: f64| x >= 0.0, |x: f64| x > 0.0);
        if self.level() > Compiler::MAX_LEVEL {
            return Err(OptionError::Level { found: self.level(), most: Compiler::MAX_LEVEL });
        }
        if let Some(found) = self.grants().max_error.filter(|&e| !at_least_0(e)) {
            return Err(OptionError::MaxError { found });
        }
        if let Some(found) = self.max_output_error().filter(|&e| !above_0(e)) {
            return Err(OptionError::MaxOutputError { found });
        }
        if self.max_output_error().is_some() && self.grants().certified {
            return Err(OptionError::CertifiedOutput);
        }
        if let Some(found) = self.grants().tolerance.filter(|&t| !at_least_0(t)) {
            return Err(OptionError::Tolerance { found });
        }
        if self.grants().guard > Compiler::MAX_GUARD.into() {
            // It was set from a `u32`.
            let found = u32::try_from(self.grants().guard).unwrap_or(u32::MAX);
            return Err(OptionError::Guard { found, most: Compiler::MAX_GUARD });
        }
        match self.input_range() {
            Some(InputRange::UpTo(found)) if !(at_least_0(found) && found.is_finite()) => {
                return Err(OptionError::InputRange { found });
            }
            _ => {}
        }
        if self.threads() == 0 {
            return Err(OptionError::NoThreads);
        }
        Ok(())
    }
}
