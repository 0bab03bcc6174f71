//! The table of layers: a line with names of columns, then a line for each layer; no quotes. Columns may come in any order, others
//! than those named are left alone.

use convoke::{Generator, Layer};

/// The layers of a table, by name: a convolution with a bias and the activation that `act` names.
pub(crate) fn parse(text: &str) -> Result<Vec<(String, Layer)>, String> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let (_, head) = lines.next().ok_or("there is no line with the names of columns")?;
    let head: Vec<&str> = head.split(',').map(str::trim).collect();
    let one = |(number, line): (usize, &str)| layer(&head, line).map_err(|why| format!("line {}: {why}", number + 1));
    lines.map(one).collect()
}

fn layer(head: &[&str], line: &str) -> Result<(String, Layer), String> {
    let cells: Vec<&str> = line.split(',').map(str::trim).collect();
    let cell = |name: &str| {
        let at = head.iter().position(|h| *h == name).ok_or_else(|| format!("there is no column `{name}`"))?;
        cells.get(at).copied().ok_or_else(|| format!("there is no cell for column `{name}`"))
    };
    let number = |name: &str| -> Result<usize, String> {
        let text = cell(name)?;
        text.parse::<u32>().map(|n| n as usize).map_err(|_| format!("`{name}` is a whole number, not `{text}`"))
    };
    let [groups, c, k] = [number("groups")?, number("c")?, number("oc")?];
    let [kh, kw, ph, pw] = [number("kh")?, number("kw")?, number("ph")?, number("pw")?];
    let depth = (c / groups.max(1)).max(1) * kh * kw;
    let pair = |a: &str, b: &str| Ok::<_, String>([number(a)? as i64, number(b)? as i64]);
    let name = cell("name")?;
    let conv = Layer::conv2d([number("n")?, c, number("h")?, number("w")?], [k, c / groups.max(1), kh, kw])
        .name(name)
        .strides(pair("sh", "sw")?)
        .dilations(pair("dh", "dw")?)
        .pads([ph, pw, ph, pw].map(|p| p as i64))
        .group(groups as i64)
        // Sums about as large as the numbers they are made of, as in a trained net.
        .weights(Generator::Normal { seed: 7, mean: 0.0, std: (1.0 / depth as f64).sqrt() })
        .bias(Generator::Normal { seed: 8, mean: 0.0, std: 0.1 });
    let conv = match cell("act")? {
        "none" | "" => conv,
        "relu" => conv.relu(),
        "relu6" => conv.relu6(),
        "silu" => conv.silu(),
        other => return Err(format!("`act` is none, relu, relu6 or silu, not `{other}`")),
    };
    Ok((name.to_owned(), conv.build().map_err(|e| e.render(false))?))
}
