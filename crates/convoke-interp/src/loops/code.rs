//! Functions in the form that is run: every value is a place in one array of numbers, every address a short list of
//! variables and factors. Nothing is looked up by name or type any more.

use convoke_ir::elem::Elem;
use convoke_ir::loops::{self, Affine, BinOp, Expr, Func, Half, Pick, Program, Stmt, UnOp, ValId, VecType, View};

use crate::{InterpError, Result};

/// The code of a program's functions, by index.
pub(super) struct Code(pub(super) Vec<Function>);

/// One function.
pub(super) struct Function {
    pub(super) body: Vec<Node>,
    /// How many loop variables there are.
    pub(super) vars: usize,
    /// How many numbers the values take together.
    pub(super) numbers: usize,
}

/// `offset + Σ factor · variable`.
pub(super) struct Address {
    terms: Box<[(u32, i64)]>,
    offset: i64,
}

impl Address {
    fn of(affine: &Affine) -> Address {
        let terms = affine.terms().iter().map(|&(var, by)| (var.index() as u32, by)).collect();
        Address { terms, offset: affine.offset() }
    }

    #[inline]
    pub(super) fn at(&self, vars: &[i64]) -> i64 {
        let term = |&(var, by): &(u32, i64)| vars[var as usize].wrapping_mul(by);
        self.terms.iter().map(term).fold(self.offset, i64::wrapping_add)
    }
}

/// Lane `l < lanes` is element `at + l · stride` of `slot`.
pub(super) struct Place {
    pub(super) slot: usize,
    pub(super) at: Address,
    pub(super) stride: i64,
    pub(super) lanes: usize,
}

/// Where a value's first lane lies among the function's numbers, and how many lanes it has.
#[derive(Clone, Copy)]
pub(super) struct Reg {
    pub(super) at: usize,
    pub(super) lanes: Lanes,
}

/// A number of lanes there is.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Lanes {
    L1,
    L2,
    L4,
    L8,
    L16,
    L32,
    L64,
}

/// A statement. Operands are where their first lane lies; they have as many lanes as the destination.
pub(super) enum Node {
    Const(Reg, f64),
    Load(Reg, Place),
    /// Rounded to the element type, where one is given.
    Store(Place, usize, Option<Elem>),
    Copy(Reg, usize),
    Splat(Reg, usize),
    Unary(UnOp, Reg, usize),
    /// 2 to the power of a number, rounded to the element type; 0 where that is subnormal.
    Pow2(Elem, Reg, usize),
    Binary(BinOp, Reg, usize, usize),
    Fma(Reg, usize, usize, usize),
    Select(Reg, usize, usize, usize),
    Zip(Half, Reg, usize, usize),
    Pick(Pick, Reg, usize, usize),
    /// As many lanes as the destination has, from one.
    Part(Reg, usize),
    /// A scalar from the lanes of a value.
    Reduce(BinOp, usize, usize, usize),
    For(Box<For>),
    Call(Box<Call>),
}

/// A loop.
pub(super) struct For {
    pub(super) var: usize,
    pub(super) begin: i64,
    pub(super) step: i64,
    pub(super) trips: u64,
    pub(super) parallel: bool,
    pub(super) inductions: Vec<(usize, Address, i64)>,
    pub(super) body: Vec<Node>,
}

/// A call: the callee, and for each of its parameters a slot and where in it the parameter begins.
pub(super) struct Call {
    pub(super) func: usize,
    pub(super) args: Vec<(usize, Address)>,
    /// The condition: the element that must not be 0.
    pub(super) when: Option<(usize, Address)>,
}

impl Code {
    pub(super) fn of(program: &Program) -> Result<Code> {
        program.funcs.iter().map(|(_, func)| Function::of(func)).collect::<Result<_>>().map(Code)
    }
}

impl Function {
    fn of(func: &Func) -> Result<Function> {
        let mut numbers = 0;
        let mut regs = Vec::new();
        for (_, val) in func.vals.iter() {
            regs.push(Reg { at: numbers, lanes: lanes(func, val.ty)? });
            numbers += usize::from(val.ty.lanes);
        }
        let body = Builder { func, regs: &regs }.block(&func.body)?;
        Ok(Function { body, vars: func.vars.len(), numbers })
    }
}

fn lanes(func: &Func, ty: VecType) -> Result<Lanes> {
    Ok(match ty.lanes {
        1 => Lanes::L1,
        2 => Lanes::L2,
        4 => Lanes::L4,
        8 => Lanes::L8,
        16 => Lanes::L16,
        32 => Lanes::L32,
        64 => Lanes::L64,
        n => {
            let reason = format!("a value has {n} lanes; there are 1, 2, 4 and so on to 64");
            return Err(InterpError::Malformed { func: func.name.clone(), reason });
        }
    })
}

struct Builder<'a> {
    func: &'a Func,
    regs: &'a [Reg],
}

impl Builder<'_> {
    fn block(&self, stmts: &[Stmt]) -> Result<Vec<Node>> {
        stmts.iter().map(|stmt| self.stmt(stmt)).collect()
    }

    fn stmt(&self, stmt: &Stmt) -> Result<Node> {
        Ok(match stmt {
            Stmt::Let(val, expr, _) | Stmt::Reg(val, expr, _) | Stmt::Set(val, expr, _) => self.define(*val, expr)?,
            Stmt::Store(place, val, _) => {
                self.fits(place.lanes, *val)?;
                let elem = self.func.slots[place.slot].elem;
                Node::Store(self.place(place), self.at(*val), elem.is_storage().then_some(elem))
            }
            Stmt::For(f) => Node::For(Box::new(For {
                var: f.var.index(),
                begin: f.begin,
                step: f.step,
                trips: f.trips(),
                parallel: f.marks.parallel,
                inductions: f.inductions.iter().map(|i| (i.var.index(), Address::of(&i.init), i.by)).collect(),
                body: self.block(&f.body)?,
            })),
            Stmt::Call(call) => {
                let view = |view: &View| (view.slot.index(), Address::of(&view.at));
                let (args, when) = (call.args.iter().map(view).collect(), call.when.as_ref().map(view));
                Node::Call(Box::new(Call { func: call.func.index(), args, when }))
            }
        })
    }

    fn define(&self, val: ValId, expr: &Expr) -> Result<Node> {
        let to = self.regs[val.index()];
        // Operands share the lanes of the result, except where an expression says otherwise.
        let same = !matches!(expr, Expr::Splat(_) | Expr::Reduce(..) | Expr::Part(..));
        let ty = |val: ValId| self.func.vals[val].ty;
        if same && expr.reads().iter().any(|&read| ty(read).lanes != ty(val).lanes) {
            return Err(self.malformed("an operand has another number of lanes than the result"));
        }
        Ok(match expr {
            Expr::Const(number) => Node::Const(to, *number),
            Expr::Load(place) => {
                self.fits(place.lanes, val)?;
                Node::Load(to, self.place(place))
            }
            Expr::Splat(a) => Node::Splat(to, self.at(*a)),
            Expr::Convert(a) | Expr::Copy(a) => Node::Copy(to, self.at(*a)),
            Expr::Unary(UnOp::Pow2, a) => Node::Pow2(ty(val).elem, to, self.at(*a)),
            Expr::Unary(op, a) => Node::Unary(*op, to, self.at(*a)),
            Expr::Binary(op, a, b) => Node::Binary(*op, to, self.at(*a), self.at(*b)),
            Expr::Fma(a, b, c) => Node::Fma(to, self.at(*a), self.at(*b), self.at(*c)),
            Expr::Select(c, a, b) => Node::Select(to, self.at(*c), self.at(*a), self.at(*b)),
            Expr::Zip(_, a, _) if ty(*a).lanes == 1 => return Err(self.malformed("`zip` needs at least 2 lanes")),
            Expr::Zip(half, a, b) => Node::Zip(*half, to, self.at(*a), self.at(*b)),
            Expr::Pick(pick, a, _) if !pick.fits(ty(*a).lanes) => {
                return Err(self.malformed("two vectors have no such lanes to pick"));
            }
            Expr::Pick(pick, a, b) => Node::Pick(*pick, to, self.at(*a), self.at(*b)),
            Expr::Part(part, a) => {
                let first = usize::from(*part) * usize::from(ty(val).lanes);
                if first + usize::from(ty(val).lanes) > usize::from(ty(*a).lanes) {
                    return Err(self.malformed("there is no such part of the operand"));
                }
                Node::Part(to, self.at(*a) + first)
            }
            Expr::Reduce(op, a) => Node::Reduce(*op, to.at, self.at(*a), usize::from(ty(*a).lanes)),
        })
    }

    fn at(&self, val: ValId) -> usize {
        self.regs[val.index()].at
    }

    fn place(&self, place: &loops::Place) -> Place {
        let loops::Place { slot, ref at, stride, lanes } = *place;
        Place { slot: slot.index(), at: Address::of(at), stride, lanes: usize::from(lanes) }
    }

    fn fits(&self, lanes: u8, val: ValId) -> Result<()> {
        match (1..=self.func.vals[val].ty.lanes).contains(&lanes) {
            true => Ok(()),
            false => Err(self.malformed("more lanes touch memory than the value has, or none")),
        }
    }

    fn malformed(&self, reason: &str) -> InterpError {
        InterpError::Malformed { func: self.func.name.clone(), reason: reason.into() }
    }
}
