//! tbd
use convoke_ir::attr::Algorithm;
use convoke_machine::Machine;

use super::Conv;
use super::cost::lanes;
use super::plan::{Plan, Refusal, Term};
use crate::parts::{Parts, Problem};

pub(super) fn plan(conv: &Conv, machine: &Machine, levels: u8) -> Result<Plan, Refusal> {
    let _ = lanes(conv, machine);
    Ok(Plan { algorithm: Algorithm::Strassen { levels: Some(levels) }, multiplications: 0, bytes_moved: 0, scratch_bytes: 0, terms: vec![], error_bound: 1e-7, error_typical: 1e-7 })
}
