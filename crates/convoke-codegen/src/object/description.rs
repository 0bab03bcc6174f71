//! The description that a net gives of itself: one JSON object.

use convoke_ir::elem::Subnormals;
use convoke_ir::loops::{Buffer, Role};

use super::net::{Export, Net};
use crate::convention::ALIGN;

/// The version of the exported functions: their names, parameters and meaning.
pub(super) const INTERFACE: u32 = 1;

/// The description; `weights_bytes` are those of the file beside the object, 0 without one. Names of values have neither quotes nor backslashes, so that all of them stand as they are.
pub(super) fn json(net: &Net<'_>, export: &Export, weights_bytes: u64) -> String {
    let program = net.program();
    let arrays = |role: Role| {
        let arrays = net.params().into_iter().map(|id| &program.buffers[id]).filter(|buffer| buffer.role == role);
        arrays.map(array).collect::<Vec<_>>().join(", ")
    };
    let cpus: Vec<String> = net.variants.iter().map(|variant| quoted(&variant.machine.name)).collect();
    format!(
        "{{\"convoke\": \"{}\", \"interface\": {INTERFACE}, \"net\": {}, \"inputs\": [{}], \"outputs\": [{}], \"cpus\": [{}], \
         \"workspace_bytes\": {}, \"workspace_align\": {ALIGN}, \"weights_bytes\": {weights_bytes}, \"subnormals\": \"{}\"}}",
        env!("CARGO_PKG_VERSION"),
        quoted(&program.name),
        arrays(Role::Input),
        arrays(Role::Output),
        cpus.join(", "),
        net.workspace(1),
        if export.subnormals == Subnormals::Flush { "flush" } else { "keep" },
    )
}

fn array(buffer: &Buffer) -> String {
    let (name, ty) = (quoted(&buffer.name), &buffer.ty);
    format!(
        "{{\"name\": {name}, \"type\": \"{}\", \"shape\": {:?}, \"layout\": \"{}\"}}",
        ty.elem,
        ty.shape.dims(),
        ty.layout
    )
}

/// A string of JSON. The name of a machine comes from a file.
fn quoted(text: &str) -> String {
    let plain = text.chars().filter(|c| !c.is_control() && !matches!(c, '"' | '\\'));
    format!("\"{}\"", plain.collect::<String>())
}
