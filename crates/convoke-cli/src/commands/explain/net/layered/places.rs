//! The places of boxes and slots from left to right: each as near to its neighbours as the order and the widths allow.

use std::collections::HashMap;

use super::ranks::Grid;

/// Sweeps, each down or up.
const SWEEPS: usize = 40;
/// Times that every chain is set straight.
const STRAIGHTENED: usize = 10;
/// The gap between two boxes, and the gap between a slot and a box or slot beside it.
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
    straighten(grid, &mut x);
    let left = x.iter().zip(&grid.width).map(|(x, width)| x - width / 2.0).fold(f64::INFINITY, f64::min);
    x.iter_mut().for_each(|x| *x -= left);
    x
}

/// The neighbours that a box or slot would stand below or above, and their weight: a trunk is straight before all else, then a chain of boxes.
fn heaviest(grid: &Grid, i: usize, neighbours: &[usize]) -> (Vec<usize>, f64) {
    let weight = |j: usize| match (grid.is_slot(i), grid.is_slot(j)) {
        (true, true) => 8.0,
        (false, false) => 4.0,
        _ => 1.0,
    };
    let most = neighbours.iter().map(|&j| weight(j)).fold(0.0, f64::max);
    (neighbours.iter().copied().filter(|&j| weight(j) == most).collect(), most)
}

/// The place that a box or slot wants, the mean of its heaviest neighbours, and by what weight.
fn wanted(grid: &Grid, i: usize, x: &[f64], neighbours: &[usize]) -> (f64, f64) {
    let (all, weight) = heaviest(grid, i, neighbours);
    // One without neighbours wants to stay, but not much.
    if all.is_empty() { (x[i], 0.1) } else { (all.iter().map(|&j| x[j]).sum::<f64>() / all.len() as f64, weight) }
}

/// The distance that two neighbours in a layer keep, from middle to middle.
fn apart(grid: &Grid, i: usize, j: usize) -> f64 {
    let gap = if grid.is_slot(i) || grid.is_slot(j) { GAPS[1] } else { GAPS[0] };
    (grid.width[i] + grid.width[j]) / 2.0 + gap
}

/// Places a layer: the order and the gaps are kept, and the weighted squares of the distances to `wants` are least.
fn place(grid: &Grid, layer: &[usize], wants: &[(f64, f64)], x: &mut [f64]) {
    let gaps: Vec<f64> = layer.windows(2).map(|pair| apart(grid, pair[0], pair[1])).collect();
    layer.iter().zip(spread(wants, &gaps)).for_each(|(&i, place)| x[i] = place);
}

/// Sets chains whose members are each other's heaviest neighbours straight, longest first, as far as what stands beside them leaves room.
fn straighten(grid: &Grid, x: &mut [f64]) {
    let only = |i: usize, neighbours: &[Vec<usize>]| match heaviest(grid, i, &neighbours[i]).0[..] {
        [one] => Some(one),
        _ => None,
    };
    let next = |i: usize| only(i, &grid.below).filter(|&j| only(j, &grid.above) == Some(i));
    let is_first = |i: usize| only(i, &grid.above).and_then(next) != Some(i);
    let mut chains: Vec<Vec<usize>> = (0..grid.rank.len())
        .filter(|&i| is_first(i))
        .map(|first| std::iter::successors(Some(first), |&i| next(i)).collect())
        .collect();
    chains.sort_by_key(|chain| std::cmp::Reverse(chain.len()));
    let mut at = vec![0; grid.rank.len()];
    for layer in &grid.layers {
        layer.iter().enumerate().for_each(|(place, &i)| at[i] = place);
    }
    for _ in 0..STRAIGHTENED {
        for chain in &chains {
            let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
            for &i in chain {
                let layer = &grid.layers[grid.rank[i]];
                let left = at[i].checked_sub(1).map(|place| layer[place]);
                low = left.map_or(low, |j| low.max(x[j] + apart(grid, i, j)));
                high = layer.get(at[i] + 1).map_or(high, |&j| high.min(x[j] - apart(grid, i, j)));
            }
            if low <= high {
                let wanted = middle(grid, chain, x).clamp(low, high);
                chain.iter().for_each(|&i| x[i] = wanted);
            }
        }
    }
}

/// The place of a straight chain: of boxes, their mean; of slots, the mean of the boxes at its ends, so that it stays near them.
fn middle(grid: &Grid, chain: &[usize], x: &[f64]) -> f64 {
    let (first, last) = (chain[0], chain[chain.len() - 1]);
    let ends: Vec<usize> = grid.above[first].iter().chain(&grid.below[last]).copied().collect();
    let all = if grid.is_slot(first) && !ends.is_empty() { &ends } else { chain };
    all.iter().map(|&i| x[i]).sum::<f64>() / all.len() as f64
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
    // A pool has the mean of its members' wants, less their gaps; its weight; and the number of members.
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
        let gap = BESIDE.min(2.0 * half / from.len().max(2) as f64);
        let wants: Vec<_> = from.iter().map(|&i| (x[i].clamp(x[to] - half, x[to] + half), 1.0)).collect();
        let places = spread(&wants, &vec![gap; from.len().saturating_sub(1)]);
        // Crowded at one end, they may reach beyond it.
        let inside = |(i, place): (usize, f64)| {
            let (left, right) = (i as f64 * gap, (from.len() - 1 - i) as f64 * gap);
            place.max(x[to] - half + left).min(x[to] + half - right)
        };
        let places = places.into_iter().enumerate().map(inside);
        ports.extend(from.iter().zip(places).map(|(&i, place)| ((i, to), place)));
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
