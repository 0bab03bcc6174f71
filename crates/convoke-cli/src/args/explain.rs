//! The arguments of `convoke explain`.

use std::path::PathBuf;

use clap::Args;

use super::options::{Format, Options};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  convoke explain layer.conv                    the candidates of a convolution, and why one is chosen
  convoke explain net.onnx --html net.html      a net: its ops in a table, and as a graph
  convoke explain net.onnx --of %conv1          the candidates of one convolution of a net

A net is a layer of several convolutions, or of more than 8 ops.")]
pub(crate) struct Explain {
    /// The layer, as text, or a model that ends in .onnx
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Run these passes too, each in its place among those of the level: `a,b(option=value)`
    #[arg(long, value_name = "A,B(O=V)")]
    pub(crate) passes: Option<String>,
    /// Report on the convolution of a net that computes this value, with all its candidates
    #[arg(long, value_name = "NAME")]
    pub(crate) of: Option<String>,
    /// Compile and time each convolution with each algorithm that can compute it, and the layer after each pass; of a net each op as chosen
    #[arg(long)]
    pub(crate) measure: bool,
    /// Also write the report as one self-contained HTML page, with plots and the IR after each pass; of a net with its graph
    #[arg(long, value_name = "OUT")]
    pub(crate) html: Option<PathBuf>,
    /// Also bound every value for all inputs in their ranges, which --input-range or the text declares: where it lies, and how far native
    /// code may be from it
    #[arg(long)]
    pub(crate) bounds: bool,
    #[command(flatten)]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) options: Options,
}
