//! PNG images as tensors: grey or RGB, values in `[0, 1]`, batch 1, in the layout of the type.
//!
//! Read are all PNG colour types at all depths: 8 bits are divided by 255, 16 by 65535. Written are 8 bits, with
//! values clamped to `[0, 1]`. No gamma is applied in either direction.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;

use convoke_ir::types::{Image, Layout, TensorType};
use ndarray::{ArrayD, IxDyn};
use png::{BitDepth, ColorType, Transformations};

use crate::{DataError, Files, write_whole};

/// Weights of red, green and blue in grey: ITU-R BT.601, as in libjpeg and Pillow.
const LUMA: [f64; 3] = [0.299, 0.587, 0.114];

/// Reads an image of the size that `ty` asks for. The notes say what was converted.
pub(crate) fn read(path: &Path, ty: &TensorType, files: &Files) -> Result<(Vec<f64>, Vec<String>), DataError> {
    let wrong = |e: png::DecodingError| match e {
        png::DecodingError::IoError(e) => DataError::read(path, e),
        e => DataError::format(path, format!("it cannot be read as PNG: {e}")),
    };
    let Some(Image { n: 1, c: channels @ (1 | 3), h, w }) = ty.as_image() else {
        return Err(DataError::format(
            path,
            format!("an image fills a tensor of batch 1 and 1 or 3 channels, not `{ty}`"),
        ));
    };
    let file = File::open(path).map_err(|e| DataError::read(path, e))?;
    let limits = png::Limits { bytes: usize::try_from(files.budget()).unwrap_or(usize::MAX) };
    let mut decoder = png::Decoder::new_with_limits(BufReader::new(file), limits);
    decoder.set_transformations(Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(wrong)?;
    let (width, height) = reader.info().size();
    if (height as usize, width as usize) != (h, w) {
        let reason = format!("the image is {height} rows of {width} pixels, `{ty}` asks for {h} rows of {w}");
        return Err(DataError::format(path, reason));
    }
    let (colour, depth) = reader.output_color_type();
    let mut out = files.allocate(ty.elements(), || format!("`{ty}`"))?;
    out.resize(ty.elements(), 0.0);
    let samples = colour.samples();
    let mut notes = Vec::new();
    if matches!(colour, ColorType::GrayscaleAlpha | ColorType::Rgba) {
        notes.push("the alpha channel was left out".to_owned());
    }
    let coloured = matches!(colour, ColorType::Rgb | ColorType::Rgba);
    match (coloured, channels) {
        (true, 1) => notes.push("colours were made grey (0.299 R + 0.587 G + 0.114 B)".to_owned()),
        (false, 3) => notes.push("the grey channel was used for all three colours".to_owned()),
        _ => {}
    }
    let size = reader.output_buffer_size().filter(|&n| n as u64 <= files.budget());
    let size = size.ok_or_else(|| DataError::format(path, "the decoded image is larger than the memory budget"))?;
    let mut bytes = vec![0; size];
    let info = reader.next_frame(&mut bytes).map_err(wrong)?;
    for row in 0..h {
        let line = &bytes[row * info.line_size..];
        for column in 0..w {
            let sample = |i: usize| {
                let at = column * samples + i;
                match depth {
                    BitDepth::Sixteen => f64::from(u16::from_be_bytes([line[2 * at], line[2 * at + 1]])) / 65535.0,
                    _ => f64::from(line[at]) / 255.0,
                }
            };
            for c in 0..channels {
                out[place(ty, c, row, column)] = match (coloured, channels) {
                    (true, 1) => (0..3).map(|i| LUMA[i] * sample(i)).sum(),
                    (true, _) => sample(c),
                    (false, _) => sample(0),
                };
            }
        }
    }
    Ok((out, notes))
}

/// The step from one value to the next in the image at `path`: 1/255, or 1/65535 where samples have 16 bits. `None` if the name is not that of an
/// image.
///
/// # Errors
///
/// A file that cannot be read, or is no PNG.
pub fn step(path: &Path) -> Result<Option<f64>, DataError> {
    if path.extension().is_none_or(|e| e != "png") {
        return Ok(None);
    }
    let file = File::open(path).map_err(|e| DataError::read(path, e))?;
    let mut decoder = png::Decoder::new(BufReader::new(file));
    let info =
        decoder.read_header_info().map_err(|e| DataError::format(path, format!("it cannot be read as PNG: {e}")))?;
    Ok(Some(if info.bit_depth == BitDepth::Sixteen { 1.0 / 65535.0 } else { 1.0 / 255.0 }))
}

/// Where channel, row and column lie in an image of batch 1.
fn place(ty: &TensorType, channel: usize, row: usize, column: usize) -> usize {
    let dims = ty.shape.dims();
    match ty.layout {
        Layout::Nchw => (channel * dims[2] + row) * dims[3] + column,
        Layout::Nhwc => (row * dims[2] + column) * dims[3] + channel,
    }
}

/// Writes a tensor of batch 1 and 1 or 3 channels, stored as `ty` says, as an 8-bit PNG; in full or not at all.
///
/// Gives a note if values were outside `[0, 1]` and had to be clamped.
pub fn write(path: &Path, ty: &TensorType, array: &ArrayD<f64>) -> Result<Vec<String>, DataError> {
    let Some(Image { n: 1, c: channels @ (1 | 3), h, w }) = ty.as_image() else {
        return Err(DataError::format(
            path,
            format!("an image holds a tensor of batch 1 and 1 or 3 channels, not `{ty}`"),
        ));
    };
    if array.raw_dim() != IxDyn(ty.shape.dims()) {
        return Err(DataError::format(path, format!("the array has shape {:?}, expected `{ty}`", array.shape())));
    }
    let (Ok(width), Ok(height)) = (u32::try_from(w), u32::try_from(h)) else {
        return Err(DataError::format(path, format!("`{ty}` is too large for a PNG")));
    };
    let numbers = array.as_standard_layout();
    let numbers = numbers.as_slice().expect("in standard layout");
    let (mut bytes, mut outside) = (Vec::with_capacity(h * w * channels), 0);
    for row in 0..h {
        for column in 0..w {
            for c in 0..channels {
                let x = numbers[place(ty, c, row, column)];
                outside += usize::from(!(0.0..=1.0).contains(&x));
                // A NaN becomes 0 in the conversion to an integer.
                bytes.push((x.clamp(0.0, 1.0) * 255.0).round() as u8);
            }
        }
    }
    let colour = if channels == 1 { ColorType::Grayscale } else { ColorType::Rgb };
    write_whole(path, |out| encode(out, [width, height], colour, &bytes))?;
    let total = numbers.len();
    Ok(match outside {
        0 => Vec::new(),
        n => vec![format!("{n} of {total} values were outside [0, 1] and were clamped")],
    })
}

/// Pixels of three bytes, red, green and blue, row after row, as the bytes of a PNG.
///
/// # Errors
///
/// Another number of bytes than `width` · `height` pixels have; none at all.
pub fn rgb(width: u32, height: u32, pixels: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    encode(&mut out, [width, height], ColorType::Rgb, pixels)?;
    Ok(out)
}

fn encode(out: impl Write, [width, height]: [u32; 2], colour: ColorType, bytes: &[u8]) -> io::Result<()> {
    let mut encoder = png::Encoder::new(out, width, height);
    encoder.set_color(colour);
    encoder.set_depth(BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(bytes)?;
    Ok(writer.finish()?)
}

#[cfg(test)]
mod tests {
    use convoke_ir::elem::Elem;

    use super::*;

    fn ty(c: usize, layout: Layout) -> TensorType {
        TensorType::image(Elem::F32, Image { n: 1, c, h: 2, w: 3 }, layout).expect("a type")
    }

    fn written(path: &Path, colour: ColorType, depth: BitDepth, data: &[u8]) {
        write_whole(path, |out| {
            let mut encoder = png::Encoder::new(out, 3, 2);
            encoder.set_color(colour);
            encoder.set_depth(depth);
            encoder.write_header()?.write_image_data(data)?;
            Ok(())
        })
        .expect("written");
    }

    #[test]
    fn images_round_trip_in_both_layouts() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("y.png");
        for layout in [Layout::Nchw, Layout::Nhwc] {
            for c in [1, 3] {
                let ty = ty(c, layout);
                let numbers = (0..6 * c).map(|i| i as f64 * 10.0 / 255.0).collect();
                let array = crate::shaped(&ty, numbers);
                assert_eq!(write(&path, &ty, &array).expect("written"), Vec::<String>::new());
                let (back, notes) = read(&path, &ty, &Files::none()).expect("read");
                assert_eq!(crate::shaped(&ty, back), array);
                assert!(notes.is_empty());
            }
        }
        let array = ArrayD::from_elem(IxDyn(&[1, 1, 2, 3]), 1.5);
        let notes = write(&path, &ty(1, Layout::Nchw), &array).expect("written");
        assert_eq!(notes, ["6 of 6 values were outside [0, 1] and were clamped"]);
    }

    #[test]
    fn other_kinds_of_image_are_converted_and_that_is_said() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (path, files) = (folder.path().join("x.png"), Files::none());
        written(&path, ColorType::Rgba, BitDepth::Eight, &[255, 0, 0, 7].repeat(6));
        let (numbers, notes) = read(&path, &ty(3, Layout::Nhwc), &files).expect("read");
        assert_eq!(numbers, [1.0, 0.0, 0.0].repeat(6));
        assert_eq!(notes, ["the alpha channel was left out"]);
        let (numbers, notes) = read(&path, &ty(1, Layout::Nchw), &files).expect("read");
        assert_eq!((numbers, notes.len()), (vec![0.299; 6], 2));
        written(&path, ColorType::Grayscale, BitDepth::Sixteen, &[0x33, 0x33].repeat(6));
        assert_eq!(read(&path, &ty(3, Layout::Nchw), &files).expect("read").0, [0.2; 18]);
        written(&path, ColorType::Grayscale, BitDepth::One, &[0b1010_0000, 0b0100_0000]);
        assert_eq!(read(&path, &ty(1, Layout::Nchw), &files).expect("read").0, [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn wrong_images_are_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (path, files) = (folder.path().join("x.png"), Files::none());
        written(&path, ColorType::Rgb, BitDepth::Eight, &[9; 18]);
        let other = TensorType::new(Elem::F32, [1, 3, 4, 4], Layout::Nchw).expect("a type");
        let error = read(&path, &other, &files).expect_err("another size").to_string();
        assert!(error.contains("the image is 2 rows of 3 pixels"), "{error}");
        let whole = std::fs::read(&path).expect("there");
        for cut in 0..whole.len() - 12 {
            std::fs::write(&path, &whole[..cut]).expect("written");
            assert!(read(&path, &ty(3, Layout::Nchw), &files).is_err(), "cut at {cut}");
        }
    }
}
