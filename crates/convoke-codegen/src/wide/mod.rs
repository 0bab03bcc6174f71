//! Loop IR functions as code of an instruction set with wide vectors: the second emitter, for vectors that Cranelift does not have.
//!
//! ```text
//! Func ──flat──► nodes with positions ──fold──► loads that become operands
//!                        └──uses──► bank: registers by furthest next use ──emitter──► x86: bytes
//! ```
//!
//! Statements keep their order, which lowering has chosen. A function is assembled in one walk, in microseconds. It has the calling convention of
//! [`convention`](crate::convention) and lies in the same module as Cranelift's. Registers are assigned here; instructions
//! are [`x86`](crate::x86)'s.

mod address;
mod bank;
mod call;
mod control;
mod convert;
mod emitter;
mod expr;
mod flat;
mod fold;
mod frame;
mod half;
mod memory;
mod order;
mod place;
mod prefetch;
mod shuffle;
mod strided;
mod uses;

use convoke_ir::loops::{FuncId, FuncKind, Program};
use convoke_machine::Prefetch;
use cranelift_module::ModuleReloc;
use rustc_hash::FxHashMap;

use self::bank::Bank;
use self::emitter::Emitter;
use self::flat::Node;
use self::frame::Frame;
pub(crate) use self::half::can;
use self::uses::Keys;
use crate::convention::parallel_loop;
use crate::x86::{Assembler, Isa, abi};

/// A function's bytes, its constants behind the code, and its calls. `number` gives a callee's number in the module.
pub(crate) fn function(
    program: &Program,
    id: FuncId,
    isa: &'static Isa,
    prefetch: Prefetch,
    number: &dyn Fn(FuncId) -> u32,
) -> (Vec<u8>, Vec<ModuleReloc>) {
    let func = &program.funcs[id];
    let parallel = if func.kind == FuncKind::Kernel { parallel_loop(func) } else { None };
    let mut flat = flat::flatten(func, parallel);
    let keys = Keys::new(func, isa.vector_bytes);
    let folded = fold::folded(func, &flat, isa);
    let uses = uses::uses(&mut flat, &keys, &folded);
    let arguments = |node: &Node<'_>| if let Node::Call(_, args) = node { Some(args.len()) } else { None };
    let arguments = flat.nodes.iter().filter_map(arguments).max();
    let emitter = Emitter {
        func,
        number,
        isa,
        keys,
        folded,
        numbers: vec![false; func.vals.len()],
        pressure: uses.pressure,
        // The last register is the assembler's own.
        vectors: Bank::new(isa.registers, (0..isa.registers - 1).collect(), uses.vectors),
        general: Bank::new(abi::GENERAL, abi::order(arguments.is_some()), uses.general),
        orders: FxHashMap::default(),
        frame: Frame::new(arguments),
        range_begin: None,
        ahead: prefetch::ahead(func, &flat, prefetch),
        position: 0,
        asm: Assembler::new(isa),
    };
    emitter.emit(&flat)
}
