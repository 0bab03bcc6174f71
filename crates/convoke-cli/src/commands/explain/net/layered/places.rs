//! The places of boxes and slots from left to right: each as near to its neighbours as the order and the widths allow.

use std::collections::HashMap;

use super::ranks::Grid;

/// Sweeps, each down or up.
const SWEEPS: usize = 40;
/// Between two boxes, and between a slot and what is beside it.
const GAPS: [f64; 2] = [22.0, 10.0];

/// The middle of each box and slot; none is left of 0.
pub(super) fn places(grid: &Grid) -> Vec<f64> {
    let mut x = vec![0.0; grid.rank.len()];
    for layer in &grid.layers {
        place(grid, layer, &vec![(0.0, 1.0); layer.len()], &mut x);
    }
    for sweep in 0..SWEEPS {
        let wanted = |i: usize, x: &[f64], neighbours: &[Vec<usize>]| wanted(grid, i, x, &neighbours[i]);
        let down = sweep % 2 == 0;
        let neighbours = if down { &grid.above } else { &grid.below };
        for step in 0..grid.layers.len() {
            let layer = &grid.layers[if down { step } else { grid.layers.len() - 1 - step }];
            let wants: Vec<_> = layer.iter().map(|&i| wanted(i, &x, neighbours)).collect();
            place(grid, layer, &wants, &mut x);
        }
    }
    let left = x.iter().zip(&grid.width).map(|(x, width)| x - width / 2.0).fold(f64::INFINITY, f64::min);
    x.iter_mut().for_each(|x| *x -= left);
    x
}

/// The place that a box or slot wants, that of its heaviest neighbours, and by what weight: a trunk is straight before all else, then a chain of boxes.
fn wanted(grid: &Grid, i: usize, x: &[f64], neighbours: &[usize]) -> (f64, f64) {
    let weight = |j: usize| match (grid.is_slot(i), grid.is_slot(j)) {
        (true, true) => 8.0,
        (false, false) => 4.0,
        _ => 1.0,
    };
    let heaviest = neighbours.iter().map(|&j| weight(j)).fold(0.0, f64::max);
    let all = neighbours.iter().filter(|&&j| weight(j) == heaviest).map(|&j| x[j]);
    let count = all.clone().count();
    // One without neighbours wants to stay, but not much.
    if count == 0 { (x[i], 0.1) } else { (all.sum::<f64>() / count as f64, heaviest) }
}

/// Places a layer: the order and the gaps are kept, and the weighted squares of the distances to `wants` are least.
fn place(grid: &Grid, layer: &[usize], wants: &[(f64, f64)], x: &mut [f64]) {
    let gap = |i: usize, j: usize| {
        let gap = if grid.is_slot(i) || grid.is_slot(j) { GAPS[1] } else { GAPS[0] };
        (grid.width[i] + grid.width[j]) / 2.0 + gap
    };
    let gaps: Vec<f64> = layer.windows(2).map(|pair| gap(pair[0], pair[1])).collect();
    layer.iter().zip(spread(wants, &gaps)).for_each(|(&i, place)| x[i] = place);
}

/// Numbers in order, each at least its gap after the one before, with the least weighted squares of distances to `wants`: isotonic regression by pooling
/// adjacent violators.
fn spread(wants: &[(f64, f64)], gaps: &[f64]) -> Vec<f64> {
    let offsets: Vec<f64> = (0..wants.len())
        .scan(0.0, |sum, i| {
            *sum += if i == 0 { 0.0 } else { gaps[i - 1] };
            Some(*sum)
        })
        .collect();
    // Pools: the mean of what is wanted without gaps, the weight, and the number of members.
    let mut pools: Vec<(f64, f64, usize)> = Vec::new();
    for (&(want, weight), offset) in wants.iter().zip(&offsets) {
        pools.push((want - offset, weight, 1));
        while let [.., (a, v, m), (b, w, n)] = pools[..]
            && a > b
        {
            pools.truncate(pools.len() - 2);
            pools.push(((a * v + b * w) / (v + w), v + w, m + n));
        }
    }
    let pooled = pools.iter().flat_map(|&(mean, _, count)| std::iter::repeat_n(mean, count));
    pooled.zip(&offsets).map(|(mean, offset)| mean + offset).collect()
}

/// Where lines enter a box: for each line, by the box or slot above and the box, the x on the box's upper edge. Lines enter in the order in which they come,
/// right from above if they can.
pub(super) fn ports(grid: &Grid, x: &[f64]) -> HashMap<(usize, usize), f64> {
    const BESIDE: f64 = 7.0;
    let mut ports = HashMap::new();
    for to in 0..grid.boxes {
        let mut from = grid.above[to].clone();
        from.sort_by(|&a, &b| x[a].total_cmp(&x[b]));
        let half = grid.width[to] / 2.0 - BESIDE;
        let gap = BESIDE.min(2.0 * half / from.len().max(1) as f64);
        let wants: Vec<_> = from.iter().map(|&i| (x[i].clamp(x[to] - half, x[to] + half), 1.0)).collect();
        let places = spread(&wants, &vec![gap; from.len().saturating_sub(1)]);
        // Crowded at one end, they may reach beyond it.
        let beyond = |ends: Option<&f64>| ends.map_or(0.0, |end| (end - x[to]).abs() - half).max(0.0);
        let shift = beyond(places.first()) - beyond(places.last());
        ports.extend(from.iter().zip(&places).map(|(&i, place)| ((i, to), place + shift)));
    }
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_as_little_as_need_be() {
        assert_eq!(spread(&[(0.0, 1.0), (10.0, 1.0)], &[5.0]), [0.0, 10.0]);
        assert_eq!(spread(&[(0.0, 1.0), (0.0, 1.0)], &[6.0]), [-3.0, 3.0]);
        // The heavier one moves less.
        assert_eq!(spread(&[(0.0, 2.0), (0.0, 1.0)], &[6.0]), [-2.0, 4.0]);
        assert_eq!(spread(&[], &[]), [0.0; 0]);
    }
}
