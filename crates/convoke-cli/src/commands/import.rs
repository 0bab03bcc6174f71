//! `convoke import`: an ONNX model as text, with its weights beside it.

use convoke_passes::State;

use crate::args::Import;
use crate::failure::{Failure, note};
use crate::io::Io;
use crate::sink::Outputs;
use crate::source;
use crate::weights::Weights;

pub(crate) fn run(args: Import, io: &mut Io<'_>) -> Result<(), Failure> {
    let mut outputs = Outputs::of([args.file.as_path()]);
    outputs.announce(&args.output)?;
    let module = source::module(&args.file, &args.which, io)?;
    let mut weights = Weights::new(&args.output, module.files());
    let mut state = State::Layer(module.layer(None)?.ir().clone());
    weights.take(&mut state)?;
    weights.write(&mut outputs, io)?;
    let State::Layer(layer) = state else { unreachable!("a layer was made into the state above") };
    outputs.write(&args.output, layer.to_string().as_bytes(), io)?;
    outputs.commit()?;
    if !source::is_standard(&args.output) {
        let (ops, file) = (layer.body.len(), args.output.display());
        note(io, &format!("{ops} ops in {file}; `convoke run {file}` runs it"));
    }
    Ok(())
}
