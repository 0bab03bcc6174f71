//! What plans state against what their loops do: multiplications and scratch of every candidate, counted statically in the lowered loop IR.

use std::collections::{BTreeMap, HashSet};

use convoke::Machine;
use convoke::ir::layer::{Layer, Op, verify};
use convoke::ir::loops::{BinOp, Expr, Func, FuncId, Program, Role, Stmt, ValId};
use convoke_conv::{Allowed, Conv, Estimate, Selection};
use convoke_ir::attr::Plan;
use convoke_lower::known::Known;
use convoke_passes::plan::lower;

/// Counts of one run of a function, those of the functions that it calls included.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// Multiplications of two numbers that are no constants.
    products: u128,
    calls: u128,
}

fn of_func(func: &Func, callees: &[Counts]) -> Counts {
    let mut sum = Counts::default();
    let mut constants: HashSet<ValId> = HashSet::new();
    let mut blocks: Vec<(&[Stmt], u128)> = vec![(&func.body, 1)];
    while let Some((block, times)) = blocks.pop() {
        for stmt in block {
            match stmt {
                Stmt::Let(val, expr, _) | Stmt::Reg(val, expr, _) | Stmt::Set(val, expr, _) => match expr {
                    Expr::Const(_) => drop(constants.insert(*val)),
                    Expr::Fma(a, b, _) | Expr::Binary(BinOp::Mul, a, b)
                        if !constants.contains(a) && !constants.contains(b) =>
                    {
                        sum.products += times * u128::from(func.vals[*val].ty.lanes);
                    }
                    _ => {}
                },
                Stmt::For(inner) => blocks.push((&inner.body, times * u128::from(inner.trips()))),
                Stmt::Call(call) if call.when.is_none() => {
                    let callee = callees[call.func.index()];
                    sum.products += times * callee.products;
                    sum.calls += times * (1 + callee.calls);
                }
                _ => {}
            }
        }
    }
    sum
}

fn counted(program: &Program) -> Counts {
    let mut funcs: Vec<Counts> = Vec::new();
    for (_, func) in program.funcs.iter() {
        let counts = of_func(func, &funcs);
        funcs.push(counts);
    }
    let of = |func: FuncId| funcs[func.index()];
    program.entry.iter().fold(Counts::default(), |sum, run| Counts {
        products: sum.products + of(run.func).products,
        calls: sum.calls + of(run.func).calls,
    })
}

/// Bytes of the scratch buffers, and of the local ones of the largest kernel.
fn scratch(program: &Program) -> (u128, u128) {
    let buffers = program.buffers.iter().filter(|(_, buffer)| buffer.role == Role::Scratch);
    let buffers = buffers.map(|(_, buffer)| buffer.ty.bytes() as u128).sum();
    let locals = |func: &Func| -> u128 {
        let local = func.slots.iter().filter(|(_, slot)| slot.access == convoke::ir::loops::Access::Local);
        local.map(|(_, slot)| slot.len as u128 * slot.elem.bytes() as u128).sum()
    };
    (buffers, program.funcs.iter().map(|(_, func)| locals(func)).max().unwrap_or(0))
}

fn candidates(layer: &Layer, machine: &Machine) -> Vec<(Plan, Estimate)> {
    let at = layer.body.iter().position(|instr| matches!(instr.op, Op::Conv2d(_))).expect("a convolution");
    let conv = Conv::new(layer, &Known::of(layer), &layer.body[at]).expect("a convolution");
    let allowed = Allowed { max_error: Some(f64::MAX), certified: false, guard: 0 };
    let selection = Selection::new("y", conv, Plan::default(), machine, &allowed).expect("some plan applies");
    selection.candidates.into_iter().filter_map(|(plan, estimate)| Some((plan, estimate.ok()?))).collect()
}

fn lowered(layer: &Layer, plan: Plan, machine: &Machine) -> Program {
    let mut layer = layer.clone();
    for instr in &mut layer.body {
        if let Op::Conv2d(conv) = &mut instr.op {
            (conv.plan, conv.guard) = (plan, 0);
        }
    }
    lower(verify(&layer).expect("it is valid"), machine).unwrap_or_else(|e| panic!("{plan}: {e}"))
}

#[test]
fn look() {
    let text = std::fs::read_to_string(std::env::var("LAYERS").unwrap()).unwrap();
    let mut ratios: BTreeMap<String, Vec<(f64, String)>> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let f: Vec<&str> = line.split(',').collect();
        let n: Vec<usize> = f[2..16].iter().map(|v| v.parse().unwrap()).collect();
        let [b, c, h, w, k, r, s, sh, sw, ph, pw, dh, dw, g] = n[..] else { panic!() };
        let i = |v: usize| v as i64;
        let layer = convoke::Layer::conv2d([b, c, h, w], [k, c / g, r, s])
            .strides([sh, sw].map(i))
            .pads([ph, pw, ph, pw].map(i))
            .dilations([dh, dw].map(i))
            .group(g as i64)
            .build()
            .unwrap();
        let machine = Machine::x86_64_v3();
        for (plan, estimate) in candidates(layer.ir(), &machine) {
            let program = lowered(layer.ir(), plan, &machine);
            let counts = counted(&program);
            let (buffers, local) = scratch(&program);
            let name = format!("{}", plan.form());
            let name = name.split("(").next().unwrap().to_owned()
                + plan.schedule.lanes.map_or("", |l| l.name())
                + plan.schedule.input.map_or("", |l| l.name());
            ratios
                .entry(format!("mul {name}"))
                .or_default()
                .push((counts.products as f64 / estimate.multiplications as f64, f[0].into()));
            ratios
                .entry(format!("scr {name}"))
                .or_default()
                .push(((buffers + local) as f64 / estimate.scratch_bytes.max(1) as f64, f[0].into()));
            ratios.entry(format!("cal {name}")).or_default().push((counts.calls as f64, f[0].into()));
        }
    }
    for (name, mut all) in ratios {
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        println!("{name}: {} from {:?} median {:?} to {:?}", all.len(), all[0], all[all.len() / 2], all[all.len() - 1]);
    }
}
