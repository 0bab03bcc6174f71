//! Loop IR functions as AVX2 or AVX-512 code: the second emitter, for vectors that Cranelift does not have.
//!
//! ```text
//! Func ──flat──► nodes with positions ──fold──► loads that become operands
//!                        └──uses──► bank: registers by furthest next use ──select──► asm: bytes
//! ```
//!
//! Statements keep their order: whoever wrote the loops has chosen it. A function is assembled in one walk, in microseconds. It follows the
//! same calling convention as Cranelift's functions (see `emit`) and lies in the same module.

mod asm;
mod bank;
mod control;
mod expr;
mod flat;
mod fold;
mod half;
mod isa;
mod memory;
mod order;
mod pick;
mod place;
mod prefetch;
mod strided;

use convoke_ir::elem::Elem;
use convoke_ir::loops::{Expr, Func, FuncId, FuncKind, Program, Stmt, ValId};
use convoke_machine::Machine;
use cranelift_module::ModuleReloc;
use iced_x86::{Code, Instruction, Register};
use rustc_hash::FxHashMap;

use self::asm::{Assembler, Mem};
use self::bank::{Bank, Key};
use self::flat::{Flat, Keys, Node, Parts};
pub(crate) use self::isa::Isa;
use self::isa::Length;
use self::place::Kind;
use crate::emit;

impl Isa {
    /// What a machine has, if it is described with vectors wider than Cranelift's and has the instructions for them.
    pub(crate) fn of(machine: &Machine) -> Option<Isa> {
        let has = |features: &[&str]| machine.arch == "x86_64" && features.iter().all(|f| machine.has(f));
        let evex = has(&["avx2", "fma", "avx512f", "avx512vl"]);
        match machine.vector_bits {
            512 if evex => Some(Isa { evex: true, converts: true }),
            256 if has(&["avx2", "fma"]) => Some(Isa { evex: false, converts: has(&["f16c"]) }),
            _ => None,
        }
    }

    /// Whether this emitter has all instructions for a function.
    pub(crate) fn can(self, func: &Func) -> bool {
        half::can(func, self)
    }
}

/// A function's bytes, its constants behind the code, and its calls. `number` gives a callee's number in the module.
pub(crate) fn function(
    program: &Program,
    id: FuncId,
    isa: Isa,
    number: &dyn Fn(FuncId) -> u32,
) -> (Vec<u8>, Vec<ModuleReloc>) {
    let func = &program.funcs[id];
    let parallel = if func.kind == FuncKind::Kernel { emit::parallel_loop(func) } else { None };
    let mut flat = flat::flatten(func, parallel);
    let keys = Keys::new(func, isa);
    let folded = fold::folded(func, &flat, isa);
    let uses = flat::uses(func, &mut flat, &keys, isa, &folded);
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
        // The last register is the emitter's own.
        vectors: Bank::new(isa.registers(), (0..isa.registers() - 1).collect(), uses.vectors),
        general: Bank::new(16, control::general_order(arguments.is_some()), uses.general),
        orders: FxHashMap::default(),
        frame: Frame { bytes: control::outgoing(arguments), calls: arguments.is_some(), ..Frame::default() },
        range_begin: None,
        masks: Vec::new(),
        ahead: prefetch::ahead(func, &flat),
        position: 0,
        asm: Assembler::new(isa),
    };
    emitter.emit(&flat)
}

/// The function's stack below its frame pointer: `[rsp + offset]`, 64-byte aligned.
#[derive(Default)]
struct Frame {
    bytes: usize,
    /// Places of 64 and of 8 bytes that nobody needs any more.
    free: [Vec<usize>; 2],
    /// Where a vector passes through memory.
    exchange: Option<usize>,
    /// Whether arguments lie above the frame.
    arguments: bool,
    /// Whether there are calls, which want it aligned.
    calls: bool,
}

impl Frame {
    /// A place for a value.
    fn place(&mut self, kind: Kind) -> usize {
        let size = if kind == Kind::Vector { 64 } else { 8 };
        self.free[kind as usize].pop().unwrap_or_else(|| {
            let at = self.bytes.next_multiple_of(size);
            self.bytes = at + size;
            at
        })
    }

    /// Nobody needs this place of a value any more.
    fn free(&mut self, kind: Kind, slot: usize) {
        self.free[kind as usize].push(slot);
    }

    fn exchange(&mut self) -> Mem {
        let at = self.exchange.unwrap_or_else(|| self.place(Kind::Vector));
        self.exchange = Some(at);
        Mem::at(Register::RSP, at as i32)
    }
}

/// One function on its way into bytes.
struct Emitter<'a> {
    func: &'a Func,
    number: &'a dyn Fn(FuncId) -> u32,
    isa: Isa,
    keys: Keys,
    folded: Vec<Option<usize>>,
    /// Which values are constants other than NaN.
    numbers: Vec<bool>,
    /// The most vector registers wanted at once, by loop.
    pressure: Vec<usize>,
    vectors: Bank,
    general: Bank,
    /// Orders of lanes that may be in registers, by their place among the constants; see [`order`].
    orders: FxHashMap<usize, Key>,
    frame: Frame,
    /// Lane counts that a mask register holds the mask of, k1 onwards.
    masks: Vec<usize>,
    /// Where a kernel keeps the first iteration of its parallel loop.
    range_begin: Option<usize>,
    /// Lines to ask for at a node, by its index; see [`prefetch`].
    ahead: FxHashMap<usize, Vec<i64>>,
    /// Of the node at hand, from 1; 0 before the first.
    position: u32,
    asm: Assembler,
}

/// Mask registers that hold masks for the whole function: k1 to k6. k7 is for the moment.
const MASKS: usize = 6;

impl<'a> Emitter<'a> {
    fn emit(mut self, flat: &Flat<'a>) -> (Vec<u8>, Vec<ModuleReloc>) {
        self.masks = self.wanted_masks(flat);
        self.enter(flat);
        self.load_masks();
        let mut places = Vec::new();
        for (node, position) in flat.nodes.iter().zip(1..) {
            self.position = position;
            match node {
                Node::Op(stmt, address) => {
                    self.prefetch(address.as_ref());
                    self.op(flat, stmt, address.as_ref());
                }
                Node::Call(call, args) => self.call(call, args),
                Node::Begin(number) => {
                    self.forget_orders();
                    let entry = self.begin(&flat.loops[*number], *number);
                    places.push(entry);
                }
                Node::End(number) => {
                    self.forget_orders();
                    let entry = places.pop().expect("loops are nested");
                    self.end(&flat.loops[*number], entry);
                }
            }
        }
        self.leave()
    }

    fn op(&mut self, flat: &Flat<'a>, stmt: &Stmt, address: Option<&flat::Address>) {
        match stmt {
            Stmt::Let(val, expr, _) => {
                self.numbers[val.index()] = match expr {
                    Expr::Const(number) => !number.is_nan(),
                    Expr::Splat(from) | Expr::Copy(from) => self.numbers[from.index()],
                    _ => false,
                };
                if self.folded[val.index()].is_none() {
                    self.define(flat, *val, expr, address);
                }
            }
            Stmt::Reg(val, expr, _) | Stmt::Set(val, expr, _) => {
                self.numbers[val.index()] = false;
                self.define(flat, *val, expr, address);
            }
            Stmt::Store(place, val, _) => {
                let address = address.expect("a store has an address");
                self.store(*val, place, address);
                self.used(&[*val]);
                self.used_address(address);
            }
            Stmt::For(_) | Stmt::Call(_) => {}
        }
    }

    /// Evaluates `expr`, part by part, and lets go of what is not used any more.
    fn define(&mut self, flat: &Flat<'a>, val: ValId, expr: &Expr, address: Option<&flat::Address>) {
        let parts = Parts::of(self.func, val, self.isa);
        match expr {
            Expr::Convert(from) => self.convert(val, *from),
            Expr::Reduce(op, from) => self.reduce(val, *op, *from),
            // All parts before any is held: a register may be an operand, and its parts are not read in order.
            Expr::Zip(half, x, y) => {
                let zips: Vec<usize> = (0..parts.count).map(|part| self.zip(val, part, parts, *half, *x, *y)).collect();
                zips.into_iter().enumerate().for_each(|(part, register)| self.hold(val, part, register));
            }
            Expr::Pick(pick, x, y) => {
                let picks: Vec<usize> =
                    (0..parts.count).map(|part| self.pick(val, part, parts, *pick, [*x, *y])).collect();
                picks.into_iter().enumerate().for_each(|(part, register)| self.hold(val, part, register));
            }
            _ => {
                for part in 0..parts.count {
                    self.part(flat, val, part, parts, expr, address);
                    self.vectors.unlock_all();
                    self.general.unlock_all();
                }
            }
        }
        self.vectors.unlock_all();
        self.general.unlock_all();
        self.used(&expr.reads());
        for val in expr.reads() {
            if let Some(load) = self.folded[val.index()]
                && let Node::Op(_, Some(address)) = &flat.nodes[load]
            {
                self.used_address(address);
            }
        }
        if let Some(address) = address {
            self.used_address(address);
        }
        (0..parts.count).for_each(|part| self.release(Kind::Vector, self.keys.part(val, part)));
    }

    /// Lets go of values that are not used after this node.
    fn used(&mut self, vals: &[ValId]) {
        for &val in vals {
            let parts = Parts::of(self.func, val, self.isa);
            (0..parts.count).for_each(|part| self.release(Kind::Vector, self.keys.part(val, part)));
        }
    }

    fn used_address(&mut self, address: &flat::Address) {
        let keys: Vec<Key> = address.keys(&self.keys).collect();
        keys.into_iter().for_each(|key| self.release(Kind::General, key));
        self.general.unlock_all();
    }

    /// The emitter's own vector register.
    fn scratch(&self) -> usize {
        self.isa.registers() - 1
    }

    /// The register length that a part of `lanes` lanes fills.
    fn length(&self, elem: Elem, lanes: usize) -> Length {
        Length::of(lanes * elem.bytes())
    }

    fn elem(&self, val: ValId) -> Elem {
        self.func.vals[val].ty.elem
    }

    /// Says that `register`, taken before, holds a part of a value from now on.
    fn hold(&mut self, val: ValId, part: usize, register: usize) {
        let key = self.keys.part(val, part);
        self.vectors.put(key, register);
        self.vectors.assigned(key, self.position);
    }

    /// The register of a part, loaded if it was not in one, locked.
    fn part_operand(&mut self, val: ValId, part: usize) -> usize {
        self.operand(Kind::Vector, self.keys.part(val, part))
    }

    /// Whether a value's part is not used after this node.
    fn dies(&mut self, val: ValId, part: usize) -> bool {
        let key = self.keys.part(val, part);
        self.vectors.next_use(key, self.position) == bank::NEVER
    }
}

/// `instruction to, from` of general registers.
fn general2(code: Code, to: Register, from: Register) -> Instruction {
    Instruction::with2(code, to, from).expect("two registers")
}
