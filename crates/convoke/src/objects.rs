//! Object files of layers, and what programs need to call them.

use convoke_codegen::{self as codegen, BoxError, Net, Variant};
use convoke_data::{self as data, Files};
use convoke_ir::layer::Source;
use convoke_ir::types::TensorType;
use convoke_machine::Machine;
use target_lexicon::Triple;

pub use convoke_codegen::{Export, Object, SYMBOL_PREFIX, static_library};

use crate::compiler::Compiler;
use crate::error::Error;
use crate::layer::Layer;
use crate::lowered::Lowered;

/// Layers of one text or model, lowered for the CPUs of an object file.
#[derive(Debug)]
pub struct Nets {
    /// Of each layer, of each CPU.
    lowered: Vec<Vec<(Lowered, Machine)>>,
    files: Files,
    export: Export,
}

impl Nets {
    /// Lowers layers with each of these compilers, whose machines are of one architecture; without any, for this CPU. On a CPU that fits several, the code
    /// of the one with the longest vectors runs. The limits are those of the compilers.
    ///
    /// # Errors
    ///
    /// As [`Compiler::lower`]; [`Error::NoLayer`] without a layer.
    pub fn lower(compilers: &[Compiler], layers: &[Layer], export: Export) -> Result<Nets, Error> {
        let mut compilers: Vec<Compiler> = compilers.to_vec();
        if compilers.is_empty() {
            compilers.push(Compiler::host());
        }
        compilers.sort_by_key(|compiler| (compiler.machine().vector_bits, compiler.machine().features.len()));
        let first = layers.first().ok_or_else(|| Error::NoLayer { text: "the text".into() })?;
        let files = compilers[0].files(first);
        let export = Export { bounds: compilers[0].limits().into(), ..export };
        let mut lowered = Vec::new();
        for layer in layers {
            let variants = compilers.iter().map(|compiler| Ok((compiler.lower(layer)?, compiler.machine().clone())));
            lowered.push(variants.collect::<Result<Vec<_>, Error>>()?);
        }
        Ok(Nets { lowered, files, export })
    }

    /// Each layer for each CPU, as it was lowered.
    pub fn lowered(&self) -> impl Iterator<Item = &Lowered> {
        self.lowered.iter().flatten().map(|(lowered, _)| lowered)
    }

    /// The system that the object file is for.
    pub fn triple(&self) -> &Triple {
        &self.export.triple
    }

    fn nets(&self) -> Vec<Net<'_>> {
        let mut nets = Vec::new();
        for variants in &self.lowered {
            let variants = variants.iter().map(|(lowered, machine)| Variant { program: lowered.verified(), machine });
            nets.push(Net { variants: variants.collect() });
        }
        nets
    }

    /// The object file.
    ///
    /// # Errors
    ///
    /// [`Error::Codegen`]: two layers of one name, a name that C has taken, constants whose files cannot be read.
    pub fn object(&self) -> Result<Object, Error> {
        let constants =
            |source: &Source, ty: &TensorType| data::values(source, ty, &self.files).map_err(BoxError::from);
        let export = Export { bounds: self.export.bounds.started(), ..self.export.clone() };
        Ok(codegen::object(&self.nets(), &constants, &export)?)
    }

    /// The C header of the object file.
    ///
    /// # Errors
    ///
    /// A name that C has taken.
    pub fn header(&self) -> Result<String, Error> {
        Ok(codegen::header(&self.nets(), &self.export)?)
    }

    /// A C program that runs the first layer once; `header` is the name of the header's file.
    ///
    /// # Errors
    ///
    /// As [`Nets::header`].
    pub fn example(&self, header: &str) -> Result<String, Error> {
        Ok(codegen::example(&self.nets()[0], header, &self.export)?)
    }

    /// Rust source for `include!`, with a type for each layer.
    ///
    /// # Errors
    ///
    /// As [`Nets::header`]; weights beside the object.
    pub fn rust(&self) -> Result<String, Error> {
        Ok(codegen::rust(&self.nets(), &self.export)?)
    }
}
