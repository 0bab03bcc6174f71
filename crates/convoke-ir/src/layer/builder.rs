//! Builds layers in Rust. Each call checks what the verifier would check, so that the verifier accepts every finished layer.

use super::names::{MAX_NAME, is_name, is_value_name};
use super::{Def, InferError, Instr, Layer, Names, Op, Range, Source, Step, Value, ValueId};
use crate::span::Span;
use crate::types::{TensorType, TypeError};

/// Why a layer cannot be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The op does not fit its operands.
    #[error("{op}: {source}")]
    Infer {
        /// The op.
        op: &'static str,
        /// Why not.
        source: InferError,
    },
    /// A type that is none.
    #[error(transparent)]
    Type(#[from] TypeError),
    /// A name that no layer can have.
    #[error("`{0}` is no name: use letters, digits, `_` and `.`")]
    Name(String),
    /// A name that no value can have.
    #[error("`{0}` is no name of a value: use 1 to {MAX_NAME} bytes without `\"`, `\\` and control characters")]
    ValueName(String),
    /// A name that is taken.
    #[error("there is a value `%{0}` already")]
    Taken(String),
    /// A value of another layer.
    #[error("an operand is not a value of this layer")]
    Foreign,
    /// An epilogue step that is not elementwise, or changes the type.
    #[error("`{0}` cannot follow `then`: it is not elementwise, or it changes the shape")]
    Step(&'static str),
    /// A constant whose numbers do not fit its type.
    #[error("constant `%{name}`: {reason}")]
    Constant {
        /// The constant.
        name: String,
        /// Why not.
        reason: String,
    },
    /// A layer without a result.
    #[error("a layer returns at least one value")]
    NoResult,
}

/// Builds a [`Layer`] value by value.
///
/// ```
/// use convoke_ir::{layer::*, types::*, elem::Elem};
///
/// let mut b = LayerBuilder::new("edges")?;
/// let x = b.param("x", TensorType::new(Elem::F32, [1, 1, 480, 640], Layout::Nchw)?)?;
/// let w = b.constant("w", TensorType::new(Elem::F32, [1, 1, 3, 3], Layout::Nchw)?, Source::Generate(Generator::SobelX {}))?;
/// let y = b.op(Conv2d { pads: [1; 4], ..Conv2d::default() }, &[x, w])?;
/// let layer = b.finish(&[y])?;
/// assert_eq!(layer.ty(y).shape.dims(), [1, 1, 480, 640]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct LayerBuilder {
    layer: Layer,
    names: Names,
    /// Numbers the results of ops.
    next: usize,
    /// The text before the number.
    stem: &'static str,
}

impl LayerBuilder {
    /// An empty layer of this name.
    pub fn new(name: &str) -> Result<LayerBuilder, BuildError> {
        if !is_name(name) {
            return Err(BuildError::Name(name.into()));
        }
        let layer = Layer { name: name.into(), ..Layer::default() };
        Ok(LayerBuilder { layer, names: Names::default(), next: 0, stem: "" })
    }

    /// Names the results of ops by this and a number.
    pub fn numbered_behind(self, stem: &'static str) -> LayerBuilder {
        LayerBuilder { stem, ..self }
    }

    /// The type of a value built so far.
    pub fn ty(&self, id: ValueId) -> Option<&TensorType> {
        self.layer.values.get(id).map(|value| &value.ty)
    }

    fn value(&mut self, name: &str, ty: TensorType, def: Def) -> Result<ValueId, BuildError> {
        if !is_value_name(name) {
            return Err(BuildError::ValueName(name.into()));
        }
        if !self.names.take(name) {
            return Err(BuildError::Taken(name.into()));
        }
        Ok(self.layer.values.push(Value {
            name: name.into(),
            ty,
            def,
            range: None,
            storage: None,
            span: Span::default(),
        }))
    }

    /// An input.
    pub fn param(&mut self, name: &str, ty: TensorType) -> Result<ValueId, BuildError> {
        let id = self.value(name, ty, Def::Param)?;
        self.layer.params.push(id);
        Ok(id)
    }

    /// Declares the magnitudes of an input's elements.
    pub fn range(&mut self, id: ValueId, range: Range) {
        if self.layer.values.get(id).is_some_and(|value| value.def == Def::Param) {
            self.layer.values[id].range = Some(range);
        }
    }

    /// A constant.
    pub fn constant(&mut self, name: &str, ty: TensorType, source: Source) -> Result<ValueId, BuildError> {
        if let Some(reason) = source.refuses(&ty) {
            return Err(BuildError::Constant { name: name.into(), reason });
        }
        self.value(name, ty, Def::Const(source))
    }

    /// An op on values; its result is named by a number.
    pub fn op(&mut self, op: impl Into<Op>, args: &[ValueId]) -> Result<ValueId, BuildError> {
        let op = op.into();
        self.check(args)?;
        let types: Vec<_> = args.iter().map(|&id| self.layer.ty(id)).collect();
        let ty = op.infer(&types).map_err(|source| BuildError::Infer { op: op.name(), source })?;
        let name = loop {
            let name = format!("{}{}", self.stem, self.next);
            self.next += 1;
            if self.names.take(&name) {
                break name;
            }
        };
        let result = self.layer.values.push(Value {
            name,
            ty,
            def: Def::Instr,
            range: None,
            storage: None,
            span: Span::default(),
        });
        self.layer.body.push(Instr { result, op, args: args.to_vec(), then: Vec::new(), span: Span::default() });
        Ok(result)
    }

    /// Adds an elementwise op to the epilogue of the last instruction.
    pub fn then(&mut self, op: impl Into<Op>, args: &[ValueId]) -> Result<ValueId, BuildError> {
        let op = op.into();
        self.check(args)?;
        let Some(instr) = self.layer.body.last() else { return Err(BuildError::Step(op.name())) };
        let result = instr.result;
        if args.contains(&result) {
            return Err(BuildError::Foreign);
        }
        let types: Vec<_> = std::iter::once(result).chain(args.iter().copied()).map(|id| self.layer.ty(id)).collect();
        let ty = op.infer(&types).map_err(|source| BuildError::Infer { op: op.name(), source })?;
        if !op.is_elementwise() || ty != *types[0] {
            return Err(BuildError::Step(op.name()));
        }
        let step = Step { op, args: args.to_vec(), span: Span::default() };
        self.layer.body.last_mut().expect("looked at above").then.push(step);
        Ok(result)
    }

    /// Gives a value another name.
    ///
    /// # Errors
    ///
    /// A name that is none, or that another value has.
    pub fn rename(&mut self, id: ValueId, name: &str) -> Result<(), BuildError> {
        if !is_value_name(name) {
            return Err(BuildError::ValueName(name.into()));
        }
        self.check(&[id])?;
        if !self.names.take(name) {
            return Err(BuildError::Taken(name.into()));
        }
        self.layer.values[id].name = name.into();
        Ok(())
    }

    fn check(&self, args: &[ValueId]) -> Result<(), BuildError> {
        match args.iter().all(|&id| self.layer.values.get(id).is_some()) {
            true => Ok(()),
            false => Err(BuildError::Foreign),
        }
    }

    /// The layer, returning these values.
    pub fn finish(mut self, results: &[ValueId]) -> Result<Layer, BuildError> {
        if results.is_empty() {
            return Err(BuildError::NoResult);
        }
        self.check(results)?;
        self.layer.results = results.to_vec();
        Ok(self.layer)
    }
}
