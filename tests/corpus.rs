//! Convolution shapes from oneDNN's benchdnn, as `corpus/benchdnn_conv_shapes.csv` has them: see `corpus/README.md`.

use std::path::Path;

use crate::ConvShape;

/// The columns, in order.
pub const HEADER: &str = "source,name,n,g,c,h,w,oc,kh,kw,sh,sw,ph0,ph1,pw0,pw1,dh,dw";

/// Reads a file of shapes; each comes with its source.
///
/// # Errors
///
/// A file that cannot be read, or a line that is no shape, in words.
pub fn read(path: &Path) -> Result<Vec<(String, ConvShape)>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut lines = text.lines();
    // The first column is the source of a shape, whatever its name.
    let columns = |header: &str| header.split_once(',').map(|(_, columns)| columns.to_owned());
    if lines.next().and_then(columns) != columns(HEADER) {
        return Err(format!("{}: the first line must be `{HEADER}`", path.display()));
    }
    lines.map(|line| shape(line).ok_or_else(|| format!("{}: no shape: {line}", path.display()))).collect()
}

fn shape(line: &str) -> Option<(String, ConvShape)> {
    let fields: Vec<&str> = line.split(',').collect();
    let (source, numbers) = (fields.first()?, fields.get(2..)?);
    let numbers: Vec<usize> = numbers.iter().map(|n| n.parse().ok()).collect::<Option<_>>()?;
    let [n, g, c, h, w, k, r, s, sh, sw, top, bottom, left, right, dh, dw] = numbers[..] else { return None };
    let (strides, pads, dilations) = ([sh, sw], [top, left, bottom, right], [dh, dw]);
    Some(((*source).to_owned(), ConvShape { n, g, c, h, w, k, r, s, strides, pads, dilations }))
}
