//! Algorithms as text: what is printed reads back, the shipped files are algorithms, what is wrong is refused.

use convoke_bilinear::{Problem, catalog, file};
use num_traits::ToPrimitive;

#[test]
fn printed_algorithms_read_back() {
    for algorithm in catalog::all().iter().filter(|a| a.problem.sizes().iter().all(|&s| s <= 64)) {
        let text = file::print(algorithm);
        let read = file::parse(&text).unwrap_or_else(|error| panic!("{}: {error}\n{text}", algorithm.name));
        assert_eq!(&read, algorithm);
    }
}

#[test]
fn shipped_files() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../algorithms");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        let text = std::fs::read_to_string(&path).expect("text");
        file::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        count += 1;
    }
    assert!(count >= 6, "only {count} files");
}

/// An algorithm of `rank` products for an 8x8 by 8x8 product of matrices, all of whose coefficients are 1.
fn dense(rank: usize, size: usize) -> String {
    let row = format!("  \"{}\",\n", vec!["1"; size].join(" "));
    let matrix = row.repeat(rank);
    format!(
        "name = \"x\"\nsource = \"\"\nproblem = {{ matmul = [8, 8, 8] }}\na = [\n{matrix}]\nb = [\n{matrix}]\nc = [\n{matrix}]\n"
    )
}

#[test]
fn steps_decimals_and_residuals() {
    let [a, b, c] = [
        ["1 0 0 0 0", "0 1 0 0 0", "0 0 1 0 0", "0 0 1 0 0", "0 0 0 1 0", "0 0 0 0 1"],
        ["1 0 0", "0 2 0", "0 0 1", "1 0 0", "0 1 0", "0 0 1"],
        ["1 0", "0.5 0", "10e-1 0", "0 1", "0 1", "0 1"],
    ];
    let text = |s: &str, c: [&str; 6], more: &str| {
        format!(
            "name = \"x\"\nsource = \"\"\nproblem = {{ correlation = {{ m = [2], r = [3], s = [{s}] }} }}\na = {a:?}\nb = {b:?}\nc = {c:?}\n{more}"
        )
    };
    let read = file::parse(&text("2", c, "")).expect("the definition, moving by 2");
    assert_eq!(read.problem, Problem::strided(2, 3, 2));
    assert_eq!(file::parse(&file::print(&read)).expect("as printed"), read);
    let rounded = c.map(|row| row.replace("0.5", "0.500001"));
    let rounded = std::array::from_fn(|i| rounded[i].as_str());
    let off = file::parse(&text("2", rounded, "residual = \"1e-5\"")).expect("off by less").off().to_f64();
    assert_eq!(off, Some(2e-6));
    let cases = [
        (text("1", c, ""), "matrix a, row 1: 5 numbers, 4 are needed"),
        (text("2, 2", c, ""), "the problem needs extents"),
        (text("0", c, ""), "the problem needs extents"),
        (text("2", rounded, ""), "the coefficient of a[1]*b[1] in y[0] is 500001/500000, it must be 1"),
        (text("2", rounded, "residual = \"1e-6\""), "is 500001/500000, it must be 1 to within 1e-6"),
        (text("2", c, "residual = \"1\""), "residual `1`: a number from 0 to 0.001"),
        (text("2", c, "residual = \"-1e-9\""), "residual `-1e-9`"),
        (text("2", c, "residual = \"1e-999999999\""), "residual `1e-999999999`"),
        (text("2", c.map(|row| if row == "0.5 0" { "0.5.5 0" } else { row }), ""), "`0.5.5` is no number"),
        (text("2", c.map(|row| if row == "0.5 0" { ".-5 0" } else { row }), ""), "`.-5` is no number"),
    ];
    for (text, expected) in cases {
        let error = file::parse(&text).expect_err("it is wrong").to_string();
        assert!(error.contains(expected), "expected {expected:?} in {error:?}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    let good = file::print(&catalog::find("strassen").expect("in the catalog"));
    let cases = [
        (good.replacen("1 0 0 1", "1 0 0 2", 1), "the coefficient of a[3]*b[0] in y[0] is 1, it must be 0"),
        (good.replacen("1 0 0 1", "1 0 0", 1), "matrix a, row 1: 3 numbers, 4 are needed"),
        (good.replacen("1 0 0 1", "1 0 0 1/0", 1), "matrix a, row 1: `1/0` is no number"),
        (good.replacen("1 0 0 1", "1 0 0 x\u{1b}[2J", 1), "1 0 0 x\\u{1b}[2J"),
        (good.replacen("[2, 2, 2]", "[2, 2, 3]", 1), "matrix b, row 1: 4 numbers, 6 are needed"),
        (good.replacen("[2, 2, 2]", "[2, 2, 9999999999]", 1), "the problem needs extents"),
        (good.replacen("[2, 2, 2]", "[2, 2, 0]", 1), "the problem needs extents"),
        (good.replacen("source", "sauce", 1), "unknown field `sauce`"),
        (dense(100, 64), "a proof would multiply out"),
        (
            good.replacen("1 0 0 1", "1/98765432109876543211 0 0 1", 1).replacen(
                "0 0 1 1",
                "1/98765432109876543233 1/98765432109876543299 1/98765432109876543307 1/98765432109876543351",
                1,
            ),
            "the common denominator so far",
        ),
        ("\u{0}".into(), "TOML parse error"),
        ("x".repeat(file::MAX_BYTES + 1), "1048577 bytes"),
    ];
    for (text, expected) in cases {
        let error = file::parse(&text).expect_err("it is wrong").to_string();
        assert!(error.contains(expected), "expected {expected:?} in {error:?}");
    }
}
