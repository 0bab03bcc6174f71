//! Algorithms as text: what is printed reads back, the shipped files are algorithms, what is wrong is refused.

use convoke_bilinear::{catalog, file};

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
