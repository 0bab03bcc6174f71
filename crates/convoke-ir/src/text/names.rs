//! Suggestions for a name that there is not: the word for what other frameworks call so, else the nearest spelling.

/// What an op, attribute, generator or keyword is called elsewhere, and here.
const SYNONYMS: &[(&str, &str)] = &[
    ("stride", "strides"),
    ("padding", "pads"),
    ("pad", "pads"),
    ("dilation", "dilations"),
    ("rate", "dilations"),
    ("groups", "group"),
    ("kernel", "kernel_shape"),
    ("kernel_size", "kernel_shape"),
    ("window", "kernel_shape"),
    ("size", "kernel_shape"),
    ("ceil", "ceil_mode"),
    ("eps", "epsilon"),
    ("slope", "alpha"),
    ("negative_slope", "alpha"),
    ("axes", "perm"),
    ("dim", "axis"),
    ("stddev", "std"),
    ("sd", "std"),
    ("conv", "conv2d"),
    ("conv1d", "conv2d"),
    ("convolution", "conv2d"),
    ("depthwise_conv2d", "conv2d"),
    ("gemm", "matmul"),
    ("linear", "matmul"),
    ("dense", "matmul"),
    ("swish", "silu"),
    ("sum", "add"),
    ("cat", "concat"),
    ("bn", "batch_norm"),
    ("permute", "transpose"),
    ("view", "reshape"),
    ("gap", "global_avg_pool"),
    ("clamp", "clip"),
    ("random", "normal"),
    ("randn", "normal"),
    ("rand", "uniform"),
    ("zero", "zeros"),
    ("one", "ones"),
    ("eye", "identity"),
    ("channels_last", "nhwc"),
    ("channels_first", "nchw"),
    ("float", "f32"),
    ("float32", "f32"),
    ("double", "f64"),
    ("float64", "f64"),
    ("edge", "replicate"),
    ("constant", "zeros"),
    ("wrap", "circular"),
    ("mirror", "reflect"),
    ("mad", "fma"),
    ("net", "layer"),
    ("fn", "kernel"),
    ("func", "kernel"),
    ("function", "kernel"),
    ("ret", "return"),
];

/// The one of `known` that `written` most likely means, if any is near.
pub(super) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Option<&'a str> {
    if written.len() > 64 {
        return None;
    }
    let fold = |name: &str| name.to_ascii_lowercase().replace('_', "");
    let written = fold(written);
    let synonym = |name: &&str| SYNONYMS.iter().any(|(other, here)| fold(other) == written && here == name);
    if let Some(name) = known.clone().into_iter().find(synonym) {
        return Some(name);
    }
    let most = (written.len() / 3).max(1);
    known
        .into_iter()
        .filter(|name| name.len() <= 64)
        .map(|name| (distance(&written, &fold(name)), name))
        .filter(|&(edits, name)| edits <= most && edits < name.len())
        .min_by_key(|&(edits, _)| edits)
        .map(|(_, name)| name)
}

/// How many letters must be added, dropped, changed or swapped with their neighbour to get from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let (mut before, mut last) = (Vec::new(), (0..=b.len()).collect::<Vec<_>>());
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let change = last[j] + usize::from(a[i] != b[j]);
            let mut best = change.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                let swapped: &Vec<usize> = &before;
                best = best.min(swapped[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_other_frameworks_and_misspellings() {
        let attrs = ["pads", "auto_pad", "strides", "dilations", "group", "algorithm"];
        for (written, meant) in [
            ("stride", "strides"),
            ("padding", "pads"),
            ("Pads", "pads"),
            ("groups", "group"),
            ("dilation", "dilations"),
            ("algoritm", "algorithm"),
            ("strdies", "strides"),
        ] {
            assert_eq!(nearest(written, attrs), Some(meant), "{written}");
        }
        assert_eq!(nearest("temperature", attrs), None);
        assert_eq!(nearest("x", ["y"]), None);
    }

    #[test]
    fn distances() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("acb", "abc"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
