//! Removal of functions that nothing runs or calls, and of scratch and prepared buffers that nothing touches.

use convoke_ir::loops::{Program, Role, Stmt};

use super::block;

/// Removes unused functions and buffers; the others keep their order.
pub(crate) fn prune(program: &mut Program) {
    let mut called = vec![false; program.funcs.len()];
    let runs = || program.prepare.iter().chain(&program.entry);
    runs().for_each(|run| called[run.func.index()] = true);
    // A function calls only those before it.
    for (id, func) in program.funcs.iter().collect::<Vec<_>>().into_iter().rev() {
        if called[id.index()] {
            block::each(&func.body, &mut |stmt| {
                if let Stmt::Call(call) = stmt {
                    called[call.func.index()] = true;
                }
            });
        }
    }
    let mut touched: Vec<bool> =
        program.buffers.iter().map(|(_, buffer)| !matches!(buffer.role, Role::Scratch | Role::Prepared)).collect();
    runs().flat_map(|run| &run.args).for_each(|arg| touched[arg.index()] = true);

    let new_func = program.funcs.keep(&called);
    let new_buffer = program.buffers.keep(&touched);
    for run in program.prepare.iter_mut().chain(&mut program.entry) {
        run.func = new_func[run.func.index()].expect("what is run is kept");
        run.args.iter_mut().for_each(|arg| *arg = new_buffer[arg.index()].expect("what is touched is kept"));
    }
    for id in program.funcs.ids().collect::<Vec<_>>() {
        block::each_mut(&mut program.funcs[id].body, &mut |stmt| {
            if let Stmt::Call(call) = stmt {
                call.func = new_func[call.func.index()].expect("what is called is kept");
            }
        });
    }
}
