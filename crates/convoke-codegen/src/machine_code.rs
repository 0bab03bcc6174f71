//! One function compiled to bytes, before it is placed anywhere.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use convoke_ir::limits::{Bounds, Limit};
use convoke_ir::loops::{FuncId, Program, Run};
use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::Function;
use cranelift_module::{FuncId as ModuleFuncId, Linkage, Module, ModuleError, ModuleReloc};

use crate::emit;
use crate::error::CodegenError;
use crate::helpers;
use crate::sanitize::Site;
use crate::target::Target;
use crate::wide;
use crate::x86;

/// The bytes of a function, its constants behind the code.
pub(crate) struct MachineCode {
    pub(crate) bytes: Vec<u8>,
    pub(crate) align: u64,
    pub(crate) relocs: Vec<ModuleReloc>,
    /// Cranelift's own listing, if it was asked for.
    pub(crate) listing: Option<String>,
    /// The checks of sanitised code.
    pub(crate) sites: Vec<Site>,
}

/// Compiles a function. `number` is its number in the module.
pub(crate) fn compile(
    clif: Function,
    name: &str,
    number: ModuleFuncId,
    target: &Target,
    keeps_order: bool,
    listing: bool,
) -> Result<MachineCode, CodegenError> {
    let isa = if keeps_order { &target.ordered } else { &target.optimised };
    let mut context = Context::for_function(clif);
    context.set_disasm(listing);
    context.compile(&**isa, &mut ControlPlane::default()).map_err(|error| CodegenError::BackEnd {
        func: name.into(),
        reason: cranelift_codegen::print_errors::pretty_error(error.func, error.inner),
    })?;
    let code = context.compiled_code().expect("compiled without error");
    let relocs = code.buffer.relocs().iter();
    Ok(MachineCode {
        bytes: code.code_buffer().to_vec(),
        align: u64::from(code.buffer.alignment).max(u64::from(isa.function_alignment().preferred)),
        relocs: relocs.map(|reloc| ModuleReloc::from_mach_reloc(reloc, &context.func, number)).collect(),
        listing: code.vcode.clone(),
        sites: Vec::new(),
    })
}

/// The functions that `runs` need, callees first, as [`Program::funcs`] has them.
pub(crate) fn reachable(program: &Program, runs: &[Run]) -> Vec<FuncId> {
    let mut needed = vec![false; program.funcs.len()];
    runs.iter().for_each(|run| needed[run.func.index()] = true);
    // Callees stand before their callers.
    for id in program.funcs.ids().rev().collect::<Vec<_>>() {
        if needed[id.index()] {
            mark_callees(&program.funcs[id].body, &mut needed);
        }
    }
    program.funcs.ids().filter(|id| needed[id.index()]).collect()
}

fn mark_callees(body: &[convoke_ir::loops::Stmt], needed: &mut [bool]) {
    use convoke_ir::loops::Stmt;
    for stmt in body {
        match stmt {
            Stmt::For(inner) => mark_callees(&inner.body, needed),
            Stmt::Call(call) => needed[call.func.index()] = true,
            _ => {}
        }
    }
}

/// Functions of a program with their numbers in a module, one after another in the order given.
pub(crate) struct Numbered(Vec<Option<ModuleFuncId>>);

impl Numbered {
    /// From 0 on.
    pub(crate) fn new(program: &Program, funcs: &[FuncId]) -> Numbered {
        Numbered::from(program, funcs, 0)
    }

    /// From `first` on, in a module that has as many functions.
    pub(crate) fn from(program: &Program, funcs: &[FuncId], first: u32) -> Numbered {
        let mut numbers = vec![None; program.funcs.len()];
        for (number, id) in funcs.iter().enumerate() {
            numbers[id.index()] = Some(ModuleFuncId::from_u32(first + number as u32));
        }
        Numbered(numbers)
    }

    pub(crate) fn of(&self, id: FuncId) -> ModuleFuncId {
        self.0[id.index()].expect("every function that is called is among those numbered")
    }

    /// Declares the functions in a module, visible in it alone, and gives them their code. Their names begin with `stem`.
    pub(crate) fn define(
        &self,
        program: &Program,
        funcs: &[FuncId],
        compiled: &[MachineCode],
        target: &Target,
        stem: &str,
        module: &mut dyn Module,
    ) -> Result<(), Box<ModuleError>> {
        for &id in funcs {
            let func = &program.funcs[id];
            let signature = emit::signature(func, target);
            // The number and the dots keep local names apart from each other and from anything exported.
            let name = format!("{stem}.{}.{}", id.index(), func.name);
            let number = module.declare_function(&name, Linkage::Local, &signature).map_err(Box::new)?;
            debug_assert_eq!(number, self.of(id), "a module numbers functions as they are declared");
        }
        for (&id, code) in funcs.iter().zip(compiled) {
            let bytes = module.define_function_bytes(self.of(id), code.align, &code.bytes, &code.relocs);
            bytes.map_err(Box::new)?;
        }
        Ok(())
    }
}

/// Compiles `funcs` in parallel, while there is time and room for code.
pub(crate) fn compile_all(
    program: &Program,
    funcs: &[FuncId],
    target: &Target,
    numbers: &Numbered,
    listing: bool,
    bounds: &Bounds,
) -> Result<Vec<MachineCode>, CodegenError> {
    let made = AtomicUsize::new(0);
    let one = |&id: &FuncId| {
        let func = &program.funcs[id];
        bounds.on_time(format_args!("code of `@{}`", func.name))?;
        emit::check_size(func, target, bounds.limits())?;
        let code = guard(|| {
            if let Some(isa) = target.wide.filter(|isa| !target.sanitize && wide::can(func, isa)) {
                let (bytes, relocs) =
                    wide::function(program, id, isa, target.prefetch, &|callee| numbers.of(callee).as_u32());
                return Ok(MachineCode {
                    bytes,
                    align: x86::LONGEST_BYTES as u64,
                    relocs,
                    listing: None,
                    sites: Vec::new(),
                });
            }
            let (clif, sites) = emit::function(program, id, target, &|callee| numbers.of(callee).as_u32());
            let code = compile(clif, &func.name, numbers.of(id), target, emit::keeps_order(func, target), listing)?;
            Ok(MachineCode { sites, ..code })
        })?;
        let all = made.fetch_add(code.bytes.len(), Ordering::Relaxed) + code.bytes.len();
        bounds.limits().check(Limit::Code, all, format_args!("with @{}, the program has", func.name))?;
        Ok(code)
    };
    // Collected in order first, so that of several errors it is always the first that is reported.
    let all = if funcs.len() < 3 { funcs.iter().map(one).collect() } else { helpers::map(funcs.iter().collect(), one) };
    all.into_iter().collect()
}

/// Cranelift documents limits beyond which it panics. Ours lie below them; this is the second line.
pub(crate) fn guard<T>(work: impl FnOnce() -> Result<T, CodegenError>) -> Result<T, CodegenError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message");
        Err(CodegenError::Internal(text.into()))
    })
}

pub(crate) fn internal(error: ModuleError) -> CodegenError {
    CodegenError::Internal(error.to_string())
}
