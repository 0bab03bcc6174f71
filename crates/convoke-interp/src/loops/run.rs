//! The machine that runs the code. It has an array of numbers for each buffer, and one for the values of each function.

use convoke_ir::elem::Elem;
use convoke_ir::loops::{Access, BinOp, Program, Run, UnOp};

use super::code::{Address, Code, For, Lanes, Node, Place, Reg};
use crate::number::{exponent, less, less_equal, max, min};
use crate::{InterpError, Result, filled};

/// Code that knows the lane count, for each there is: most of a program's time is spent in it.
macro_rules! by_lanes {
    ($lanes:expr, $count:ident => $code:expr) => {{
        macro_rules! with {
            ($n:literal) => {{
                const $count: usize = $n;
                $code
            }};
        }
        match $lanes {
            Lanes::L1 => with!(1),
            Lanes::L2 => with!(2),
            Lanes::L4 => with!(4),
            Lanes::L8 => with!(8),
            Lanes::L16 => with!(16),
            Lanes::L32 => with!(32),
            Lanes::L64 => with!(64),
        }
    }};
}

/// A part of a buffer that a slot stands for.
#[derive(Clone, Copy)]
struct View {
    buffer: usize,
    start: usize,
    len: usize,
}

/// The state of one function. There is no recursion, so each has one.
#[derive(Default)]
struct Frame {
    views: Vec<View>,
    vars: Vec<i64>,
    numbers: Vec<f64>,
}

/// A program being run.
pub(super) struct Machine<'a> {
    program: &'a Program,
    code: &'a Code,
    /// The program's buffers, then the locals of the kernel that runs.
    memory: Vec<Vec<f64>>,
    frames: Vec<Frame>,
}

/// What went wrong, to be named once it has left the inner loops.
enum Fault {
    Outside { slot: usize, at: i64 },
    Inner(Box<InterpError>),
}

impl<'a> Machine<'a> {
    pub(super) fn new(program: &'a Program, code: &'a Code, memory: Vec<Vec<f64>>) -> Machine<'a> {
        let frame = |f: &super::code::Function| Frame {
            views: Vec::new(),
            vars: vec![0; f.vars],
            numbers: vec![f64::NAN; f.numbers],
        };
        Machine { program, code, memory, frames: code.0.iter().map(frame).collect() }
    }

    pub(super) fn into_memory(self) -> Vec<Vec<f64>> {
        self.memory
    }

    /// Runs a kernel on whole buffers.
    pub(super) fn kernel(&mut self, run: &Run) -> Result<()> {
        let (index, func) = (run.func.index(), &self.program.funcs[run.func]);
        let buffers = self.memory.len();
        let mut args = run.args.iter();
        let mut views = Vec::new();
        for (_, slot) in func.slots.iter() {
            let buffer = match slot.access {
                Access::Local => {
                    self.memory.push(filled(slot.len, f64::NAN)?);
                    self.memory.len() - 1
                }
                _ => args.next().map_or(usize::MAX, |buffer| buffer.index()),
            };
            if self.memory.get(buffer).is_none_or(|memory| memory.len() != slot.len) {
                return Err(
                    self.malformed(index, format!("`%{}` is given no buffer of {} elements", slot.name, slot.len))
                );
            }
            views.push(View { buffer, start: 0, len: slot.len });
        }
        self.check_overlap(index, &views)?;
        self.frames[index].views = views;
        let result = self.function(index, buffers);
        self.memory.truncate(buffers);
        result
    }

    /// Runs a function whose views are set. Buffers from `locals` on are its own.
    fn function(&mut self, index: usize, locals: usize) -> Result<()> {
        let mut frame = std::mem::take(&mut self.frames[index]);
        let code = self.code;
        let result = self.block(&code.0[index].body, &mut frame, locals);
        let views = std::mem::take(&mut frame.views);
        self.frames[index] = frame;
        result.map_err(|fault| match fault {
            Fault::Inner(error) => *error,
            Fault::Outside { slot, at } => {
                let func = &self.program.funcs[convoke_ir::loops::FuncId::new(index)];
                let name = func.slots.iter().nth(slot).map_or_else(String::new, |(_, s)| s.name.clone());
                InterpError::Bounds {
                    func: func.name.clone(),
                    slot: name,
                    at,
                    len: views.get(slot).map_or(0, |v| v.len),
                }
            }
        })
    }

    fn block(&mut self, nodes: &[Node], frame: &mut Frame, locals: usize) -> std::result::Result<(), Fault> {
        for node in nodes {
            let v = &mut frame.numbers;
            match node {
                Node::Const(to, number) => by_lanes!(to.lanes, L => *chunk_mut(v, to.at) = [*number; L]),
                Node::Splat(to, a) => by_lanes!(to.lanes, L => *chunk_mut(v, to.at) = [v[*a]; L]),
                Node::Copy(to, a) | Node::Part(to, a) => {
                    by_lanes!(to.lanes, L => *chunk_mut(v, to.at) = *chunk::<L>(v, *a))
                }
                Node::Load(to, place) => self.load(*to, place, frame)?,
                Node::Store(place, a, rounded) => self.store(place, *a, *rounded, frame)?,
                Node::Unary(op, to, a) => match op {
                    UnOp::Neg => map1(v, *to, *a, |a| -a),
                    UnOp::Abs => map1(v, *to, *a, f64::abs),
                    UnOp::Sqrt => map1(v, *to, *a, f64::sqrt),
                    UnOp::Nearest => map1(v, *to, *a, f64::round_ties_even),
                    UnOp::Pow2 => unreachable!("a node of its own"),
                    UnOp::Floor => map1(v, *to, *a, f64::floor),
                    UnOp::Ceil => map1(v, *to, *a, f64::ceil),
                    UnOp::Exponent => map1(v, *to, *a, exponent),
                },
                Node::Pow2(elem, to, a) => {
                    let normal = elem.smallest_normal();
                    map1(v, *to, *a, |a| if a.exp2() >= normal { elem.round(a.exp2()) } else { 0.0 });
                }
                Node::Binary(op, to, a, b) => match op {
                    BinOp::Add => map2(v, *to, *a, *b, |a, b| a + b),
                    BinOp::Sub => map2(v, *to, *a, *b, |a, b| a - b),
                    BinOp::Mul => map2(v, *to, *a, *b, |a, b| a * b),
                    BinOp::Div => map2(v, *to, *a, *b, |a, b| a / b),
                    BinOp::Min => map2(v, *to, *a, *b, min),
                    BinOp::Max => map2(v, *to, *a, *b, max),
                    BinOp::Less => map2(v, *to, *a, *b, less),
                    BinOp::LessEqual => map2(v, *to, *a, *b, less_equal),
                },
                Node::Fma(to, a, b, c) => by_lanes!(to.lanes, L => {
                    let (a, b, c) = (*chunk::<L>(v, *a), *chunk::<L>(v, *b), *chunk::<L>(v, *c));
                    *chunk_mut::<L>(v, to.at) = std::array::from_fn(|l| a[l] * b[l] + c[l]);
                }),
                Node::Select(to, c, a, b) => by_lanes!(to.lanes, L => {
                    let (c, a, b) = (*chunk::<L>(v, *c), *chunk::<L>(v, *a), *chunk::<L>(v, *b));
                    *chunk_mut::<L>(v, to.at) = std::array::from_fn(|l| if c[l] != 0.0 { a[l] } else { b[l] });
                }),
                Node::Zip(half, to, a, b) => by_lanes!(to.lanes, L => {
                    let (a, b) = (*chunk::<L>(v, *a), *chunk::<L>(v, *b));
                    let first = usize::from(half.first(L as u8));
                    *chunk_mut::<L>(v, to.at) = std::array::from_fn(|l| [a, b][l % 2][first + l / 2]);
                }),
                Node::Pick(pick, to, a, b) => by_lanes!(to.lanes, L => {
                    let (a, b) = (*chunk::<L>(v, *a), *chunk::<L>(v, *b));
                    *chunk_mut::<L>(v, to.at) = std::array::from_fn(|l| {
                        let lane = pick.lane(l);
                        if lane < L { a[lane] } else { b[lane - L] }
                    });
                }),
                Node::Reduce(op, to, a, lanes) => {
                    let combine = binary(*op);
                    v[*to] = v[*a + 1..*a + lanes].iter().fold(v[*a], |sum, &x| combine(sum, x));
                }
                Node::For(f) => self.repeat(f, frame, locals)?,
                Node::Call(call) => {
                    if self.decides(call.when.as_ref(), frame)? {
                        self.call(call.func, &call.args, frame)?;
                    }
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn load(&self, to: Reg, place: &Place, frame: &mut Frame) -> std::result::Result<(), Fault> {
        let (view, at) = touched(place, &frame.views, &frame.vars)?;
        let (v, memory) = (&mut frame.numbers, &self.memory[view.buffer]);
        let whole = place.lanes == to.lanes.count();
        if !whole {
            v[to.range()].fill(0.0);
        }
        match place.stride {
            1 if whole => by_lanes!(to.lanes, L => *chunk_mut::<L>(v, to.at) = *chunk::<L>(memory, at)),
            0 if whole => by_lanes!(to.lanes, L => *chunk_mut::<L>(v, to.at) = [memory[at]; L]),
            stride => {
                for (l, to) in v[to.range()][..place.lanes].iter_mut().enumerate() {
                    *to = memory[(at as i64 + l as i64 * stride) as usize];
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn store(
        &mut self,
        place: &Place,
        from: usize,
        rounded: Option<Elem>,
        frame: &Frame,
    ) -> std::result::Result<(), Fault> {
        let (view, at) = touched(place, &frame.views, &frame.vars)?;
        let memory = &mut self.memory[view.buffer];
        for (l, from) in frame.numbers[from..from + place.lanes].iter().enumerate() {
            let number = rounded.map_or(*from, |elem| elem.round(*from));
            memory[(at as i64 + l as i64 * place.stride) as usize] = number;
        }
        Ok(())
    }

    /// Runs a loop.
    fn repeat(&mut self, f: &For, frame: &mut Frame, locals: usize) -> std::result::Result<(), Fault> {
        for (var, init, _) in &f.inductions {
            frame.vars[*var] = init.at(&frame.vars);
        }
        frame.vars[f.var] = f.begin;
        for _ in 0..f.trips {
            if f.parallel {
                // Locals do not outlive an iteration.
                self.memory[locals..].iter_mut().for_each(|local| local.fill(f64::NAN));
            }
            self.block(&f.body, frame, locals)?;
            frame.vars[f.var] = frame.vars[f.var].wrapping_add(f.step);
            for (var, _, by) in &f.inductions {
                frame.vars[*var] = frame.vars[*var].wrapping_add(*by);
            }
        }
        Ok(())
    }

    /// Whether the condition of a call holds; a call without one always runs.
    fn decides(&self, when: Option<&(usize, Address)>, frame: &Frame) -> std::result::Result<bool, Fault> {
        let Some((slot, at)) = when else { return Ok(true) };
        let (view, at) = (frame.views[*slot], at.at(&frame.vars));
        match usize::try_from(at).ok().filter(|&at| at < view.len) {
            Some(at) => Ok(self.memory[view.buffer][view.start + at] != 0.0),
            None => Err(Fault::Outside { slot: *slot, at }),
        }
    }

    fn call(&mut self, func: usize, args: &[(usize, Address)], frame: &Frame) -> std::result::Result<(), Fault> {
        let program = self.program;
        let callee = &program.funcs[convoke_ir::loops::FuncId::new(func)];
        if callee.slots.len() != args.len() || callee.slots.iter().any(|(_, slot)| slot.access == Access::Local) {
            let reason = format!("it is called with {} buffers, and may have no locals", args.len());
            return Err(Fault::Inner(Box::new(self.malformed(func, reason))));
        }
        let mut views = std::mem::take(&mut self.frames[func].views);
        views.clear();
        for ((slot, at), (_, parameter)) in args.iter().zip(callee.slots.iter()) {
            let (of, at) = (frame.views[*slot], at.at(&frame.vars));
            match usize::try_from(at).ok().filter(|at| at.checked_add(parameter.len).is_some_and(|end| end <= of.len)) {
                Some(at) => views.push(View { buffer: of.buffer, start: of.start + at, len: parameter.len }),
                None => {
                    let at = if at < 0 { at } else { at.saturating_add(parameter.len as i64 - 1) };
                    return Err(Fault::Outside { slot: *slot, at });
                }
            }
        }
        self.check_overlap(func, &views).map_err(|error| Fault::Inner(Box::new(error)))?;
        self.frames[func].views = views;
        let locals = self.memory.len();
        self.function(func, locals).map_err(|error| Fault::Inner(Box::new(error)))
    }

    /// Refuses a buffer that is written and seen through another parameter too.
    fn check_overlap(&self, func: usize, views: &[View]) -> Result<()> {
        let slots = &self.program.funcs[convoke_ir::loops::FuncId::new(func)].slots;
        for (i, ((_, slot), view)) in slots.iter().zip(views).enumerate() {
            for (other, ((_, other_slot), other_view)) in slots.iter().zip(views).enumerate() {
                let apart = view.buffer != other_view.buffer
                    || view.start + view.len <= other_view.start
                    || other_view.start + other_view.len <= view.start;
                if i != other && slot.access.writes() && !apart {
                    let reason = format!("`%{}` is written and overlaps `%{}`", slot.name, other_slot.name);
                    return Err(self.malformed(func, reason));
                }
            }
        }
        Ok(())
    }

    fn malformed(&self, func: usize, reason: String) -> InterpError {
        let func = &self.program.funcs[convoke_ir::loops::FuncId::new(func)];
        InterpError::Malformed { func: func.name.clone(), reason }
    }
}

impl Lanes {
    fn count(self) -> usize {
        match self {
            Lanes::L1 => 1,
            Lanes::L2 => 2,
            Lanes::L4 => 4,
            Lanes::L8 => 8,
            Lanes::L16 => 16,
            Lanes::L32 => 32,
            Lanes::L64 => 64,
        }
    }
}

impl Reg {
    fn range(self) -> std::ops::Range<usize> {
        self.at..self.at + self.lanes.count()
    }
}

/// The buffer, and the element in it of lane 0, after checking that all lanes are inside the view.
#[inline]
fn touched<'a>(place: &Place, views: &'a [View], vars: &[i64]) -> std::result::Result<(&'a View, usize), Fault> {
    let view = &views[place.slot];
    let first = place.at.at(vars);
    let last = first.saturating_add((place.lanes as i64 - 1).saturating_mul(place.stride));
    let inside = |at: i64| at >= 0 && (at as u64) < view.len as u64;
    match (inside(first), inside(last)) {
        (true, true) => Ok((view, view.start + first as usize)),
        (true, false) => Err(Fault::Outside { slot: place.slot, at: last }),
        _ => Err(Fault::Outside { slot: place.slot, at: first }),
    }
}

fn binary(op: BinOp) -> fn(f64, f64) -> f64 {
    match op {
        BinOp::Add => |a, b| a + b,
        BinOp::Sub => |a, b| a - b,
        BinOp::Mul => |a, b| a * b,
        BinOp::Div => |a, b| a / b,
        BinOp::Min => min,
        BinOp::Max => max,
        BinOp::Less => less,
        BinOp::LessEqual => less_equal,
    }
}

#[inline]
fn chunk<const L: usize>(v: &[f64], at: usize) -> &[f64; L] {
    v[at..].first_chunk().expect("a value has as many lanes as its type, and memory was checked")
}

#[inline]
fn chunk_mut<const L: usize>(v: &mut [f64], at: usize) -> &mut [f64; L] {
    v[at..].first_chunk_mut().expect("a value has as many lanes as its type")
}

#[inline]
fn map1(v: &mut [f64], to: Reg, a: usize, f: impl Fn(f64) -> f64) {
    by_lanes!(to.lanes, L => *chunk_mut(v, to.at) = chunk::<L>(v, a).map(f));
}

#[inline]
fn map2(v: &mut [f64], to: Reg, a: usize, b: usize, f: impl Fn(f64, f64) -> f64) {
    by_lanes!(to.lanes, L => {
        let (a, b) = (*chunk::<L>(v, a), *chunk::<L>(v, b));
        *chunk_mut::<L>(v, to.at) = std::array::from_fn(|l| f(a[l], b[l]));
    });
}
