//! Code in the memory of this process, owned and freed.

use std::io;

use convoke_ir::limits::Bounds;
use convoke_ir::loops::{FuncId, Program};
use cranelift_codegen::binemit::Reloc;
use cranelift_jit::{BranchProtection, JITBuilder, JITMemoryKind, JITMemoryProvider, JITModule, SystemMemoryProvider};
use cranelift_module::{ModuleError, ModuleReloc, ModuleRelocTarget, ModuleResult, default_libcall_names};

use crate::error::CodegenError;
use crate::machine_code::{MachineCode, Numbered, compile_all, guard, internal};
use crate::sanitize::Sites;
use crate::target::Target;

/// A compiled kernel; see [`crate::convention`] for the parameters.
#[cfg(target_arch = "x86_64")]
pub(crate) type Kernel = unsafe extern "sysv64" fn(*const *mut u8, *mut u8, i64, i64);
/// A compiled kernel; see [`crate::convention`] for the parameters.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) type Kernel = unsafe extern "C" fn(*const *mut u8, *mut u8, i64, i64);

/// Compiled functions. Their memory lives as long as this does.
pub(crate) struct Code {
    /// Taken by `drop` alone.
    module: Option<JITModule>,
    /// By program function; `None` for those not compiled.
    kernels: Vec<Option<Kernel>>,
    /// Bytes of machine code.
    pub(crate) bytes: usize,
    /// The checks of sanitised code; else nothing.
    pub(crate) sites: Sites,
    /// Where all functions lie, if they refer to each other alone and by distance: they can then be moved together.
    whole: Option<(usize, usize)>,
}

// SAFETY: after `finalize` the module is only read, through `kernel`, until it is dropped; its code keeps no state.
unsafe impl Sync for Code {}

impl Code {
    /// Compiles `funcs` and makes them executable.
    pub(crate) fn new(
        program: &Program,
        funcs: &[FuncId],
        target: &Target,
        bounds: &Bounds,
    ) -> Result<Code, CodegenError> {
        let numbers = Numbered::new(program, funcs);
        // Compiled before memory is asked for, so that all of it can lie together.
        let compiled = compile_all(program, funcs, target, &numbers, false, bounds)?;
        let room = |code: &MachineCode| code.bytes.len() + code.align as usize + VENEER * code.relocs.len();
        let total = compiled.iter().map(room).sum();
        let mut builder = JITBuilder::with_isa(target.ordered.clone(), default_libcall_names());
        builder.memory_provider(Box::new(Together::new(total)));

        let mut code = Code {
            module: None,
            kernels: vec![None; program.funcs.len()],
            bytes: 0,
            sites: Sites::default(),
            whole: None,
        };
        let module = code.module.insert(JITModule::new(builder));
        guard(|| {
            numbers.define(program, funcs, &compiled, target, "convoke", module).map_err(|error| denied(*error))?;
            module.finalize_definitions().map_err(denied)
        })?;
        code.bytes = compiled.iter().map(|machine| machine.bytes.len()).sum();
        let (mut begin, mut end, mut moves) = (usize::MAX, 0, true);
        for (&id, compiled) in funcs.iter().zip(&compiled) {
            let address = module.get_finalized_function(numbers.of(id));
            begin = begin.min(address as usize);
            end = end.max(address as usize + compiled.bytes.len());
            moves &= compiled.relocs.iter().all(is_distance);
            // SAFETY: this is the entry of a function with the parameters of `Kernel`, as `emit::signature` says. Codelets have
            // others; `kernel` is asked only for the functions of runs, which the verifier lets be kernels alone.
            code.kernels[id.index()] = Some(unsafe { std::mem::transmute::<*const u8, Kernel>(address) });
        }
        if target.sanitize {
            code.sites = Sites(program.funcs.iter().map(|(_, func)| (func.name.clone(), Vec::new())).collect());
            funcs.iter().zip(compiled).for_each(|(id, compiled)| code.sites.0[id.index()].1 = compiled.sites);
        }
        // Functions that span more than was asked for are in several mappings.
        code.whole = (moves && begin < end && end - begin <= total).then(|| (begin, end - begin));
        Ok(code)
    }

    /// The bytes of all functions, if they run wherever they are put, on a boundary of 64 bytes.
    pub(crate) fn movable(&self) -> Option<&[u8]> {
        let (begin, len) = self.whole?;
        // SAFETY: one allocation of the module, which lives as long as `self` and which nothing writes to after `new`.
        Some(unsafe { std::slice::from_raw_parts(begin as *const u8, len) })
    }

    /// Where a kernel lies in [`Code::movable`].
    pub(crate) fn offset(&self, kernel: Kernel) -> Option<usize> {
        (kernel as usize).checked_sub(self.whole?.0)
    }

    /// The entry of a kernel.
    pub(crate) fn kernel(&self, id: FuncId) -> Kernel {
        self.kernels[id.index()].expect("every kernel that is run was compiled")
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        if let Some(module) = self.module.take() {
            // SAFETY: calls borrow `self`, so none is running, and no pointer into the code leaves this struct's owner.
            unsafe { module.free_memory() };
        }
    }
}

/// Whether a reference is the distance to another function of the program.
fn is_distance(reloc: &ModuleReloc) -> bool {
    matches!(reloc.name, ModuleRelocTarget::User { .. })
        && matches!(reloc.kind, Reloc::X86CallPCRel4 | Reloc::X86PCRel4 | Reloc::X86CallPLTRel4)
}

/// The most bytes that the JIT adds behind a function for one of its calls.
const VENEER: usize = 32;

fn denied(error: ModuleError) -> CodegenError {
    match error {
        ModuleError::Allocation { err } => CodegenError::ExecutableMemory { reason: err.to_string() },
        ModuleError::Backend(error) => CodegenError::ExecutableMemory { reason: format!("{error:#}") },
        other => internal(other),
    }
}

/// All code in one mapping: calls between functions reach at most 2 GiB, and memory is protected once.
struct Together {
    system: SystemMemoryProvider,
    total: usize,
    free: Option<(*mut u8, usize)>,
}

// SAFETY: the pointer is into memory that `system` owns and nothing else reaches before it is handed out.
unsafe impl Send for Together {}

impl Together {
    fn new(total: usize) -> Together {
        Together { system: SystemMemoryProvider::new(), total, free: None }
    }
}

impl JITMemoryProvider for Together {
    fn allocate(&mut self, size: usize, align: u64, kind: JITMemoryKind) -> io::Result<*mut u8> {
        if !matches!(kind, JITMemoryKind::Executable) {
            return self.system.allocate(size, align, kind);
        }
        let (begin, left) = match self.free {
            Some(free) => free,
            None => (self.system.allocate(self.total, align, kind)?, self.total),
        };
        let skip = begin.align_offset(align as usize);
        if skip.saturating_add(size) > left {
            return self.system.allocate(size, align, JITMemoryKind::Executable);
        }
        // SAFETY: `skip + size` bytes are left behind `begin`, all of one allocation.
        let (at, end) = unsafe { (begin.add(skip), begin.add(skip + size)) };
        self.free = Some((end, left - skip - size));
        Ok(at)
    }

    unsafe fn free_memory(&mut self) {
        self.free = None;
        // SAFETY: passed on from the caller.
        unsafe { self.system.free_memory() };
    }

    fn finalize(&mut self, branch_protection: BranchProtection) -> ModuleResult<()> {
        self.free = None;
        self.system.finalize(branch_protection)
    }
}
