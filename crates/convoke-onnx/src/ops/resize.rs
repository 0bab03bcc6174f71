//! `Resize` in the forms it had, and `Upsample` before it: the op `resize` over rows and columns, else products with matrices.

use convoke_ir::attr::Attr;

use super::build::ints;
use super::convolution::{with_rows, without_rows};
use super::resample::{Along, Sampling};
use crate::call::{Call, Value1};
use crate::error::{Converted, malformed, unsupported};
use crate::importer::Importer;
use crate::tensor::{Tensor, axis};

/// How much each axis grows, and to what.
struct Growth {
    scales: Vec<f64>,
    sizes: Vec<usize>,
}

pub(super) fn resize(importer: &mut Importer<'_>, call: &Call<'_>) -> Value1 {
    let x = importer.net(call.input(0)?)?;
    let rank = x.dims.len();
    let word = |name: &str, default: &str| call.attributes().word(name, default).map(str::to_owned);
    let own = call.node.op == "Resize" && call.opset() >= 11;
    let coordinates = if own { word("coordinate_transformation_mode", "half_pixel")? } else { "asymmetric".into() };
    let crops = crops(call, &coordinates, rank)?;
    let growth = growth(call, &x.dims, &crops)?;
    // A scale of 1.2 leaves 4 elements 4, at other places.
    let keeps = |scale: f64| (scale - 1.0).abs() < ONE;
    let still = |a: usize| growth.sizes[a] == x.dims[a] && keeps(growth.scales[a]) && crops[a] == WHOLE;
    if (0..rank).all(still) {
        return Ok(x);
    }
    let rounding = if own { word("nearest_mode", "round_prefer_floor")? } else { "floor".into() };
    let mode = match word("mode", "nearest")? {
        mode if mode == "bilinear" => "linear".into(),
        mode => mode,
    };
    let antialias = call.attributes().flag("antialias") && mode != "nearest";
    let is_image = (3..=4).contains(&rank) && still(0) && still(1);
    if antialias || !is_image || coordinates == CROP {
        let sampling = Sampling {
            mode,
            coordinates,
            rounding,
            cubic_a: call.attributes().float("cubic_coeff_a", -0.75),
            exclude_outside: call.attributes().flag("exclude_outside"),
            antialias,
            outside: call.attributes().float("extrapolation_value", 0.0),
        };
        let along = (0..rank).filter(|&a| !still(a)).map(|axis| Along {
            axis,
            input: x.dims[axis],
            output: growth.sizes[axis],
            scale: growth.scales[axis],
            crop: crops[axis],
        });
        return sampling.resampled(importer, &x, &along.collect::<Vec<_>>());
    }
    let image = importer.reshape(&x, &with_rows(&x.dims))?;
    let pair = |list: Vec<f64>| if rank == 3 { [1.0, list[2]] } else { [list[2], list[3]] };
    let size = pair(growth.sizes.iter().map(|&s| s as f64).collect()).map(|s| s as i64);
    let scales = pair(growth.scales);
    let attrs = [
        ("size", ints(&size)),
        ("mode", Attr::Word(mode)),
        ("coordinates", Attr::Word(coordinates)),
        ("rounding", Attr::Word(rounding)),
        ("cubic_a", Attr::Float(call.attributes().float("cubic_coeff_a", -0.75))),
        ("exclude_outside", Attr::Bool(call.attributes().flag("exclude_outside"))),
        ("scales", Attr::List(scales.map(Attr::Float).to_vec())),
    ];
    let y = importer.named("resize", &[&image], &attrs)?;
    importer.reshape(&y, &without_rows(&y.dims, rank - 2))
}

/// The distance from 1 of a scale that is 1 but for its rounding to `f32`.
const ONE: f64 = 1e-6;
/// The word for coordinates of a crop.
const CROP: &str = "tf_crop_and_resize";
/// The crop that leaves an axis whole.
const WHOLE: [f64; 2] = [0.0, 1.0];

/// The axes that scales, sizes and crops are given for.
fn along(call: &Call<'_>, rank: usize) -> Converted<Vec<usize>> {
    match call.attributes().ints("axes") {
        None => Ok((0..rank).collect()),
        Some(list) => list.iter().map(|&a| axis(a, rank)).collect(),
    }
}

/// Begin and end of the crop of each axis, in parts of the axis.
fn crops(call: &Call<'_>, coordinates: &str, rank: usize) -> Converted<Vec<[f64; 2]>> {
    let mut crops = vec![WHOLE; rank];
    if coordinates == CROP {
        let Some(list) = call.maybe_known(1, "roi")?.map(Tensor::real) else { return malformed("it has no `roi`") };
        let along = along(call, rank)?;
        if list.len() != 2 * along.len() {
            return malformed(format!("a `roi` of {} numbers is given for {} axes", list.len(), along.len()));
        }
        along.iter().enumerate().for_each(|(i, &a)| crops[a] = [list[i], list[along.len() + i]]);
    }
    Ok(crops)
}

/// From scales or sizes, wherever the operator set has them.
fn growth(call: &Call<'_>, dims: &[usize], crops: &[[f64; 2]]) -> Converted<Growth> {
    let upsample = call.node.op == "Upsample";
    let place = if call.opset() >= 11 && !upsample { 2 } else { 1 };
    let given = |i: usize, what: &str| -> Converted<Option<&Tensor>> {
        Ok(call.maybe_known(i, what)?.filter(|tensor| tensor.elements() > 0))
    };
    let along = along(call, dims.len())?;
    let spread = |list: Vec<f64>, rest: Vec<f64>| match list.len() == along.len() {
        true => {
            let mut all = rest;
            along.iter().zip(list).for_each(|(&a, x)| all[a] = x);
            Ok(all)
        }
        false => malformed(format!("{} numbers are given for {} axes", list.len(), along.len())),
    };
    let sizes = if place == 2 { given(3, "sizes")? } else { None };
    if let Some(sizes) = sizes {
        let sizes = spread(sizes.real(), dims.iter().map(|&d| d as f64).collect())?;
        let mut sizes: Vec<usize> = sizes.into_iter().map(|s| s as usize).collect();
        keep_ratio(call, dims, &along, &mut sizes)?;
        let scales = sizes.iter().zip(dims).map(|(&s, &d)| s as f64 / d as f64).collect();
        return Ok(Growth { scales, sizes });
    }
    let list = match upsample && call.opset() < 9 {
        true => call.attributes().floats("scales"),
        false => given(place, "scales")?.map(Tensor::real),
    };
    let Some(list) = list else { return malformed("it has neither scales nor sizes") };
    let scales = spread(list, vec![1.0; dims.len()])?;
    if let Some(odd) = scales.iter().find(|s| !(s.is_finite() && **s > 0.0)) {
        return malformed(format!("a scale is {odd}"));
    }
    let size = |(i, &d): (usize, &usize)| (d as f64 * (crops[i][1] - crops[i][0]) * scales[i]).floor() as usize;
    let sizes: Vec<usize> = dims.iter().enumerate().map(size).collect();
    if sizes.contains(&0) {
        return unsupported("its result has no elements");
    }
    Ok(Growth { scales, sizes })
}

/// Sizes that keep the ratio of the axes, as `keep_aspect_ratio_policy` says.
fn keep_ratio(call: &Call<'_>, dims: &[usize], along: &[usize], sizes: &mut [usize]) -> Converted<()> {
    let scales = along.iter().map(|&a| sizes[a] as f64 / dims[a] as f64);
    let scale = match call.attributes().word("keep_aspect_ratio_policy", "stretch")? {
        "stretch" => return Ok(()),
        "not_larger" => scales.fold(f64::INFINITY, f64::min),
        "not_smaller" => scales.fold(0.0, f64::max),
        other => return malformed(format!("`keep_aspect_ratio_policy` is `{other}`, which is no word for it")),
    };
    for &a in along {
        sizes[a] = (scale * dims[a] as f64 + 0.5).floor() as usize;
    }
    Ok(())
}
