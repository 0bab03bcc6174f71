//! Attributes at their defaults, and smaller numbers in them. Types and shapes that depend on them follow.

use convoke_ir::attr::Attr;
use convoke_ir::layer::{Layer, Op};

use super::refit::refit;
use super::search::{Search, Stop, smaller};

/// The place of an attribute: the instruction, the step of its epilogue if it is of one, and the name.
type Site = (usize, Option<usize>, &'static str);

/// Drops attributes, many at once first, then makes their numbers smaller.
pub(super) fn shrink(search: &mut Search<'_>) -> Result<(), Stop> {
    for at in 0..search.layers() {
        let files = search.files().clone();
        search.without_parts(
            at,
            |layer| sites(layer).len(),
            |layer, range| {
                let mut candidate = layer.clone();
                for &site in &sites(layer)[range] {
                    let op = op_mut(&mut candidate, site);
                    *op = without(op, site.2);
                }
                refit(layer, candidate, &[], &files).into_iter().collect()
            },
        )?;
        // Sites change only with instructions, or when an attribute comes to its default.
        let mut place = 0;
        while let Some(&site) = sites(search.layer(at)).get(place) {
            let mut taken = false;
            for attr in simpler(search.layer(at), site) {
                let layer = search.layer(at);
                let mut candidate = layer.clone();
                let fits = op_mut(&mut candidate, site).set_attr(site.2, &attr).is_ok();
                if fits && let Some(candidate) = refit(layer, candidate, &[], &files) {
                    taken = search.offer_layer(at, candidate)?;
                }
                if taken {
                    break;
                }
            }
            place += usize::from(!taken);
        }
    }
    Ok(())
}

fn sites(layer: &Layer) -> Vec<Site> {
    let mut sites = Vec::new();
    for (i, instr) in layer.body.iter().enumerate() {
        sites.extend(instr.op.attrs().into_iter().map(|(name, _)| (i, None, name)));
        for (s, step) in instr.then.iter().enumerate() {
            sites.extend(step.op.attrs().into_iter().map(|(name, _)| (i, Some(s), name)));
        }
    }
    sites
}

fn op_mut(layer: &mut Layer, (instr, step, _): Site) -> &mut Op {
    let instr = &mut layer.body[instr];
    match step {
        Some(step) => &mut instr.then[step].op,
        None => &mut instr.op,
    }
}

/// The op with one attribute at its default.
fn without(op: &Op, dropped: &str) -> Op {
    let mut plain = Op::from_name(op.name()).expect("its own name");
    for (name, attr) in op.attrs().iter().filter(|(name, _)| *name != dropped) {
        plain.set_attr(name, attr).expect("as the op had it");
    }
    plain
}

/// Values of an attribute with smaller whole numbers: all of a list at once, then each, then half of the list.
fn simpler(layer: &Layer, site: Site) -> Vec<Attr> {
    let op = op_of(layer, site);
    let Some((_, attr)) = op.attrs().into_iter().find(|(name, _)| *name == site.2) else { return Vec::new() };
    match attr {
        Attr::Int(v) => nearer(v).into_iter().map(Attr::Int).collect(),
        Attr::List(items) => {
            let mut found = vec![Attr::List(items.iter().map(|item| halved(item, |v| v / 2)).collect())];
            found.push(Attr::List(items.iter().map(|item| halved(item, |v| v - v.signum())).collect()));
            for (i, item) in items.iter().enumerate() {
                let Attr::Int(v) = item else { continue };
                for v in nearer(*v) {
                    let mut list = items.clone();
                    list[i] = Attr::Int(v);
                    found.push(Attr::List(list));
                }
            }
            let (first, last) = items.split_at(items.len() / 2);
            found.extend([first, last].map(|half| Attr::List(half.to_vec())));
            found
        }
        _ => Vec::new(),
    }
}

fn op_of(layer: &Layer, (instr, step, _): Site) -> &Op {
    let instr = &layer.body[instr];
    step.map_or(&instr.op, |step| &instr.then[step].op)
}

fn halved(item: &Attr, by: fn(i64) -> i64) -> Attr {
    match item {
        Attr::Int(v) => Attr::Int(by(*v)),
        other => other.clone(),
    }
}

/// Whole numbers nearer to 0.
fn nearer(v: i64) -> Vec<i64> {
    let magnitudes = usize::try_from(v.unsigned_abs()).map(|v| smaller(v, 0)).unwrap_or_default();
    magnitudes.into_iter().filter_map(|m| i64::try_from(m).ok()).map(|m| m * v.signum()).collect()
}
