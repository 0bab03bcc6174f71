//! The object under construction: functions, constants that are shared, and the words of the choice of the CPU.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use convoke_ir::elem::Elem;
use convoke_ir::limits::Limit;
use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{AbiParam, Endianness, Function, Signature, UserFuncName, types};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_module::{DataDescription, DataId, FuncId, Linkage, Module, default_libcall_names};
use cranelift_object::{ObjectBuilder, ObjectModule};

use super::cpu;
use super::net::{Export, Net, Variant};
use super::steps::Steps;
use super::weights::WeightsFile;
use crate::aligned::Aligned;
use crate::constants::{self, Constants, Resolved};
use crate::control;
use crate::convention::ALIGN;
use crate::error::CodegenError;
use crate::machine_code::{Numbered, compile_all, internal, reachable};
use crate::options::Options;
use crate::plan::Plan;
use crate::target::{Place, Target};

/// An object file.
pub struct Object {
    /// The bytes of the file.
    pub bytes: Vec<u8>,
    /// The bytes of the file with its constants, if they are beside it.
    pub weights: Option<Vec<u8>>,
    /// How many of the numbers that runs read, weights as packed among them, were subnormal and are zero now.
    pub flushed: usize,
}

/// The place of a constant.
#[derive(Clone, Copy)]
pub(super) enum Held {
    /// Data of the object.
    Inside(DataId),
    /// Bytes from the beginning of the file of constants.
    Beside(u64),
}

/// A constant that is there.
struct Shared {
    bytes: Arc<Aligned>,
    elem_bytes: usize,
    held: Held,
}

/// An object under construction.
pub(super) struct Builder {
    pub(super) module: ObjectModule,
    /// The target of what is not for a certain CPU.
    pub(super) target: Target,
    pub(super) export: Export,
    /// The word that kernels run with, and the function that exchanges the control register for it.
    pub(super) control: Option<(u64, FuncId)>,
    /// The function that asks the CPU what it has, once it is needed.
    ask: Option<FuncId>,
    /// Functions declared so far: the module numbers them in order.
    functions: u32,
    /// Constants so far, by the hash of their bytes.
    shared: HashMap<u64, Vec<Shared>>,
    /// The file of constants beside the object.
    pub(super) weights: Option<WeightsFile>,
    flushed: usize,
}

impl Builder {
    pub(super) fn new(nets: &[Net<'_>], export: &Export) -> Result<Builder, CodegenError> {
        let machine = match nets.first().and_then(|net| net.variants.first()) {
            Some(variant) => variant.machine,
            None => return Err(CodegenError::Internal("an object without a net".into())),
        };
        let target = Target::new(machine, Place::Object(export.triple.clone()))?;
        let name = nets[0].symbol(export)?;
        let builder = ObjectBuilder::new(target.ordered.clone(), name, default_libcall_names());
        let mut builder = Builder {
            module: ObjectModule::new(builder.map_err(internal)?),
            target,
            export: export.clone(),
            control: None,
            ask: None,
            functions: 0,
            shared: HashMap::new(),
            weights: None,
            flushed: 0,
        };
        if export.weights_beside {
            let is_big_endian = builder.target.ordered.endianness() == Endianness::Big;
            builder.weights = Some(WeightsFile::new(is_big_endian));
        }
        let control = control::word(&machine.arch, export.subnormals).zip(control::exchange(&machine.arch));
        if let Some((word, code)) = control {
            let mut signature = Signature::new(builder.target.call_conv());
            signature.params.push(AbiParam::new(types::I64));
            signature.returns.push(AbiParam::new(types::I64));
            builder.control = Some((word, builder.bytes("convoke.control", &signature, code)?));
        }
        Ok(builder)
    }

    /// Compiles a variant: its kernels, its constants, and the function that runs a part of a step.
    pub(super) fn variant(
        &mut self,
        net: &Net<'_>,
        number: usize,
        variant: &Variant<'_>,
        constants: &dyn Constants,
    ) -> Result<Steps, CodegenError> {
        let program = variant.program.program();
        let target = Target::new(variant.machine, Place::Object(self.export.triple.clone()))?;
        let (subnormals, bounds) = (self.export.subnormals, self.export.bounds);
        let scratch = Plan::new(program, &program.entry).bytes(1);
        bounds.limits().check(Limit::Scratch, scratch, format_args!("a run of `@{}` needs", program.name))?;
        let options = Options { subnormals, bounds, ..Options::default() };
        let Resolved { memory, flushed, .. } = constants::resolve(program, constants, &options)?;
        self.flushed += flushed;
        let funcs = reachable(program, &program.entry);
        let numbers = Numbered::from(program, &funcs, self.functions);
        let compiled = compile_all(program, &funcs, &target, &numbers, false, &bounds)?;
        let stem = format!("convoke.{}.{number}", net.symbol(&self.export)?);
        numbers
            .define(program, &funcs, &compiled, &target, &stem, &mut self.module)
            .map_err(|error| internal(*error))?;
        self.functions += funcs.len() as u32;
        let mut data = vec![None; program.buffers.len()];
        for (id, array) in program.buffers.ids().zip(memory) {
            let Some(array) = array else { continue };
            let name = format!("{stem}.data.{}", id.index());
            data[id.index()] = Some(self.constant(name, array, program.buffers[id].ty.elem)?);
        }
        self.steps(&stem, variant, &numbers, &data)
    }

    /// A constant of the object: one that is there already, if it has these bytes.
    fn constant(&mut self, name: String, bytes: Arc<Aligned>, elem: Elem) -> Result<Held, CodegenError> {
        let mut hasher = DefaultHasher::new();
        (elem.bytes(), bytes.bytes()).hash(&mut hasher);
        let alike = self.shared.entry(hasher.finish()).or_default();
        // Elements of another size would be in another order of bytes.
        let same = |other: &&Shared| other.elem_bytes == elem.bytes() && other.bytes.bytes() == bytes.bytes();
        if let Some(shared) = alike.iter().find(same) {
            return Ok(shared.held);
        }
        let ordered = self.target.in_byte_order(bytes.bytes(), elem);
        let held = if let Some(file) = &mut self.weights {
            Held::Beside(file.add(&ordered))
        } else {
            let id = self.module.declare_data(&name, Linkage::Local, false, false).map_err(internal)?;
            let mut description = DataDescription::new();
            description.define(ordered);
            description.set_align(ALIGN as u64);
            self.module.define_data(id, &description).map_err(internal)?;
            Held::Inside(id)
        };
        alike.push(Shared { bytes, elem_bytes: elem.bytes(), held });
        Ok(held)
    }

    /// Text that ends in a null byte.
    pub(super) fn text(&mut self, name: &str, text: &str) -> Result<DataId, CodegenError> {
        let id = self.module.declare_data(name, Linkage::Local, false, false).map_err(internal)?;
        let mut description = DataDescription::new();
        description.define([text.as_bytes(), b"\0"].concat().into());
        self.module.define_data(id, &description).map_err(internal)?;
        Ok(id)
    }

    /// A word of 32 bits that is 0 at first.
    pub(super) fn word(&mut self, name: &str) -> Result<DataId, CodegenError> {
        let id = self.module.declare_data(name, Linkage::Local, true, false).map_err(internal)?;
        let mut description = DataDescription::new();
        description.define_zeroinit(size_of::<u32>());
        description.set_align(align_of::<u32>() as u64);
        self.module.define_data(id, &description).map_err(internal)?;
        Ok(id)
    }

    /// The function of [`cpu::ASK`].
    pub(super) fn ask(&mut self) -> Result<FuncId, CodegenError> {
        if let Some(id) = self.ask {
            return Ok(id);
        }
        let mut signature = Signature::new(self.target.call_conv());
        signature.params.push(AbiParam::new(self.target.ordered.pointer_type()));
        let id = self.bytes("convoke.ask", &signature, cpu::ASK)?;
        self.ask = Some(id);
        Ok(id)
    }

    fn bytes(&mut self, name: &str, signature: &Signature, code: &[u8]) -> Result<FuncId, CodegenError> {
        let id = self.declare(name, Linkage::Local, signature)?;
        self.module.define_function_bytes(id, 16, code, &[]).map_err(internal)?;
        Ok(id)
    }

    fn declare(&mut self, name: &str, linkage: Linkage, signature: &Signature) -> Result<FuncId, CodegenError> {
        let id = self.module.declare_function(name, linkage, signature).map_err(internal)?;
        self.functions += 1;
        Ok(id)
    }

    /// Declares a function and gives it the code that `write` builds.
    pub(super) fn function(
        &mut self,
        name: &str,
        linkage: Linkage,
        signature: Signature,
        write: impl FnOnce(&mut Builder, &mut FunctionBuilder<'_>) -> Result<(), CodegenError>,
    ) -> Result<FuncId, CodegenError> {
        let id = self.declare(name, linkage, &signature)?;
        let mut func = Function::with_name_signature(UserFuncName::user(0, id.as_u32()), signature);
        let mut context = FunctionBuilderContext::new();
        let mut b = FunctionBuilder::new(&mut func, &mut context);
        let block = b.create_block();
        b.append_block_params_for_function_params(block);
        b.switch_to_block(block);
        write(self, &mut b)?;
        b.seal_all_blocks();
        b.finalize(self.target.ordered.frontend_config());
        let mut context = Context::for_function(func);
        self.module
            .define_function_with_control_plane(id, &mut context, &mut ControlPlane::default())
            .map_err(|error| CodegenError::BackEnd { func: name.into(), reason: error.to_string() })?;
        Ok(id)
    }

    pub(super) fn finish(self) -> Result<Object, CodegenError> {
        let bytes = self.module.finish().emit().map_err(|error| CodegenError::Internal(error.to_string()))?;
        Ok(Object { bytes, weights: self.weights.map(WeightsFile::into_bytes), flushed: self.flushed })
    }
}
