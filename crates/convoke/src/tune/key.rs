//! The key of a verdict: everything that the verdict depends on, as text.
//!
//! These are version, processor, machine, threads, level, memory, error allowed, places of NaN and infinities, range declared, and the convolution with its epilogue, without its
//! names and the values of its constants.

use std::fmt::Write;

use convoke_conv::Selection;
use convoke_data::fnv_1a;
use convoke_ir::layer::{self as ir, Def, Source};
use convoke_machine::processor;

use super::cache::Key;
use crate::compiler::Compiler;

/// The key of a convolution that stands `alone` in its layer.
pub(super) fn key(compiler: &Compiler, selection: &Selection, alone: &ir::Layer) -> Key {
    let budget = selection.budget;
    let mut text = format!("convoke {}\n", env!("CARGO_PKG_VERSION"));
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        writeln!(text, "{name} {value}").expect("a string can be written to");
    };
    line("processor", &processor());
    line("machine", &format_args!("{:016x}", fnv_1a(compiler.machine().to_toml().as_bytes())));
    line("threads", &compiler.threads());
    line("level", &compiler.level());
    line("memory", &compiler.max_memory());
    line("error", &format_args!("{:e}{}", budget.limit, if budget.certified { " certified" } else { "" }));
    line("guard", &compiler.grants().guard);
    if compiler.grants().ieee {
        line("ieee", &true);
    }
    if let Some(range) = selection.conv.range {
        line("range", &range);
    }
    line("layer", &nameless(alone));
    Key::new(text)
}

/// The text of a layer with numbers for names and without the values of constants: code does not depend on them.
fn nameless(layer: &ir::Layer) -> ir::Layer {
    let mut layer = layer.clone();
    layer.name = "l".into();
    for (i, id) in layer.values.ids().collect::<Vec<_>>().into_iter().enumerate() {
        let value = &mut layer.values[id];
        value.name = i.to_string();
        if let Def::Const(source) = &mut value.def {
            *source = Source::Unbound;
        }
    }
    layer
}
