//! The emitter of one function: the walk over its nodes, and the registers during it.

use convoke_ir::elem::Elem;
use convoke_ir::loops::{Expr, Func, FuncId, Stmt, ValId};
use cranelift_module::ModuleReloc;
use rustc_hash::FxHashMap;

use super::bank::{Bank, Key, Kind, NEVER};
use super::flat::{Address, Flat, Node};
use super::frame::Frame;
use super::prefetch::Ahead;
use super::uses::Keys;
use crate::x86::{Assembler, Isa, Shape};

/// One function on its way into bytes.
pub(super) struct Emitter<'a> {
    pub(super) func: &'a Func,
    pub(super) number: &'a dyn Fn(FuncId) -> u32,
    pub(super) isa: &'static Isa,
    pub(super) keys: Keys,
    pub(super) folded: Vec<Option<usize>>,
    /// Which values are constants other than NaN.
    pub(super) numbers: Vec<bool>,
    /// The most vector registers wanted at once, by loop.
    pub(super) pressure: Vec<usize>,
    pub(super) vectors: Bank,
    pub(super) general: Bank,
    /// Orders of lanes that may be in registers, by their place among the constants; see [`order`](super::order).
    pub(super) orders: FxHashMap<usize, Key>,
    pub(super) frame: Frame,
    /// Where a kernel keeps the first iteration of its parallel loop.
    pub(super) range_begin: Option<usize>,
    /// Lines to ask for at a node, by its index; see [`prefetch`](super::prefetch).
    pub(super) ahead: FxHashMap<usize, Vec<Ahead>>,
    /// Of the node at hand, from 1; 0 before the first.
    pub(super) position: u32,
    pub(super) asm: Assembler,
}

impl<'a> Emitter<'a> {
    pub(super) fn emit(mut self, flat: &Flat<'a>) -> (Vec<u8>, Vec<ModuleReloc>) {
        self.want_masks(flat);
        self.enter(flat);
        self.asm.load_masks();
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

    fn op(&mut self, flat: &Flat<'a>, stmt: &Stmt, address: Option<&Address>) {
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

    /// Evaluates `expr`, part by part, and frees the registers of values that have no further use.
    fn define(&mut self, flat: &Flat<'a>, val: ValId, expr: &Expr, address: Option<&Address>) {
        let parts = self.keys.parts(val);
        match expr {
            Expr::Convert(from) => self.convert(val, *from),
            Expr::Reduce(op, from) => self.reduce(val, *op, *from),
            // All parts before any is held: a register may be an operand, and its parts are not read in order.
            Expr::Zip(half, x, y) => {
                let zips: Vec<usize> = (0..parts.count).map(|part| self.zip(val, part, *half, *x, *y)).collect();
                zips.into_iter().enumerate().for_each(|(part, register)| self.hold(val, part, register));
            }
            Expr::Pick(pick, x, y) => {
                let picks: Vec<usize> = (0..parts.count).map(|part| self.pick(val, part, *pick, [*x, *y])).collect();
                picks.into_iter().enumerate().for_each(|(part, register)| self.hold(val, part, register));
            }
            _ => {
                for part in 0..parts.count {
                    self.part(flat, val, part, expr, address);
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
    pub(super) fn used(&mut self, vals: &[ValId]) {
        for &val in vals {
            let parts = self.keys.parts(val);
            (0..parts.count).for_each(|part| self.release(Kind::Vector, self.keys.part(val, part)));
        }
    }

    fn used_address(&mut self, address: &Address) {
        let keys: Vec<Key> = address.keys(&self.keys).collect();
        keys.into_iter().for_each(|key| self.release(Kind::General, key));
        self.general.unlock_all();
    }

    /// The shape of a register that holds a part of a value.
    pub(super) fn shape(&self, val: ValId) -> Shape {
        Shape::of(self.elem(val), self.keys.parts(val).lanes)
    }

    pub(super) fn elem(&self, val: ValId) -> Elem {
        self.func.vals[val].ty.elem
    }

    /// Says that `register`, taken before, holds a part of a value from now on.
    pub(super) fn hold(&mut self, val: ValId, part: usize, register: usize) {
        let key = self.keys.part(val, part);
        self.vectors.put(key, register);
        self.vectors.assigned(key, self.position);
    }

    /// The register of a part, loaded if it was not in one, locked.
    pub(super) fn part_operand(&mut self, val: ValId, part: usize) -> usize {
        self.operand(Kind::Vector, self.keys.part(val, part))
    }

    /// Whether a value's part is not used after this node.
    pub(super) fn dies(&mut self, val: ValId, part: usize) -> bool {
        let key = self.keys.part(val, part);
        self.vectors.next_use(key, self.position) == NEVER
    }
}
