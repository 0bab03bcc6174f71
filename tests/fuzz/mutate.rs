//! Changes of valid files: bits, numbers, cuts, repeats, splices of two files, words of one in another.

use crate::Random;

/// Numbers and words that readers get wrong.
const ODD: [&[u8]; 14] = [
    b"0",
    b"-1",
    b"1e999",
    b"nan",
    b"-0.0",
    b"9223372036854775807",
    b"18446744073709551616",
    b"\"",
    b"{",
    b"]",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\0\0\0\0",
    b"\xe2\x80\xae",
    b"\n",
];

/// One of the files, changed in one to four places.
pub(super) fn changed(random: &mut Random, files: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = files[random.between(0, files.len() - 1)].clone();
    for _ in 0..random.between(1, 4) {
        change(random, &mut bytes, files);
    }
    bytes
}

fn change(random: &mut Random, bytes: &mut Vec<u8>, files: &[Vec<u8>]) {
    let at = random.between(0, bytes.len());
    let end = (at + random.between(0, 32)).min(bytes.len());
    match random.between(0, 11) {
        // Formats with lengths inside are read on only where the length stays.
        0..=2 if at < bytes.len() => bytes[at] ^= 1 << random.between(0, 7),
        10 if at < bytes.len() => bytes[at] = random.bits() as u8,
        11 if end - at > 1 => bytes[at..end].rotate_left(1),
        3 if random.one_in(4) => bytes.truncate(at),
        4 => drop(bytes.drain(at..end)),
        5 => {
            let part = bytes[at..end].to_vec();
            bytes.splice(at..at, part);
        }
        6 => drop(bytes.splice(at..at, random.pick(&ODD).to_vec())),
        7 => number(random, bytes, at),
        8 | 9 => {
            let other = &files[random.between(0, files.len() - 1)];
            let from = random.between(0, other.len());
            let upto = (from + random.between(0, 40)).min(other.len());
            let end = if random.one_in(8) { bytes.len() } else { end };
            bytes.splice(at..end, other[from..upto].to_vec());
        }
        _ => {}
    }
}

/// Another number in place of the next that is written in digits.
fn number(random: &mut Random, bytes: &mut Vec<u8>, from: usize) {
    let digit = |byte: &u8| byte.is_ascii_digit();
    let Some(start) = bytes[from..].iter().position(digit).map(|at| from + at) else { return };
    let end = bytes[start..].iter().position(|byte| !digit(byte)).map_or(bytes.len(), |len| start + len);
    let other = match random.between(0, 3) {
        0 => random.between(0, 9).to_string(),
        1 => random.between(0, 300).to_string(),
        2 => (1_u64 << random.between(0, 63)).to_string(),
        _ => random.bits().to_string(),
    };
    bytes.splice(start..end, other.into_bytes());
}
