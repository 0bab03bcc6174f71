//! `convoke analyze --plot`: for each convolution the response over the band, its radial profile, and the energy in each rank.

use convoke::analyze::Analysis;
use convoke::filter::Response;
use plotters::coord::Shift;
use plotters::prelude::*;

/// Width and height of a panel.
const PANEL: (u32, u32) = (380, 340);
/// Convolutions drawn at most.
const ROWS: usize = 12;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// The picture, a row of three panels for each convolution with kernels of several taps.
pub(super) fn svg(analyses: &[&Analysis]) -> Result<String, String> {
    let shown: Vec<_> = analyses
        .iter()
        .filter(|a| a.extents[2] * a.extents[3] > 1)
        .filter_map(|a| Some((*a, a.response()?)))
        .take(ROWS)
        .collect();
    if shown.is_empty() {
        return Err("there is no kernel of several taps to draw".into());
    }
    let mut text = String::new();
    draw(&mut text, &shown).map_err(|e| format!("cannot draw: {e}"))?;
    Ok(text)
}

fn draw(text: &mut String, shown: &[(&Analysis, Response)]) -> Drawn {
    let size = (3 * PANEL.0, shown.len() as u32 * PANEL.1);
    let root = SVGBackend::with_string(text, size).into_drawing_area();
    root.fill(&WHITE)?;
    for ((analysis, response), row) in shown.iter().zip(root.split_evenly((shown.len(), 1))) {
        let panels = row.split_evenly((1, 3));
        let mean = if analysis.filters.len() > 1 { ", root mean square" } else { "" };
        band(&panels[0], response, &format!("%{}: |H|{mean}", analysis.value))?;
        radial(&panels[1], response)?;
        energies(&panels[2], &analysis.energies())?;
    }
    root.present()?;
    Ok(())
}

/// |H| over both frequencies, dark where it is small.
fn band(area: &Area<'_>, response: &Response, title: &str) -> Drawn {
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 15))
        .margin(10)
        .x_label_area_size(34)
        .y_label_area_size(44)
        .build_cartesian_2d(-0.5..0.5, -0.5..0.5)?;
    chart
        .configure_mesh()
        .disable_mesh()
        .x_labels(5)
        .y_labels(5)
        .x_desc("across, cycles per pixel")
        // Rows count downwards.
        .x_label_formatter(&|v| format!("{:.1}", v + 0.0))
        .y_label_formatter(&|v| format!("{:.1}", 0.0 - v))
        .y_desc("down")
        .draw()?;
    let most = response.largest().max(f64::MIN_POSITIVE);
    let half = 0.5 / response.size() as f64;
    chart.draw_series(response.points().map(|(fy, fx, h)| {
        // Rows count downwards; the picture's axis upwards.
        let corners = [(fx - half, -fy - half), (fx + half, -fy + half)];
        Rectangle::new(corners.map(|(x, y)| (x.clamp(-0.5, 0.5), y.clamp(-0.5, 0.5))), shade(h / most).filled())
    }))?;
    Ok(())
}

/// Black through blue and orange to pale yellow, ever lighter.
fn shade(v: f64) -> RGBColor {
    const STOPS: [[f64; 3]; 5] =
        [[0.0, 0.0, 20.0], [60.0, 20.0, 120.0], [180.0, 50.0, 90.0], [245.0, 140.0, 30.0], [252.0, 250.0, 170.0]];
    let at = v.clamp(0.0, 1.0) * (STOPS.len() - 1) as f64;
    let i = (at as usize).min(STOPS.len() - 2);
    let mix = |c: usize| (STOPS[i][c] + (at - i as f64) * (STOPS[i + 1][c] - STOPS[i][c])) as u8;
    RGBColor(mix(0), mix(1), mix(2))
}

/// |H| by radius, relative to its peak, in dB.
fn radial(area: &Area<'_>, response: &Response) -> Drawn {
    const FLOOR: f64 = -80.0;
    let profile = response.radial();
    let peak = profile.iter().fold(f64::MIN_POSITIVE, |most, p| most.max(p.1));
    let decibels = |h: f64| (20.0 * (h / peak).max(1e-30).log10()).max(FLOOR);
    let mut chart = ChartBuilder::on(area)
        .caption("radial profile, dB below its peak", ("sans-serif", 15))
        .margin(10)
        .x_label_area_size(34)
        .y_label_area_size(44)
        .build_cartesian_2d(0.0..0.71, FLOOR..5.0)?;
    chart.configure_mesh().x_labels(8).y_labels(6).light_line_style(WHITE).x_desc("cycles per pixel").draw()?;
    // Half power, and Nyquist's frequency along an axis.
    let guide = RGBColor(170, 170, 170);
    chart.draw_series(LineSeries::new([(0.0, -3.01), (0.71, -3.01)], guide))?;
    chart.draw_series(LineSeries::new([(0.5, FLOOR), (0.5, 5.0)], guide))?;
    let line = profile.into_iter().map(|(r, h)| (r, decibels(h)));
    chart.draw_series(LineSeries::new(line, RGBColor(30, 90, 180).stroke_width(2)))?;
    Ok(())
}

/// The part of the energy in each rank, by powers of ten.
fn energies(area: &Area<'_>, energies: &[f64]) -> Drawn {
    const FLOOR: f64 = -17.0;
    let most = energies.len().max(2) as f64;
    let mut chart = ChartBuilder::on(area)
        .caption("energy in each rank, powers of ten", ("sans-serif", 15))
        .margin(10)
        .x_label_area_size(34)
        .y_label_area_size(44)
        .build_cartesian_2d(0.5..most + 0.5, FLOOR..0.5)?;
    chart
        .configure_mesh()
        .x_labels(8)
        .y_labels(8)
        .light_line_style(WHITE)
        .x_label_formatter(&|v| format!("{v:.0}"))
        .x_desc("rank")
        .draw()?;
    let bar = |(i, e): (usize, &f64)| {
        let top = e.max(1e-30).log10().max(FLOOR);
        let rank = i as f64 + 1.0;
        Rectangle::new([(rank - 0.35, FLOOR), (rank + 0.35, top)], RGBColor(200, 90, 40).filled())
    };
    chart.draw_series(energies.iter().enumerate().map(bar))?;
    Ok(())
}
