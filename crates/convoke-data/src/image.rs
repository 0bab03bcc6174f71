//! PNG images as tensors of batch 1, in the layout of the type, with values in `[0, 1]`.
//!
//! One channel is grey, two are grey and alpha, three are red, green and blue, four are these and alpha. Read are all PNG
//! colour types at all depths: 8 bits are divided by 255, 16 by 65535. Written are 8 bits, with values clipped to `[0, 1]`.
//! Neither gamma nor colour profiles are applied in either direction, and colours are not multiplied by alpha.
//!
//! A channel of the image that the tensor lacks is left out. A channel of the tensor that the image lacks is made up. A note says so.

use std::io::{self, BufReader, Write};
use std::path::Path;

use convoke_ir::types::{Image, Layout, TensorType};
use ndarray::{ArrayD, IxDyn};
use png::{BitDepth, ColorType, Transformations};

use crate::open::opened;
use crate::{DataError, Files, Pending};

/// Weights of red, green and blue in grey: ITU-R BT.601, as in libjpeg and Pillow.
const LUMA: [f64; 3] = [0.299, 0.587, 0.114];

/// The most bytes that chunks beside the pixels, of which one is in memory at a time, may take; none is of use here.
const CHUNKS: usize = 4 << 20;

/// The channels of an image or a tensor.
#[derive(Clone, Copy, PartialEq)]
struct Channels {
    coloured: bool,
    alpha: bool,
}

impl Channels {
    /// Those of a tensor, and its height and width.
    fn of(path: &Path, ty: &TensorType) -> Result<(Channels, usize, usize), DataError> {
        match ty.as_image() {
            Some(Image { n: 1, c: c @ 1..=4, h, w }) => Ok((Channels { coloured: c > 2, alpha: c % 2 == 0 }, h, w)),
            _ => {
                Err(DataError::format(path, format!("an image has batch 1 and 1 to 4 channels, which `{ty}` has not")))
            }
        }
    }

    fn colour_type(self) -> ColorType {
        match (self.coloured, self.alpha) {
            (false, false) => ColorType::Grayscale,
            (false, true) => ColorType::GrayscaleAlpha,
            (true, false) => ColorType::Rgb,
            (true, true) => ColorType::Rgba,
        }
    }

    /// How many there are that are not alpha.
    fn colours(self) -> usize {
        if self.coloured { 3 } else { 1 }
    }

    fn count(self) -> usize {
        self.colours() + usize::from(self.alpha)
    }

    /// Notes on channels that are left out or made up, if these are asked for and an image has `found`.
    fn notes(self, found: Channels) -> Vec<String> {
        let alpha = match (self.alpha, found.alpha) {
            (false, true) => Some("the alpha channel was left out"),
            (true, false) => Some("the image has no alpha channel: alpha is 1 everywhere"),
            _ => None,
        };
        let colours = match (self.coloured, found.coloured) {
            (false, true) => Some("colours were made grey (0.299 R + 0.587 G + 0.114 B)"),
            (true, false) => Some("the grey channel was used for all three colours"),
            _ => None,
        };
        alpha.into_iter().chain(colours).map(str::to_owned).collect()
    }

    /// Channel `c` of a pixel of an image that has `found`.
    fn value(self, c: usize, found: Channels, sample: impl Fn(usize) -> f64) -> f64 {
        match (self.coloured, found.coloured) {
            _ if c == self.colours() => {
                if found.alpha {
                    sample(found.colours())
                } else {
                    1.0
                }
            }
            (false, true) => (0..3).map(|i| LUMA[i] * sample(i)).sum(),
            (true, true) => sample(c),
            (_, false) => sample(0),
        }
    }
}

/// Reads an image of the size that `ty` asks for. The notes say what was converted.
pub(crate) fn read(path: &Path, ty: &TensorType, files: &Files) -> Result<(Vec<f64>, Vec<String>), DataError> {
    let wrong = |e: png::DecodingError| match e {
        png::DecodingError::IoError(e) if e.kind() != io::ErrorKind::UnexpectedEof => DataError::read(path, e),
        png::DecodingError::LimitsExceeded => {
            DataError::format(path, format!("a chunk beside its pixels has more than {CHUNKS} bytes"))
        }
        e => DataError::format(path, format!("it cannot be read as PNG: {e}")),
    };
    let (wanted, h, w) = Channels::of(path, ty)?;
    let (file, _) = opened(path)?;
    let mut decoder = png::Decoder::new(BufReader::new(file));
    decoder.set_transformations(Transformations::EXPAND);
    // A short text or colour profile can be made to unpack to gigabytes.
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let (width, height) = decoder.read_header_info().map_err(wrong)?.size();
    if (height as usize, width as usize) != (h, w) {
        let reason = format!(
            "the image is {height} rows of {width} pixels, `{ty}` asks for {h} rows of {w}; run and check fit it with --resize"
        );
        return Err(DataError::format(path, reason));
    }
    // The decoder counts one row to them, of at most 8 bytes for each pixel.
    decoder.set_limits(png::Limits { bytes: w.saturating_mul(8).saturating_add(CHUNKS) });
    let mut out = files.allocate(ty.elements(), || format!("`{ty}`"))?;
    let mut reader = decoder.read_info().map_err(wrong)?;
    let (colour, depth) = reader.output_color_type();
    let found = Channels {
        coloured: matches!(colour, ColorType::Rgb | ColorType::Rgba),
        alpha: matches!(colour, ColorType::GrayscaleAlpha | ColorType::Rgba),
    };
    let mut bytes = files.bytes(reader.output_buffer_size(), || format!("the decoded image for `{ty}`"))?;
    let line = reader.next_frame(&mut bytes).map_err(wrong)?.line_size;
    // The rest of the file has checksums and an end.
    reader.finish().map_err(wrong)?;
    out.resize(ty.elements(), 0.0);
    for (row, line) in bytes.chunks_exact(line).enumerate() {
        for column in 0..w {
            let sample = |i: usize| {
                let at = column * found.count() + i;
                match depth {
                    BitDepth::Sixteen => f64::from(u16::from_be_bytes([line[2 * at], line[2 * at + 1]])) / 65535.0,
                    _ => f64::from(line[at]) / 255.0,
                }
            };
            for c in 0..wanted.count() {
                out[place(ty, c, row, column)] = wanted.value(c, found, sample);
            }
        }
    }
    Ok((out, wanted.notes(found)))
}

/// The step from one value to the next in the image at `path`: 1/255, or 1/65535 where samples have 16 bits. `None` if the name is not that of an
/// image.
///
/// # Errors
///
/// A file that cannot be read, or is no PNG.
pub fn step(path: &Path) -> Result<Option<f64>, DataError> {
    let Some(info) = info(path)? else { return Ok(None) };
    Ok(Some(if info.bit_depth == BitDepth::Sixteen { 1.0 / 65535.0 } else { 1.0 / 255.0 }))
}

/// Rows and columns of the image at `path`. `None` if the name is not that of an image.
///
/// # Errors
///
/// As [`step`].
pub fn size(path: &Path) -> Result<Option<[usize; 2]>, DataError> {
    Ok(info(path)?.map(|info| [info.height as usize, info.width as usize]))
}

fn info(path: &Path) -> Result<Option<png::Info<'static>>, DataError> {
    if path.extension().is_none_or(|e| !e.eq_ignore_ascii_case("png")) {
        return Ok(None);
    }
    let (file, _) = opened(path)?;
    let mut decoder = png::Decoder::new(BufReader::new(file));
    let info = decoder.read_header_info();
    Ok(Some(info.map_err(|e| DataError::format(path, format!("it cannot be read as PNG: {e}")))?.clone()))
}

/// Where channel, row and column lie in an image of batch 1.
fn place(ty: &TensorType, channel: usize, row: usize, column: usize) -> usize {
    let dims = ty.shape.dims();
    match ty.layout {
        Layout::Nchw => (channel * dims[2] + row) * dims[3] + column,
        Layout::Nhwc => (row * dims[2] + column) * dims[3] + channel,
    }
}

/// Writes a tensor of batch 1 and 1 to 4 channels, stored as `ty` says, as an 8-bit PNG; in full or not at all.
///
/// Gives a note if values were outside `[0, 1]` and had to be clipped, or were no numbers and became 0.
pub fn write(path: &Path, ty: &TensorType, array: &ArrayD<f64>) -> Result<Vec<String>, DataError> {
    let (file, notes) = prepare(path, ty, array)?;
    file.commit()?;
    Ok(notes)
}

/// As [`write()`], but the file does not have its name yet.
pub fn prepare(path: &Path, ty: &TensorType, array: &ArrayD<f64>) -> Result<(Pending, Vec<String>), DataError> {
    let (channels, h, w) = Channels::of(path, ty)?;
    if array.raw_dim() != IxDyn(ty.shape.dims()) {
        return Err(DataError::format(path, format!("the array has shape {:?}, expected `{ty}`", array.shape())));
    }
    let (Ok(width), Ok(height)) = (u32::try_from(w), u32::try_from(h)) else {
        return Err(DataError::format(path, format!("`{ty}` is too large for a PNG")));
    };
    let numbers = array.as_standard_layout();
    let numbers = numbers.as_slice().expect("in standard layout");
    let (mut bytes, mut outside, mut nans) = (Vec::with_capacity(numbers.len()), 0, 0);
    for row in 0..h {
        for column in 0..w {
            for c in 0..channels.count() {
                let x = numbers[place(ty, c, row, column)];
                nans += usize::from(x.is_nan());
                outside += usize::from(!x.is_nan() && !(0.0..=1.0).contains(&x));
                // A NaN becomes 0 in the conversion to an integer.
                bytes.push((x.clamp(0.0, 1.0) * 255.0).round() as u8);
            }
        }
    }
    let file = Pending::new(path, |out| encode(out, [width, height], channels.colour_type(), &bytes))?;
    let total = numbers.len();
    let note = |count: usize, what: &str| (count > 0).then(|| format!("{count} of {total} values {what}"));
    let notes = [note(outside, "were outside [0, 1] and were clipped"), note(nans, "were NaN and became 0")];
    Ok((file, notes.into_iter().flatten().collect()))
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
    use crate::write_whole;

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
            for c in 1..=4 {
                let ty = ty(c, layout);
                let numbers = (0..6 * c).map(|i| i as f64 * 10.0 / 255.0).collect();
                let array = crate::tensor::shaped(&ty, numbers);
                assert_eq!(write(&path, &ty, &array).expect("written"), Vec::<String>::new());
                let (back, notes) = read(&path, &ty, &Files::none()).expect("read");
                assert_eq!(crate::tensor::shaped(&ty, back), array);
                assert!(notes.is_empty());
            }
        }
        let array = ArrayD::from_elem(IxDyn(&[1, 1, 2, 3]), 1.5);
        let notes = write(&path, &ty(1, Layout::Nchw), &array).expect("written");
        assert_eq!(notes, ["6 of 6 values were outside [0, 1] and were clipped"]);
        let array = ArrayD::from_shape_vec(IxDyn(&[1, 1, 2, 3]), vec![f64::NAN, -0.5, 0.0, 1.0, f64::INFINITY, 0.5]);
        let notes = write(&path, &ty(1, Layout::Nchw), &array.expect("six")).expect("written");
        assert_eq!(
            notes,
            ["2 of 6 values were outside [0, 1] and were clipped", "1 of 6 values were NaN and became 0"]
        );
        let (back, _) = read(&path, &ty(1, Layout::Nchw), &Files::none()).expect("read");
        assert_eq!(back, [0.0, 0.0, 0.0, 1.0, 1.0, 128.0 / 255.0]);
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
        let (numbers, notes) = read(&path, &ty(4, Layout::Nhwc), &files).expect("read");
        assert_eq!((numbers, notes.len()), ([1.0, 0.0, 0.0, 7.0 / 255.0].repeat(6), 0));
        let (numbers, notes) = read(&path, &ty(2, Layout::Nhwc), &files).expect("read");
        assert_eq!((numbers, notes.len()), ([0.299, 7.0 / 255.0].repeat(6), 1));
        written(&path, ColorType::GrayscaleAlpha, BitDepth::Eight, &[255, 51].repeat(6));
        let (numbers, notes) = read(&path, &ty(2, Layout::Nchw), &files).expect("read");
        assert_eq!((numbers, notes.len()), ([[1.0; 6], [0.2; 6]].concat(), 0));
        let (numbers, _) = read(&path, &ty(4, Layout::Nhwc), &files).expect("read");
        assert_eq!(numbers, [1.0, 1.0, 1.0, 0.2].repeat(6));
        written(&path, ColorType::Rgb, BitDepth::Eight, &[255, 0, 51].repeat(6));
        let (numbers, notes) = read(&path, &ty(4, Layout::Nhwc), &files).expect("read");
        assert_eq!(numbers, [1.0, 0.0, 0.2, 1.0].repeat(6));
        assert_eq!(notes, ["the image has no alpha channel: alpha is 1 everywhere"]);
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
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).expect("written");
            assert!(read(&path, &ty(3, Layout::Nchw), &files).is_err(), "cut at {cut}");
        }
    }
    /// A PNG of 2 rows of 3 pixels, with a chunk before its pixels.
    fn with_chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(&mut bytes, [3, 2], ColorType::Grayscale, &[51; 6]).expect("written");
        let mut chunk = name.to_vec();
        chunk.extend(data);
        let crc = chunk.iter().fold(u32::MAX, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
        });
        let chunk = [&(data.len() as u32).to_be_bytes()[..], &chunk, &(!crc).to_be_bytes()].concat();
        // Behind the signature and the header of the image.
        bytes.splice(33..33, chunk);
        bytes
    }

    #[test]
    fn chunks_beside_the_pixels_are_skipped_or_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x.png");
        let opened = |bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("written");
            read(&path, &ty(1, Layout::Nchw), &Files::none()).map(|(numbers, _)| numbers).map_err(|e| e.to_string())
        };
        // More than any chunk may have in memory, so that reading them would be refused.
        for name in [b"iCCP", b"tEXt", b"zTXt", b"iTXt", b"prVt"] {
            assert_eq!(opened(&with_chunk(name, &vec![0; CHUNKS + 1])), Ok(vec![0.2; 6]), "{name:?}");
        }
        let large = opened(&with_chunk(b"eXIf", &vec![0; CHUNKS + (1 << 20)])).expect_err("refused");
        assert!(large.contains("a chunk beside its pixels has more than 4194304 bytes"), "{large}");
        // A header that claims 2^31 − 1 by 2^31 − 1 pixels.
        let mut huge = with_chunk(b"prVt", b"");
        huge[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff].repeat(2));
        assert!(opened(&huge).is_err());
    }
}
