//! Rows of a table of layers: a convolution with a bias and an activation.
//!
//! The table is CSV without quotes, a line with the names of columns first. Columns may come in any order, and others than the fields
//! of [`Row`] are left alone. The same names are the keys of a layer in JSON.

use convoke::{Error, Generator, Layer, Layout, Weights};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A convolution with a bias and an activation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Row {
    /// The layer's name.
    pub name: String,
    /// Images.
    pub n: u32,
    /// Channels in.
    pub c: u32,
    /// Rows of the image.
    pub h: u32,
    /// Columns of the image.
    pub w: u32,
    /// Channels out.
    pub oc: u32,
    /// Rows of the kernel.
    pub kh: u32,
    /// Columns of the kernel.
    pub kw: u32,
    /// Step over rows.
    pub sh: u32,
    /// Step over columns.
    pub sw: u32,
    /// Zeros above and below.
    pub ph: u32,
    /// Zeros to the left and to the right.
    pub pw: u32,
    /// Distance of taps over rows.
    pub dh: u32,
    /// Distance of taps over columns.
    pub dw: u32,
    /// Groups of channels.
    pub groups: u32,
    /// What follows.
    pub act: Activation,
}

/// What follows convolution and bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// Nothing.
    #[serde(alias = "")]
    None,
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
    /// x / (1 + exp(−x)).
    Silu,
}

/// The rows of a table.
///
/// # Errors
///
/// A line with what is wrong in it.
pub fn parse(text: &str) -> Result<Vec<Row>, String> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let (_, head) = lines.next().ok_or("there is no line with the names of columns")?;
    let head: Vec<&str> = head.split(',').map(str::trim).collect();
    let one = |(number, line): (usize, &str)| row(&head, line).map_err(|why| format!("line {}: {why}", number + 1));
    lines.map(one).collect()
}

/// A line as JSON: what is a number there is one here, names aside.
fn row(head: &[&str], line: &str) -> Result<Row, String> {
    let cells = line.split(',').map(str::trim);
    let cell = |(name, cell): (&&str, &str)| {
        let words = ["name", "act"].contains(name);
        let number = cell.parse::<u64>().ok().filter(|_| !words);
        ((*name).to_owned(), number.map_or_else(|| cell.into(), Value::from))
    };
    let cells: Map<String, Value> = head.iter().zip(cells).map(cell).collect();
    serde_json::from_value(cells.into()).map_err(|e| e.to_string())
}

impl Row {
    /// `[N, C, H, W]`, whatever the layout.
    pub fn input(&self) -> [usize; 4] {
        [self.n, self.c, self.h, self.w].map(|v| v as usize)
    }

    /// `[K, C/group, R, S]`.
    pub fn filter(&self) -> [usize; 4] {
        [self.oc, self.c / self.groups.max(1), self.kh, self.kw].map(|v| v as usize)
    }

    /// The layer with these weights and bias, over images in this layout.
    ///
    /// # Errors
    ///
    /// Numbers that make no layer.
    pub fn layer(&self, layout: Layout, weights: impl Into<Weights>, bias: impl Into<Weights>) -> Result<Layer, Error> {
        let [n, c, h, w] = self.input();
        let input = if layout == Layout::Nhwc { [n, h, w, c] } else { [n, c, h, w] };
        let [ph, pw, sh, sw] = [self.ph, self.pw, self.sh, self.sw].map(i64::from);
        let conv = Layer::conv2d(input, self.filter())
            .layout(layout)
            .name(&self.name)
            .strides([sh, sw])
            .dilations([self.dh, self.dw].map(i64::from))
            .pads([ph, pw, ph, pw])
            .group(self.groups.into())
            .weights(weights)
            .bias(bias);
        match self.act {
            Activation::None => conv,
            Activation::Relu => conv.relu(),
            Activation::Relu6 => conv.relu6(),
            Activation::Silu => conv.silu(),
        }
        .build()
    }

    /// The layer with random weights, which make sums about as large as the numbers they are made of, as in a trained net.
    ///
    /// # Errors
    ///
    /// Numbers that make no layer.
    pub fn generated(&self) -> Result<Layer, Error> {
        let depth: usize = self.filter()[1..].iter().product();
        let std = (1.0 / depth.max(1) as f64).sqrt();
        self.layer(
            Layout::Nchw,
            Generator::Normal { seed: 7, mean: 0.0, std },
            Generator::Normal { seed: 8, mean: 0.0, std: 0.1 },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "name,network,n,c,h,w,oc,kh,kw,sh,sw,ph,pw,dh,dw,groups,act\n";

    #[test]
    fn a_row_is_a_layer() {
        let rows = parse(&format!("{HEAD}\nl,net,1,8,9,9,16,3,3,2,2,1,1,1,1,2,relu\n")).expect("a table");
        let layer = rows[0].generated().expect("a layer");
        assert_eq!(rows[0].filter(), [16, 4, 3, 3]);
        assert_eq!(layer.outputs()[0].1.shape.dims(), [1, 16, 5, 5]);
        let nhwc = rows[0].layer(Layout::Nhwc, Generator::Zeros {}, Generator::Zeros {}).expect("a layer");
        assert_eq!(nhwc.outputs()[0].1.shape.dims(), [1, 5, 5, 16]);
    }

    #[test]
    fn mistakes_have_a_line() {
        for (line, says) in [
            ("l,net,1,8,9,9,16,3,3,2,2,1,1,1,1,2,tanh", "unknown variant `tanh`"),
            ("l,net,1,8,x,9,16,3,3,2,2,1,1,1,1,2,relu", "invalid type: string \"x\""),
            ("l,net,1,8", "missing field"),
        ] {
            let error = parse(&format!("{HEAD}{line}\n")).expect_err("no row");
            assert!(error.starts_with("line 2: ") && error.contains(says), "{error}");
        }
    }
}
