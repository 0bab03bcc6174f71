//! Tiles and their errors, remembered in the process: to build one takes about as long as to compile a small layer.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use convoke_bilinear::Tile;
use convoke_bilinear::error::{Alike, tile_bound, tile_estimate_at};

/// The parameters that a tile is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// Outputs, taps, steps.
    Winograd([usize; 2], [usize; 2], [usize; 2]),
    /// Points, taps.
    Fft([usize; 2], [usize; 2]),
}

/// A tile, the channels it is summed over, and the bits of the unit roundoff.
type Summed = (Key, usize, u64);

#[derive(Default)]
struct Cache {
    tiles: HashMap<Key, Arc<Tile>>,
    typical: HashMap<(Summed, [Vec<Alike>; 2]), f64>,
    bounds: HashMap<Summed, f64>,
}

/// The most entries: a process that compiles ever new shapes starts over.
const MOST: usize = 512;

static CACHE: LazyLock<Mutex<Cache>> = LazyLock::new(Mutex::default);

/// The tile of `key`, whose sizes are within the limits of its construction.
pub(crate) fn tile(key: Key) -> Arc<Tile> {
    remembered(
        |cache| &mut cache.tiles,
        key,
        || {
            Arc::new(match key {
                Key::Winograd(m, r, s) => Tile::winograd(m, r, s).expect("sizes within the limits"),
                Key::Fft(points, taps) => Tile::fft(points, taps).expect("sizes within the limits"),
            })
        },
    )
}

/// The estimate of the error of tiles of `key` at these places, summed over `channels` in numbers of unit roundoff `u`.
pub(crate) fn typical(key: Key, places: &[Vec<Alike>; 2], channels: usize, u: f64) -> f64 {
    let summed = (key, channels, u.to_bits());
    let estimate = || tile_estimate_at(&tile(key), [&places[0], &places[1]], channels, u);
    remembered(|cache| &mut cache.typical, (summed, places.clone()), estimate)
}

/// The certified bound of the error of the tile of `key`, likewise.
pub(crate) fn bound(key: Key, channels: usize, u: f64) -> f64 {
    remembered(|cache| &mut cache.bounds, (key, channels, u.to_bits()), || tile_bound(&tile(key), channels, u))
}

/// What was computed for `key` before, or is now. The cache is free meanwhile: computing one thing may ask for another.
fn remembered<K: Eq + Hash, V: Clone>(
    of: impl Fn(&mut Cache) -> &mut HashMap<K, V>,
    key: K,
    compute: impl FnOnce() -> V,
) -> V {
    // Entries are whole or not there, so that a panic elsewhere leaves nothing wrong behind.
    let lock = || CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = of(&mut lock()).get(&key) {
        return known.clone();
    }
    let value = compute();
    let mut cache = lock();
    let entries = of(&mut cache);
    if entries.len() >= MOST {
        entries.clear();
    }
    entries.insert(key, value.clone());
    value
}
