//! Object files: one exported C function that runs a program, and the header that declares it.
//!
//! ```c
//! void NAME(const float *x, …, float *y, …, void *workspace);
//! ```
//!
//! Inputs and outputs stand in the order the program declares them. Constants lie in the object, read-only. The function calls the
//! kernels one after the other on the calling thread and keeps no state: any number of threads may call it, each with a
//! workspace of its own. It sets the floating-point control register for itself, and gives it back as it was ([`control`]).

use std::fmt::Write;

use convoke_ir::elem::{Elem, Subnormals};
use convoke_ir::loops::{BufferId, Program, Role, Verified};
use convoke_machine::Machine;
use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{
    AbiParam, Function, InstBuilder, MemFlagsData, Signature, StackSlotData, StackSlotKind, UserFuncName, Value, types,
};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_module::{DataDescription, DataId, FuncId as ModuleFuncId, Linkage, Module, default_libcall_names};
use cranelift_object::{ObjectBuilder, ObjectModule};
use target_lexicon::Triple;

use crate::constants::{self, Constants, Resolved};
use crate::control;
use crate::convention::{self, ALIGN};
use crate::error::CodegenError;
use crate::machine_code::{Numbered, compile_all, guard, internal, reachable};
use crate::plan::Plan;
use crate::symbol::{SYMBOL_PREFIX, identifier, symbol};
use crate::target::{Place, Target};

/// The interface of an object file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Prefix of the function's name, before the layer's; see [`symbol`](crate::symbol()).
    pub prefix: String,
    /// How subnormal numbers are taken.
    pub subnormals: Subnormals,
    /// The system that the object file is for: its format and its C convention. The architecture of the triple gives way to the machine's.
    pub triple: Triple,
}

impl Default for Export {
    /// [`SYMBOL_PREFIX`], subnormal numbers flushed to zero, this system.
    fn default() -> Export {
        Export { prefix: SYMBOL_PREFIX.into(), subnormals: Subnormals::default(), triple: Triple::host() }
    }
}

/// An object file.
pub struct Object {
    /// The bytes of the file.
    pub bytes: Vec<u8>,
    /// How many of the numbers that runs read, weights as packed among them, were subnormal and are zero now.
    pub flushed: usize,
}

/// An object file for `machine`, in the format of [`Export::triple`].
pub fn object(
    program: Verified<'_>,
    machine: &Machine,
    constants: &dyn Constants,
    export: &Export,
) -> Result<Object, CodegenError> {
    let program = program.program();
    let name = symbol(&export.prefix, &program.name)?;
    let target = Target::new(machine, Place::Object(export.triple.clone()))?;
    let Resolved { memory, flushed, .. } = constants::resolve(program, constants, export.subnormals)?;
    let funcs = reachable(program, &program.entry);
    let numbers = Numbered::new(program, &funcs);
    let compiled = compile_all(program, &funcs, &target, &numbers, false)?;
    let control = control::word(&machine.arch, export.subnormals).zip(control::exchange(&machine.arch));
    guard(|| {
        let builder = ObjectBuilder::new(target.ordered.clone(), name.clone(), default_libcall_names());
        let mut module = ObjectModule::new(builder.map_err(internal)?);
        numbers.define(program, &funcs, &compiled, &target, &mut module).map_err(|error| internal(*error))?;
        let mut data: Vec<Option<DataId>> = vec![None; program.buffers.len()];
        for (id, held) in program.buffers.ids().zip(&memory) {
            let Some(held) = held else { continue };
            let name = format!("convoke.data.{}.{}", id.index(), program.buffers[id].name);
            let number = module.declare_data(&name, Linkage::Local, false, false).map_err(internal)?;
            let mut description = DataDescription::new();
            description.define(target.in_byte_order(held.bytes(), program.buffers[id].ty.elem));
            description.set_align(ALIGN as u64);
            module.define_data(number, &description).map_err(internal)?;
            data[id.index()] = Some(number);
        }
        let control = match control {
            Some((word, code)) => Some((word, define_exchange(code, &target, &mut module)?)),
            None => None,
        };
        let entry = Entry { program, name: &name, numbers: &numbers, data: &data, target: &target, control };
        entry.define(&mut module)?;
        let bytes = module.finish().emit().map_err(|error| CodegenError::Internal(error.to_string()))?;
        Ok(Object { bytes, flushed })
    })
}

/// Puts the code of [`control::exchange`] into the module.
fn define_exchange(code: &[u8], target: &Target, module: &mut ObjectModule) -> Result<ModuleFuncId, CodegenError> {
    let mut signature = Signature::new(target.call_conv());
    signature.params.push(AbiParam::new(types::I64));
    signature.returns.push(AbiParam::new(types::I64));
    let number = module.declare_function("convoke.control", Linkage::Local, &signature).map_err(internal)?;
    module.define_function_bytes(number, 16, code, &[]).map_err(internal)?;
    Ok(number)
}

/// Inputs, then outputs: the parameters of the C function, before the workspace.
fn params(program: &Program) -> Vec<BufferId> {
    let of = |role: Role| program.buffers.iter().filter(move |(_, b)| b.role == role).map(|(id, _)| id);
    of(Role::Input).chain(of(Role::Output)).collect()
}

/// The exported function.
struct Entry<'a> {
    program: &'a Program,
    name: &'a str,
    numbers: &'a Numbered,
    data: &'a [Option<DataId>],
    target: &'a Target,
    /// The word that kernels run with, and the function that exchanges the control register for it.
    control: Option<(u64, ModuleFuncId)>,
}

impl Entry<'_> {
    fn define(&self, module: &mut ObjectModule) -> Result<(), CodegenError> {
        let isa = &self.target.ordered;
        let pointer = isa.pointer_type();
        let params = params(self.program);
        let mut signature = Signature::new(isa.default_call_conv());
        signature.params = vec![AbiParam::new(pointer); params.len() + 1];
        let number = module.declare_function(self.name, Linkage::Export, &signature).map_err(internal)?;
        let mut func = Function::with_name_signature(UserFuncName::user(0, number.as_u32()), signature);
        let mut context = FunctionBuilderContext::new();
        let mut b = FunctionBuilder::new(&mut func, &mut context);
        let block = b.create_block();
        b.append_block_params_for_function_params(block);
        b.switch_to_block(block);
        b.seal_block(block);
        let values = b.block_params(block).to_vec();
        let (&workspace, buffers) = values.split_last().expect("the workspace is a parameter");
        let mut given = vec![None; self.program.buffers.len()];
        params.into_iter().zip(buffers).for_each(|(id, &value)| given[id.index()] = Some(value));
        match self.control {
            None => self.calls(&mut b, module, &given, workspace),
            Some((word, exchange)) => {
                let exchange = module.declare_func_in_func(exchange, b.func);
                let word = b.ins().iconst(types::I64, word as i64);
                let before = b.ins().call(exchange, &[word]);
                let before = b.inst_results(before)[0];
                self.calls(&mut b, module, &given, workspace);
                b.ins().call(exchange, &[before]);
            }
        }
        b.ins().return_(&[]);
        b.finalize(isa.frontend_config());
        let mut context = Context::for_function(func);
        module
            .define_function_with_control_plane(number, &mut context, &mut ControlPlane::default())
            .map_err(|error| CodegenError::BackEnd { func: self.program.name.clone(), reason: error.to_string() })
    }

    /// Each run: its slots into a table on the stack, then a call.
    fn calls(&self, b: &mut FunctionBuilder, module: &mut ObjectModule, given: &[Option<Value>], workspace: Value) {
        let pointer = self.target.ordered.pointer_type();
        let bytes = pointer.bytes();
        let plan = Plan::new(self.program, &self.program.entry);
        let longest = self.program.entry.iter().map(|run| run.args.len()).max().unwrap_or(0) as u32;
        let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, (longest * bytes).max(bytes), 3);
        let slot = b.create_sized_stack_slot(slot);
        let table = b.ins().stack_addr(pointer, slot, 0);
        let local = b.ins().iadd_imm_s(workspace, plan.scratch_bytes as i64);
        for run in &self.program.entry {
            for (i, &buffer) in run.args.iter().enumerate() {
                let value = match (given[buffer.index()], self.data[buffer.index()], plan.scratch[buffer.index()]) {
                    (Some(value), _, _) => value,
                    (None, Some(data), _) => {
                        let data = module.declare_data_in_func(data, b.func);
                        b.ins().symbol_value(pointer, data)
                    }
                    (None, None, offset) => b.ins().iadd_imm_s(workspace, offset.unwrap_or(0) as i64),
                };
                b.ins().store(MemFlagsData::trusted(), value, table, i as i32 * bytes as i32);
            }
            let func = &self.program.funcs[run.func];
            let trips = convention::parallel_loop(func).map_or(1, |parallel| parallel.trips());
            if trips == 0 {
                continue;
            }
            let callee: ModuleFuncId = self.numbers.of(run.func);
            let callee = module.declare_func_in_func(callee, b.func);
            let begin = b.ins().iconst(types::I64, 0);
            let end = b.ins().iconst(types::I64, trips as i64);
            b.ins().call(callee, &[table, local, begin, end]);
        }
    }
}

/// A C header that declares what [`object`] exports.
///
/// # Errors
///
/// As [`symbol`](crate::symbol()).
pub fn header(program: Verified<'_>, export: &Export) -> Result<String, CodegenError> {
    let program = program.program();
    let name = symbol(&export.prefix, &program.name)?;
    let upper = name.to_uppercase();
    let guard = if upper.starts_with("CONVOKE_") { String::new() } else { "CONVOKE_".into() } + &upper + "_H";
    let subnormals = match export.subnormals {
        Subnormals::Flush => "are taken as zero, read or computed",
        Subnormals::Keep => "are kept, as IEEE 754 says",
    };
    let workspace = Plan::new(program, &program.entry).bytes(1);
    let mut lines = String::new();
    let (mut args, mut halves) = (Vec::new(), false);
    for id in params(program) {
        let buffer = &program.buffers[id];
        let (keyword, constant) = if buffer.role == Role::Input { ("input", "const ") } else { ("output", "") };
        let ty = match buffer.ty.elem {
            // C has no such numbers before 2023: their bits.
            Elem::F16 | Elem::Bf16 => "uint16_t",
            Elem::F32 => "float",
            Elem::F64 => "double",
        };
        halves |= buffer.ty.elem.is_storage();
        // Numbered, since two names may become the same in C.
        let begins = buffer.name.starts_with(|c: char| c.is_ascii_alphabetic());
        let arg = format!("{}{}_{}", if begins { "" } else { "convoke_" }, identifier(&buffer.name), args.len());
        let (layout, elements) = (buffer.ty.layout, buffer.ty.elements());
        let _ = writeln!(
            lines,
            " *   {keyword} {arg}: {}{}, {layout}, {elements} elements",
            buffer.ty.elem, buffer.ty.shape
        );
        args.push(format!("{constant}{ty} *{arg}"));
    }
    args.push("void *workspace".into());
    let (note, include) = match halves {
        true => (
            " *\n * `uint16_t` are bits: of f16, IEEE 754 binary16, or of bf16, the upper half of a binary32.\n",
            "#include <stdint.h>\n\n",
        ),
        false => ("", ""),
    };
    Ok(format!(
        "/* Generated by convoke.\n *\n\
         {lines}{note} *\n\
         \x20* Arrays are dense, in the order of the shape. Outputs overlap nothing. `workspace` has\n\
         \x20* {upper}_WORKSPACE_BYTES bytes on a {ALIGN}-byte boundary and may be null if that is 0; it\n\
         \x20* needs no contents and keeps none. Threads may call at once, each with its own.\n *\n\
         \x20* Subnormal numbers {subnormals}. The function rounds to nearest and\n\
         \x20* leaves the floating-point control register as it was. Macros have its name in capitals.\n\
         \x20*/\n\
         #ifndef {guard}\n#define {guard}\n\n\
         {include}#define {upper}_WORKSPACE_BYTES {workspace}\n#define {upper}_WORKSPACE_ALIGN {ALIGN}\n\n\
         #ifdef __cplusplus\nextern \"C\" {{\n#endif\n\n\
         void {name}({});\n\n\
         #ifdef __cplusplus\n}}\n#endif\n\n#endif\n",
        args.join(", "),
    ))
}
