//! Mutations of loop IR: small mistakes, such as a lowering may make, each at one statement of a program.

use convoke::ir::loops::{Affine, BinOp, Expr, Func, FuncId, Half, Place, Program, Stmt, ValId};

/// A kind of mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mutation {
    /// A loop runs once more or once less, or begins one later.
    Bound,
    /// An address is one more or one less.
    Offset,
    /// An address goes by another stride: two of its strides swapped, one of them one more, or another distance of lanes.
    Stride,
    /// Another number of lanes touches memory: a mask is missing, or one lane is left out.
    Mask,
    /// A product or a term of a sum is lost.
    Product,
    /// Two operations in a row are done in the other order: a residual after the activation, not before it.
    Order,
    /// The operands of a difference, a selection or a shuffle are swapped.
    Operands,
    /// A constant is another number.
    Constant,
    /// A store or a call is lost.
    Lost,
}

impl Mutation {
    /// Every kind.
    pub const ALL: [Mutation; 9] = [
        Mutation::Bound,
        Mutation::Offset,
        Mutation::Stride,
        Mutation::Mask,
        Mutation::Product,
        Mutation::Order,
        Mutation::Operands,
        Mutation::Constant,
        Mutation::Lost,
    ];
}

/// A statement: the loops on the way to it, and its place in the innermost block.
#[derive(Clone, Debug)]
pub struct Site {
    func: FuncId,
    path: Vec<usize>,
}

/// What a mistake makes of a block.
type Edit = Box<dyn FnOnce(&mut Vec<Stmt>)>;

/// The statements that a kind of mistake is possible at.
pub fn sites(program: &Program, mutation: Mutation) -> Vec<Site> {
    let mut found = Vec::new();
    for (id, func) in program.funcs.iter() {
        let mut blocks = vec![(func.body.as_slice(), Vec::new())];
        while let Some((block, path)) = blocks.pop() {
            for (i, stmt) in block.iter().enumerate() {
                let path = [path.as_slice(), &[i]].concat();
                if edit(func, block, i, mutation, 0).is_some() {
                    found.push(Site { func: id, path: path.clone() });
                }
                if let Stmt::For(inner) = stmt {
                    blocks.push((&inner.body, path));
                }
            }
        }
    }
    found
}

/// The program with the mistake at a statement, and what the statement was. `choice` selects one of several mistakes of the kind.
pub fn mutated(program: &Program, site: &Site, mutation: Mutation, choice: usize) -> (Program, String) {
    let mut program = program.clone();
    let before = program.funcs[site.func].clone();
    let mut block = &mut program.funcs[site.func].body;
    let (&last, loops) = site.path.split_last().expect("a site has a place");
    for &at in loops {
        let Stmt::For(inner) = &mut block[at] else { unreachable!("only loops have blocks") };
        block = &mut inner.body;
    }
    let was = shown(&block[last]);
    // Some choices are not possible everywhere; the first is.
    let edit = [choice, 0].into_iter().find_map(|choice| edit(&before, block, last, mutation, choice));
    edit.expect("sites are where it is possible")(block);
    (program, format!("@{}: {was}", before.name))
}

/// A statement without the block of a loop.
fn shown(stmt: &Stmt) -> String {
    match stmt {
        Stmt::For(inner) => format!("for {}..{} step {}", inner.begin, inner.end, inner.step),
        Stmt::Let(_, expr, _) => format!("let {expr:?}"),
        Stmt::Set(_, expr, _) | Stmt::Reg(_, expr, _) => format!("register {expr:?}"),
        Stmt::Store(place, ..) => format!("store {place:?}"),
        Stmt::Call(call) => format!("call {:?}", call.args),
    }
}

fn edit(func: &Func, block: &[Stmt], i: usize, mutation: Mutation, choice: usize) -> Option<Edit> {
    match mutation {
        Mutation::Bound => bound(block, i, choice),
        Mutation::Offset | Mutation::Stride | Mutation::Mask => access(func, block, i, mutation, choice),
        Mutation::Product => expression(block, i, &|expr| match *expr {
            Expr::Fma(_, _, sum) | Expr::Binary(BinOp::Add | BinOp::Sub, sum, _) => Some(Expr::Copy(sum)),
            _ => None,
        }),
        Mutation::Order => order(block, i),
        Mutation::Operands => expression(block, i, &|expr| match *expr {
            Expr::Binary(op @ (BinOp::Sub | BinOp::Div | BinOp::Less | BinOp::LessEqual), a, b) if a != b => {
                Some(Expr::Binary(op, b, a))
            }
            Expr::Select(c, a, b) if a != b => Some(Expr::Select(c, b, a)),
            Expr::Zip(half, a, b) => Some(Expr::Zip(if half == Half::Lo { Half::Hi } else { Half::Lo }, a, b)),
            Expr::Pick(pick, a, b) if a != b => Some(Expr::Pick(pick, b, a)),
            _ => None,
        }),
        Mutation::Constant => expression(block, i, &|expr| match *expr {
            Expr::Const(0.0) => Some(Expr::Const(1.0)),
            Expr::Const(number) => Some(Expr::Const(if choice.is_multiple_of(2) { -number } else { 2.0 * number })),
            _ => None,
        }),
        Mutation::Lost => matches!(block[i], Stmt::Store(..) | Stmt::Call(_)).then(|| -> Edit {
            Box::new(move |block| {
                block.remove(i);
            })
        }),
    }
}

fn bound(block: &[Stmt], i: usize, choice: usize) -> Option<Edit> {
    let Stmt::For(_) = &block[i] else { return None };
    Some(Box::new(move |block| {
        let Stmt::For(inner) = &mut block[i] else { return };
        match choice % 3 {
            0 => inner.end += inner.step,
            1 => inner.end -= inner.step,
            _ => inner.begin += inner.step,
        }
    }))
}

/// Another expression in place of one.
fn expression(block: &[Stmt], i: usize, other: &dyn Fn(&Expr) -> Option<Expr>) -> Option<Edit> {
    let (Stmt::Let(_, expr, _) | Stmt::Set(_, expr, _) | Stmt::Reg(_, expr, _)) = &block[i] else { return None };
    let other = other(expr)?;
    Some(Box::new(move |block| match &mut block[i] {
        Stmt::Let(_, expr, _) | Stmt::Set(_, expr, _) | Stmt::Reg(_, expr, _) => *expr = other,
        _ => {}
    }))
}

/// Another address of a load, a store or the first argument of a call.
fn access(func: &Func, block: &[Stmt], i: usize, mutation: Mutation, choice: usize) -> Option<Edit> {
    let lanes = |val: ValId| func.vals[val].ty.lanes;
    let (place, all) = match &block[i] {
        Stmt::Let(val, Expr::Load(place), _)
        | Stmt::Set(val, Expr::Load(place), _)
        | Stmt::Reg(val, Expr::Load(place), _)
        | Stmt::Store(place, val, _) => (place.clone(), lanes(*val)),
        Stmt::Call(call) => {
            let view = &call.args[choice % call.args.len()];
            (Place { slot: view.slot, at: view.at.clone(), stride: 1, lanes: 1 }, 1)
        }
        _ => return None,
    };
    let other = match mutation {
        Mutation::Offset => {
            Place { at: place.at.clone() + if choice.is_multiple_of(2) { 1 } else { -1 }, ..place.clone() }
        }
        Mutation::Stride => stride(&place, choice)?,
        _ => Place { lanes: if place.lanes < all { all } else { place.lanes - 1 }, ..place.clone() },
    };
    if other == place || other.lanes == 0 {
        return None;
    }
    Some(Box::new(move |block| match &mut block[i] {
        Stmt::Let(_, Expr::Load(place), _)
        | Stmt::Set(_, Expr::Load(place), _)
        | Stmt::Reg(_, Expr::Load(place), _)
        | Stmt::Store(place, ..) => *place = other,
        Stmt::Call(call) => {
            let at = choice % call.args.len();
            call.args[at].at = other.at;
        }
        _ => {}
    }))
}

fn stride(place: &Place, choice: usize) -> Option<Place> {
    let terms = place.at.terms();
    let at = match terms {
        [] if place.lanes > 1 && place.stride != 0 => return Some(Place { stride: place.stride + 1, ..place.clone() }),
        [] => return None,
        [(a, x), (b, y), rest @ ..] if x != y => {
            Affine::new([(*a, *y), (*b, *x)].into_iter().chain(rest.iter().copied()), place.at.offset())
        }
        [(a, x), rest @ ..] => {
            let by = if choice.is_multiple_of(2) { x + 1 } else { x - 1 };
            Affine::new(std::iter::once((*a, by)).chain(rest.iter().copied()), place.at.offset())
        }
    };
    Some(Place { at, ..place.clone() })
}

/// `a = x ∘ y; b = a • z` as `a = x • z; b = a ∘ y`, where z is known before.
fn order(block: &[Stmt], i: usize) -> Option<Edit> {
    let Stmt::Let(_, Expr::Binary(second, a, z), _) = block[i] else { return None };
    let defines = |stmt: &Stmt, val: ValId| matches!(stmt, Stmt::Let(v, ..) if *v == val);
    let j = (0..i).rev().find(|&j| defines(&block[j], a))?;
    let Stmt::Let(_, Expr::Binary(first, x, y), _) = block[j] else { return None };
    let later = block[j..i].iter().any(|stmt| defines(stmt, z));
    if first == second || later || z == a {
        return None;
    }
    Some(Box::new(move |block| {
        if let Stmt::Let(_, expr, _) = &mut block[j] {
            *expr = Expr::Binary(second, x, z);
        }
        if let Stmt::Let(_, expr, _) = &mut block[i] {
            *expr = Expr::Binary(first, a, y);
        }
    }))
}
