//! Reasons for the chosen candidate, in sentences made of the numbers: its savings and costs, the next candidate and its distance, and candidates
//! that would be faster but may not be taken.

use convoke_conv::{Origin, Reason};

use super::facts::{PACKING, PRODUCTS, Row, Standing, View, error, list};
use super::ieee;
use crate::options::in_seconds;
use crate::table::{bytes, seconds, threads};

/// Times this close are equal, as far as a model or a clock can say.
const EQUAL: f64 = 0.02;

/// The sentences, most important first.
pub(super) fn sentences(view: &View<'_>) -> Vec<String> {
    let Some(chosen) = view.chosen() else { return Vec::new() };
    let mut said = Vec::new();
    if let Reason::Inapplicable { asked, refusal } = &view.selection.reason {
        said.push(format!("{asked} was asked for, but it {refusal}."));
    }
    if let Reason::Shared { alone } = view.selection.reason {
        said.push(format!("Without --max-output-error it would be {}.", alone.form()));
    }
    match view.selection.reason {
        Reason::Asked => said.extend(asked(view, chosen)),
        Reason::Measured { seconds: time, next } => {
            let next = next.map(|(next, more)| format!("; next is {next}, {}", times(more / time, "as long")));
            let (chosen, time) = (chosen.algorithm, seconds(time));
            said.push(format!(
                "{chosen} is the fastest of those that --tune timed, with {time}{}.",
                next.unwrap_or_default()
            ));
        }
        Reason::Only => said.push(format!("{} is the only one that applies.", chosen.algorithm)),
        _ if chosen.algorithm.is_plain_sum() => said.extend(plain(view, chosen)),
        _ => said.push(saves(view, chosen)),
    }
    said.extend(blocks(view, chosen));
    said.extend(packing(view, chosen));
    said.extend(in_a_loop(view));
    let reason = &view.selection.reason;
    if !matches!(reason, Reason::Asked | Reason::Measured { .. }) {
        said.extend(next(view, chosen));
    }
    if *reason != Reason::Asked {
        said.extend(over(view, chosen));
        said.extend(on_request(view, chosen));
    }
    said.extend(ieee::algorithm(view.selection));
    said.extend(measured(view, chosen));
    said
}

/// The candidate that the convolution would have in a loop of its own, and why the net has another.
fn in_a_loop(view: &View<'_>) -> Option<String> {
    let (conv, other) = (&view.selection.conv, view.in_a_loop.as_ref()?);
    let here = view.rows.iter().find(|row| row.plan.plan == other.plan)?;
    let why = match conv.others > view.machine.second_level() as u128 {
        true => {
            let others = bytes(u64::try_from(conv.others).unwrap_or(u64::MAX));
            format!("which reads {others} of other constants in between")
        }
        false => "whose own memory has large pages".into(),
    };
    let [alone, here] = [in_seconds(other.cycles(), view.machine), here.seconds].map(seconds);
    let other = other.plan.form();
    Some(format!("In a loop of its own it would be {other}, with {alone}; in this net, {why}, {other} takes {here}."))
}

fn asked(view: &View<'_>, chosen: &Row<'_>) -> Vec<String> {
    let mut said = vec![format!("{} was asked for, by the text or by --algorithm.", chosen.algorithm)];
    if !view.selection.budget.allows(chosen.plan) {
        said.push(format!(
            "Its error is over the limit for algorithms not asked for ({}).",
            error(view.selection.budget.limit)
        ));
    }
    let rival = view.rows.iter().find(|row| row.standing == Standing::Open);
    match rival {
        Some(rival) if rival.seconds < chosen.seconds => said.push(format!(
            "{} would take {}, {}.",
            rival.algorithm,
            seconds(rival.seconds),
            times(chosen.seconds / rival.seconds, "as fast")
        )),
        Some(_) => said.push("No other that is allowed is predicted to be faster.".into()),
        None => {}
    }
    said
}

/// How an FFT cuts a kernel that its transforms do not hold.
fn blocks(view: &View<'_>, chosen: &Row<'_>) -> Option<String> {
    let [h, w] = view.blocks(chosen)?;
    let (blocks, taps) = (format!("{}x{}", h.blocks, w.blocks), format!("{}x{}", h.taps, w.taps));
    Some(format!("It cuts the kernel into {blocks} blocks of {taps} taps, which share the transforms of the input."))
}

/// Cycles that packing takes in each run, for weights that are not known when the layer is compiled.
fn packing(view: &View<'_>, chosen: &Row<'_>) -> Option<String> {
    if view.selection.conv.weights_known {
        return None;
    }
    Some(match view.term(chosen, PACKING) {
        pack if pack > 0.0 => {
            format!(
                "The weights are known in the run alone: each run packs them, which takes {} of that.",
                seconds(pack)
            )
        }
        _ => format!("The weights are known in the run alone; {} reads them as they lie.", chosen.algorithm),
    })
}

/// The savings of a fast algorithm, and their price.
fn saves(view: &View<'_>, chosen: &Row<'_>) -> String {
    let rest = chosen.seconds - view.term(chosen, PRODUCTS);
    let saves = match chosen.fewer {
        f if f > 1.0 + EQUAL => format!("{} fewer multiplications than a plain sum leave", ratio(f)),
        _ => "its multiplications take".into(),
    };
    let mut text = format!(
        "{} takes {}: {saves} {} of products",
        chosen.algorithm,
        seconds(chosen.seconds),
        seconds(view.term(chosen, PRODUCTS)),
    );
    let plain = view.rows.iter().find(|row| row.algorithm.is_plain_sum() && row.standing != Standing::OnRequest);
    if let Some(plain) = plain {
        text += &format!(" where {} has {}", plain.algorithm, seconds(view.term(plain, PRODUCTS)));
    }
    text += &format!("; transforms, copies and memory cost {}", seconds(rest));
    let costs = costs(view, chosen, |_| 0.0);
    if !costs.is_empty() {
        text += &format!(" ({})", costs.join(", "));
    }
    if let Some(plain) = plain {
        let than = format!("as fast as {}", plain.algorithm);
        text += &format!(". In all it is {}", times(plain.seconds / chosen.seconds, &than));
    }
    text + "."
}

/// Why no algorithm with fewer multiplications won over a plain sum.
fn plain(view: &View<'_>, chosen: &Row<'_>) -> Vec<String> {
    let mut said = vec![format!(
        "{} takes {}, {} of it products.",
        chosen.algorithm,
        seconds(chosen.seconds),
        seconds(view.term(chosen, PRODUCTS))
    )];
    let fast = |row: &&Row<'_>| !row.algorithm.is_plain_sum();
    match view.rows.iter().filter(fast).find(|row| row.standing == Standing::Open) {
        Some(fast) => {
            let saved = view.term(chosen, PRODUCTS) - view.term(fast, PRODUCTS);
            let more = costs(view, fast, |name| view.term(chosen, name));
            let count = match fast.fewer {
                f if f > 1.0 + EQUAL => format!("with {} fewer multiplications", ratio(f)),
                _ => "which has no fewer multiplications here".into(),
            };
            let (balance, pays) = match saved {
                s if s > 0.0 => (format!("would save {} of products", seconds(s)), " but pay"),
                s => (format!("would take {} more for its products", seconds(-s)), " and pay"),
            };
            let pays = if more.is_empty() { String::new() } else { format!("{pays} {}", more.join(", ")) };
            said.push(format!(
                "The best of the fast algorithms, {}, {count}, {balance}{pays}: {}.",
                fast.algorithm,
                times(fast.seconds / chosen.seconds, "as long")
            ));
        }
        None if !view.rows.iter().any(|row| fast(&row)) => {
            said.push("No algorithm with fewer multiplications applies.".into())
        }
        None => {}
    }
    said
}

/// The largest terms of a candidate beside its products, as far as they exceed `than`, in words.
fn costs(view: &View<'_>, row: &Row<'_>, than: impl Fn(&str) -> f64) -> Vec<String> {
    let names = view.terms().into_iter().filter(|name| *name != PRODUCTS);
    let mut costs: Vec<_> = names.map(|name| (name, view.term(row, name) - than(name))).collect();
    costs.retain(|(_, s)| *s > EQUAL * row.seconds);
    costs.sort_by(|a, b| b.1.total_cmp(&a.1));
    costs.truncate(3);
    costs.into_iter().map(|(name, s)| format!("{name} {}", seconds(s))).collect()
}

/// The next candidate, and the term that makes the most of the difference.
fn next(view: &View<'_>, chosen: &Row<'_>) -> Option<String> {
    let next = view.rows.iter().find(|row| row.standing == Standing::Open)?;
    if chosen.algorithm.is_plain_sum() && !next.algorithm.is_plain_sum() {
        // It was told of as the best of the fast algorithms.
        return None;
    }
    let longer = next.seconds / chosen.seconds;
    if longer < 1.0 + EQUAL {
        return Some(format!("{} is predicted to take as long within {:.0} %.", next.algorithm, 100.0 * EQUAL));
    }
    let differences = view.terms().into_iter().map(|name| (name, view.term(next, name) - view.term(chosen, name)));
    let (name, more) = differences.max_by(|a, b| a.1.total_cmp(&b.1))?;
    let (next, more) = (next.algorithm, seconds(more));
    Some(format!("Next is {next}, {}: {more} more for {name}.", times(longer, "as long")))
}

/// The candidate that would be faster, but for its error.
fn over(view: &View<'_>, chosen: &Row<'_>) -> Option<String> {
    let budget = &view.selection.budget;
    let over: Vec<_> = view.rows.iter().filter(|row| row.standing == Standing::Over).collect();
    let faster: Vec<_> = over.iter().filter(|row| row.seconds < chosen.seconds).collect();
    let Some(first) = faster.first() else {
        let algorithms: Vec<_> = over.iter().map(|row| row.algorithm).collect();
        let verb = if over.len() == 1 { "is over the error allowed, and" } else { "are over the error allowed, and" };
        return (!over.is_empty()).then(|| format!("{} {verb} not predicted to be faster.", list(&algorithms)));
    };
    let (kind, its) = match budget.certified {
        true => ("certified bound", first.plan.error_bound),
        false => ("error to expect", first.plan.error_typical),
    };
    let mut text = format!(
        "{} would be {}, but its {kind}, {}, is over the {} allowed",
        first.algorithm,
        times(chosen.seconds / first.seconds, "as fast"),
        error(its),
        error(budget.limit)
    );
    if let Some(range) = view.selection.conv.range.filter(|range| its / range.spread() <= budget.limit) {
        text += &format!(
            "; its error counts {} times, since the input is declared to be in {range}",
            error(range.spread())
        );
    }
    if its.is_finite() && budget.origin != Origin::Shared {
        text += &format!("; --max-error {} would admit it", rounded_up(its));
    }
    let others: Vec<_> = faster.iter().skip(1).map(|row| row.algorithm).collect();
    if !others.is_empty() {
        text += &format!(". Faster but over it too: {}", list(&others));
    }
    Some(text + ".")
}

/// The candidate that would be faster, but is not taken unasked.
fn on_request(view: &View<'_>, chosen: &Row<'_>) -> Option<String> {
    let row = view.rows.iter().find(|row| row.standing == Standing::OnRequest && row.seconds < chosen.seconds)?;
    let scratch = u64::try_from(row.plan.cost.scratch_bytes).unwrap_or(u64::MAX);
    let faster = times(chosen.seconds / row.seconds, "as fast");
    Some(format!(
        "{} would be {faster} with {} of scratch; it is taken on request only.",
        row.algorithm,
        bytes(scratch)
    ))
}

/// The verdict of the clock on the choice.
fn measured(view: &View<'_>, chosen: &Row<'_>) -> Vec<String> {
    if !view.measured {
        return Vec::new();
    }
    let Some((open, time)) = view.verdict() else {
        return vec![format!("{} could not be measured.", chosen.algorithm)];
    };
    let on = if view.threads == 1 { String::new() } else { format!(" on {}", threads(view.threads)) };
    let mut said = vec![format!(
        "Measured{on}, {} takes {}, {} % of the prediction.",
        chosen.algorithm,
        seconds(time),
        (100.0 * time / chosen.seconds).round()
    )];
    let rival = open.iter().find(|(row, _)| row.standing != Standing::Chosen);
    said.extend(rival.map(|(row, other)| match time / other - 1.0 {
        loss if loss > EQUAL => {
            format!(
                "{} is really the best, with {}: the choice costs {:.0} %.",
                row.algorithm,
                seconds(*other),
                100.0 * loss
            )
        }
        loss if loss > -EQUAL => format!("{} takes as long within {:.0} %.", row.algorithm, 100.0 * EQUAL),
        _ => format!("It is really the best: {} takes {}.", row.algorithm, times(other / time, "as long")),
    }));
    if !view.skipped.is_empty() {
        let skipped = list(&view.skipped);
        said.push(format!(
            "Not measured, being predicted to take more than {} times the least: {skipped}.",
            convoke::explain::TOO_SLOW
        ));
    }
    said
}

/// `1.31 times as long`.
fn times(ratio: f64, what: &str) -> String {
    format!("{} {what}", self::ratio(ratio))
}

fn ratio(ratio: f64) -> String {
    if ratio < 10.0 { format!("{ratio:.2} times") } else { format!("{ratio:.0} times") }
}

/// A limit of one digit that admits an error.
fn rounded_up(error: f64) -> String {
    let power = error.log10().floor();
    let digit = (error / 10f64.powf(power)).ceil().max(1.0);
    if digit > 9.0 { format!("1e{}", power + 1.0) } else { format!("{digit}e{power}") }
}
