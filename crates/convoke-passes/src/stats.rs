//! Sizes and multiplication counts of a layer or a program, so that a pass can be judged by before and after.
//!
//! Counts are exact integers. Only what is reached counts: a constant that nothing reads any more is no parameter.

use convoke_ir::layer::{Def, Layer};
use convoke_ir::loops::{BinOp, Expr, Func, Program, Role, Stmt};

/// What a layer or a program is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Ops, epilogue steps included; of a program, statements.
    pub ops: u128,
    /// Elements of the constants that are read.
    pub parameters: u128,
    /// Multiplications of one run, one for each multiply-add: of a layer those of `conv2d` and `matmul`, of a program
    /// every one that is executed.
    pub multiplications: u128,
    /// Bytes of inputs and of every value computed; of a program, of inputs, outputs and scratch.
    pub activation_bytes: u128,
    /// Bytes of the constants that are read.
    pub weight_bytes: u128,
}

impl Stats {
    /// Counts a layer.
    pub fn of_layer(layer: &Layer) -> Stats {
        let mut stats = Stats::default();
        let bytes = |id| layer.ty(id).bytes() as u128;
        stats.activation_bytes = layer.params.iter().map(|&id| bytes(id)).sum();
        for instr in &layer.body {
            stats.ops += 1 + instr.then.len() as u128;
            stats.multiplications += layer.multiplications(instr);
            stats.activation_bytes += bytes(instr.result);
        }
        for ((_, value), uses) in layer.values.iter().zip(layer.uses()) {
            if uses > 0 && matches!(value.def, Def::Const(_)) {
                stats.parameters += value.ty.elements() as u128;
                stats.weight_bytes += value.ty.bytes() as u128;
            }
        }
        stats
    }

    /// Counts a program.
    pub fn of_program(program: &Program) -> Stats {
        let mut stats = Stats::default();
        for (_, buffer) in program.buffers.iter() {
            let bytes = buffer.ty.bytes() as u128;
            match buffer.role {
                Role::Const(_) => {
                    stats.parameters += buffer.ty.elements() as u128;
                    stats.weight_bytes += bytes;
                }
                // A repacked constant is the same parameter again.
                Role::Prepared => stats.weight_bytes += bytes,
                Role::Input | Role::Output | Role::Scratch => stats.activation_bytes += bytes,
            }
        }
        // A function calls only those before it, so its callees are counted already.
        let mut runs: Vec<u128> = Vec::new();
        for (_, func) in program.funcs.iter() {
            let (statements, multiplications) = count(func, &runs);
            stats.ops += statements;
            runs.push(multiplications);
        }
        stats.multiplications = program.entry.iter().map(|run| runs[run.func.index()]).sum();
        stats
    }
}

/// The statements of a function, and the multiplications of one run of it given those of each function before it.
fn count(func: &Func, callees: &[u128]) -> (u128, u128) {
    let (mut statements, mut multiplications) = (0, 0u128);
    let mut blocks: Vec<(&[Stmt], u128)> = vec![(&func.body, 1)];
    while let Some((block, times)) = blocks.pop() {
        for stmt in block {
            statements += 1;
            match stmt {
                Stmt::Let(val, expr, _) | Stmt::Reg(val, expr, _) | Stmt::Set(val, expr, _) => {
                    if let Expr::Fma(..) | Expr::Binary(BinOp::Mul, ..) = expr {
                        let lanes = u128::from(func.vals[*val].ty.lanes);
                        multiplications = multiplications.saturating_add(times.saturating_mul(lanes));
                    }
                }
                Stmt::Store(..) => {}
                Stmt::For(l) => blocks.push((&l.body, times.saturating_mul(u128::from(l.trips())))),
                // Rare work is not counted.
                Stmt::Call(call) if call.when.is_some() => {}
                Stmt::Call(call) => {
                    let callee = callees.get(call.func.index()).copied().unwrap_or(0);
                    multiplications = multiplications.saturating_add(times.saturating_mul(callee));
                }
            }
        }
    }
    (statements, multiplications)
}
