//! Object files: one exported C function that runs a program, and the header that declares it.
//!
//! ```c
//! void NAME(const float *x, …, float *y, …, void *workspace);
//! ```
//!
//! Inputs and outputs stand in the order the program declares them. Constants lie in the object, read-only. The function calls the
//! kernels one after the other on the calling thread and keeps no state: any number of threads may call it, each with a
//! workspace of its own.

use std::fmt::Write;

use convoke_ir::elem::Elem;
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

use crate::constants::{self, Constants};
use crate::emit::{self, ALIGN};
use crate::error::CodegenError;
use crate::machine_code::{Numbered, compile_all, guard, internal, reachable};
use crate::plan::Plan;
use crate::target::{Place, Target};

/// An object file for `machine`, in the format of this operating system.
pub fn object(program: Verified<'_>, machine: &Machine, constants: &dyn Constants) -> Result<Vec<u8>, CodegenError> {
    let program = program.program();
    let target = Target::new(machine, Place::Object)?;
    let memory = constants::resolve(program, constants)?.memory;
    let funcs = reachable(program, &program.entry);
    let numbers = Numbered::new(program, &funcs);
    let compiled = compile_all(program, &funcs, &target, &numbers, false)?;
    guard(|| {
        let builder = ObjectBuilder::new(target.ordered.clone(), c_name(&program.name), default_libcall_names());
        let mut module = ObjectModule::new(builder.map_err(internal)?);
        numbers.define(program, &funcs, &compiled, &target, &mut module).map_err(|error| internal(*error))?;
        let mut data: Vec<Option<DataId>> = vec![None; program.buffers.len()];
        for (id, held) in program.buffers.ids().zip(&memory) {
            let Some(held) = held else { continue };
            let name = format!("convoke.data.{}.{}", id.index(), program.buffers[id].name);
            let number = module.declare_data(&name, Linkage::Local, false, false).map_err(internal)?;
            let mut description = DataDescription::new();
            description.define(held.bytes().into());
            description.set_align(ALIGN as u64);
            module.define_data(number, &description).map_err(internal)?;
            data[id.index()] = Some(number);
        }
        let entry = Entry { program, numbers: &numbers, data: &data, target: &target };
        entry.define(&mut module)?;
        module.finish().emit().map_err(|error| CodegenError::Internal(error.to_string()))
    })
}

/// Inputs, then outputs: the parameters of the C function, before the workspace.
fn params(program: &Program) -> Vec<BufferId> {
    let of = |role: Role| program.buffers.iter().filter(move |(_, b)| b.role == role).map(|(id, _)| id);
    of(Role::Input).chain(of(Role::Output)).collect()
}

/// The exported function.
struct Entry<'a> {
    program: &'a Program,
    numbers: &'a Numbered,
    data: &'a [Option<DataId>],
    target: &'a Target,
}

impl Entry<'_> {
    fn define(&self, module: &mut ObjectModule) -> Result<(), CodegenError> {
        let isa = &self.target.ordered;
        let pointer = isa.pointer_type();
        let params = params(self.program);
        let mut signature = Signature::new(isa.default_call_conv());
        signature.params = vec![AbiParam::new(pointer); params.len() + 1];
        let number =
            module.declare_function(&c_name(&self.program.name), Linkage::Export, &signature).map_err(internal)?;
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
        self.calls(&mut b, module, &given, workspace);
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
            let trips = emit::parallel_loop(func).map_or(1, |parallel| parallel.trips());
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
pub fn header(program: Verified<'_>) -> String {
    let program = program.program();
    let name = c_name(&program.name);
    let upper = name.to_uppercase();
    let workspace = Plan::new(program, &program.entry).bytes(1);
    let mut lines = String::new();
    let mut args = Vec::new();
    for id in params(program) {
        let buffer = &program.buffers[id];
        let (keyword, constant) = if buffer.role == Role::Input { ("input", "const ") } else { ("output", "") };
        let ty = match buffer.ty.elem {
            Elem::F32 => "float",
            Elem::F64 => "double",
        };
        // Numbered, since two names may become the same in C.
        let arg = format!("{}_{}", c_name(&buffer.name), args.len());
        let (layout, elements) = (buffer.ty.layout, buffer.ty.elements());
        let _ = writeln!(
            lines,
            " *   {keyword} {arg}: {}{}, {layout}, {elements} elements",
            buffer.ty.elem, buffer.ty.shape
        );
        args.push(format!("{constant}{ty} *{arg}"));
    }
    args.push("void *workspace".into());
    format!(
        "/* Generated by convoke.\n *\n\
         {lines} *\n\
         \x20* Arrays are dense, in the order of the shape. Outputs overlap nothing. `workspace` has\n\
         \x20* {upper}_WORKSPACE_BYTES bytes on a {ALIGN}-byte boundary and may be null if that is 0; it\n\
         \x20* needs no contents and keeps none. Threads may call at once, each with its own.\n\
         \x20*/\n\
         #ifndef CONVOKE_{upper}_H\n#define CONVOKE_{upper}_H\n\n\
         #define {upper}_WORKSPACE_BYTES {workspace}\n#define {upper}_WORKSPACE_ALIGN {ALIGN}\n\n\
         #ifdef __cplusplus\nextern \"C\" {{\n#endif\n\n\
         void {name}({});\n\n\
         #ifdef __cplusplus\n}}\n#endif\n\n#endif\n",
        args.join(", "),
    )
}

/// An identifier of C: other characters become `_`, and [`KEYWORDS`] and [`LIBRARY`] get a prefix.
fn c_name(name: &str) -> String {
    let mut out: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let taken = [KEYWORDS, LIBRARY].iter().any(|words| words.split_whitespace().any(|word| word == out));
    if taken || !out.starts_with(|c: char| c.is_ascii_alphabetic()) {
        out.insert_str(0, "convoke_");
    }
    out
}

/// Keywords of C23 and C++23, and of the dialects that compilers speak unless told not to.
const KEYWORDS: &str = "\
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t char8_t class co_await \
    co_return co_yield compl concept const const_cast consteval constexpr constinit continue decltype default delete do \
    double dynamic_cast else enum explicit export extern false float for friend goto if inline int linux long mutable \
    namespace new noexcept not not_eq nullptr operator or or_eq private protected public register reinterpret_cast \
    requires restrict return short signed sizeof static static_assert static_cast struct switch template this \
    thread_local throw true try typedef typeid typename typeof typeof_unqual union unix unsigned using virtual void \
    volatile wchar_t while xor xor_eq";

/// Functions of the C library, and of POSIX where the name is a word that a layer might have. An object that defines one
/// replaces it for the whole program.
const LIBRARY: &str = "\
    abort abs accept acos acosh alarm asctime asin asinh atan atan2 atanh atexit atof atoi atol bind bsearch calloc cbrt \
    ceil chdir clearerr clock close connect copysign cos cosh ctime difftime div dup erf erfc exec exit exp exp2 expm1 \
    fabs fclose fdim feof ferror fflush fgetc fgetpos fgets floor fma fmax fmin fmod fopen fork fprintf fputc fputs fread \
    free freopen frexp fscanf fseek fsetpos ftell fwrite gamma getc getchar getenv gets gmtime hypot ilogb index isalnum \
    isalpha iscntrl isdigit isgraph islower isprint ispunct isspace isupper isxdigit j0 j1 jn kill labs ldexp ldiv lgamma \
    link listen llabs lldiv llrint llround localtime log log10 log1p log2 logb longjmp lrint lround lseek main malloc \
    mblen memchr memcmp memcpy memmove memset mkdir mktime mmap modf munmap nan nearbyint nextafter open pause perror pipe \
    poll pow printf putc putchar puts qsort raise rand random read realloc recv remainder remove remquo rename rewind \
    rindex rint rmdir round scalbln scalbn scanf select send setbuf setjmp setlocale setvbuf signal sin sinh sleep socket \
    sprintf sqrt srand sscanf stat strcat strchr strcmp strcoll strcpy strcspn strerror strftime strlen strncat strncmp \
    strncpy strpbrk strrchr strspn strstr strtod strtok strtol strtoul strxfrm sync system tan tanh tgamma time tmpfile \
    tmpnam tolower toupper trunc truncate ungetc unlink usleep vfprintf vprintf vsprintf wait write y0 y1 yn";
