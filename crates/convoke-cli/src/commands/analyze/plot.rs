//! `convoke analyze --plot`: for each convolution the response over the band, its radial profile, and the energy in each rank.

//!
//! Text is measured with the font that bitmaps are lettered with, which is part of the program; an SVG names the reader's own sans-serif.

use std::error::Error;
use std::path::Path;
use std::sync::OnceLock;

use convoke::analyze::Analysis;
use convoke::ir::diagnostic::shown;
use convoke_data::image;
use convoke_filter::Response;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

/// Width and height of a panel.
const PANEL: (u32, u32) = (380, 340);
/// Convolutions drawn at most.
const ROWS: usize = 12;
/// Pixels of a bitmap for each unit of length.
const FINE: u32 = 2;

/// DejaVu Sans; its licence stands beside it.
const FONT: &[u8] = include_bytes!("font/DejaVuSans-subset.ttf");

/// The file format of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Vectors.
    Svg,
    /// Pixels.
    Png,
}

impl Format {
    /// The format that a file's name ends in; another ending is an error in words.
    pub(super) fn of(path: &Path) -> Result<Format, String> {
        match path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
            Some("svg") => Ok(Format::Svg),
            Some("png") => Ok(Format::Png),
            _ => Err(format!("--plot draws .svg and .png, not `{}`", shown(&path.to_string_lossy()))),
        }
    }
}

/// The canvas, and the number of its units in a unit of length.
struct Area<'a, B: DrawingBackend> {
    on: &'a DrawingArea<B, Shift>,
    scale: u32,
}

impl<B: DrawingBackend> Area<'_, B> {
    fn of(&self, length: u32) -> u32 {
        length * self.scale
    }

    fn font(&self, size: u32) -> (&'static str, u32) {
        ("sans-serif", self.of(size))
    }

    /// A panel with its caption.
    fn chart(&self, caption: &str) -> ChartBuilder<'_, '_, B> {
        let mut chart = ChartBuilder::on(self.on);
        chart
            .caption(caption, self.font(15))
            .margin(self.of(10))
            .x_label_area_size(self.of(34))
            .y_label_area_size(self.of(44));
        chart
    }
}

type Drawn = Result<(), Box<dyn Error>>;

/// The picture's bytes: a row of three panels for each convolution with kernels of several taps.
pub(super) fn picture(analyses: &[&Analysis], format: Format) -> Result<Vec<u8>, String> {
    let shown: Vec<_> = analyses
        .iter()
        .filter(|a| a.extents()[2] * a.extents()[3] > 1)
        .filter_map(|a| Some((*a, a.response()?)))
        .take(ROWS)
        .collect();
    if shown.is_empty() {
        return Err("there is no kernel of several taps to draw".into());
    }
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    if !REGISTERED.get_or_init(|| register_font("sans-serif", FontStyle::Normal, FONT).is_ok()) {
        return Err("cannot draw: the font that is part of the program cannot be read".into());
    }
    let (width, height) = (3 * PANEL.0, shown.len() as u32 * PANEL.1);
    let failed = |e: Box<dyn Error>| format!("cannot draw: {e}");
    match format {
        Format::Svg => {
            let mut text = String::new();
            let root = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
            draw(root, 1, &shown).map_err(failed)?;
            Ok(text.into_bytes())
        }
        Format::Png => {
            let (width, height) = (FINE * width, FINE * height);
            let mut pixels = vec![0; 3 * width as usize * height as usize];
            let root = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
            draw(root, FINE, &shown).map_err(failed)?;
            image::rgb(width, height, &pixels).map_err(|e| failed(e.into()))
        }
    }
}

fn draw<B: DrawingBackend<ErrorType: 'static>>(
    root: DrawingArea<B, Shift>,
    scale: u32,
    shown: &[(&Analysis, Response)],
) -> Drawn {
    root.fill(&WHITE)?;
    for ((analysis, response), row) in shown.iter().zip(root.split_evenly((shown.len(), 1))) {
        let panels = row.split_evenly((1, 3));
        let area = |i: usize| Area { on: &panels[i], scale };
        let mean = if analysis.filters().len() > 1 { ", root mean square" } else { "" };
        band(&area(0), response, &format!("%{}: |H|{mean}", analysis.value()))?;
        radial(&area(1), response)?;
        energies(&area(2), &analysis.energies())?;
    }
    root.present()?;
    Ok(())
}

/// |H| over both frequencies, dark where it is small.
fn band<B: DrawingBackend<ErrorType: 'static>>(area: &Area<'_, B>, response: &Response, title: &str) -> Drawn {
    let mut chart = area.chart(title).build_cartesian_2d(-0.5..0.5, -0.5..0.5)?;
    chart
        .configure_mesh()
        .label_style(area.font(12))
        .disable_mesh()
        .x_labels(5)
        .y_labels(5)
        .x_desc("across, cycles per pixel")
        // Rows count downwards. A tick at 0 may be a little less.
        .x_label_formatter(&|v: &f64| format!("{:.1}", (10.0 * v).round() / 10.0 + 0.0))
        .y_label_formatter(&|v: &f64| format!("{:.1}", 0.0 - (10.0 * v).round() / 10.0))
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
fn radial<B: DrawingBackend<ErrorType: 'static>>(area: &Area<'_, B>, response: &Response) -> Drawn {
    const FLOOR: f64 = -80.0;
    let profile = response.radial();
    let peak = profile.iter().fold(f64::MIN_POSITIVE, |most, p| most.max(p.1));
    let decibels = |h: f64| (20.0 * (h / peak).max(1e-30).log10()).max(FLOOR);
    let mut chart = area.chart("radial profile, dB below its peak").build_cartesian_2d(0.0..0.71, FLOOR..5.0)?;
    chart
        .configure_mesh()
        .label_style(area.font(12))
        .x_labels(8)
        .y_labels(6)
        .light_line_style(WHITE)
        .x_desc("cycles per pixel")
        .draw()?;
    // Half power, and Nyquist's frequency along an axis.
    let guide = RGBColor(170, 170, 170);
    chart.draw_series(LineSeries::new([(0.0, -3.01), (0.71, -3.01)], guide.stroke_width(area.scale)))?;
    chart.draw_series(LineSeries::new([(0.5, FLOOR), (0.5, 5.0)], guide.stroke_width(area.scale)))?;
    let line = profile.into_iter().map(|(r, h)| (r, decibels(h)));
    chart.draw_series(LineSeries::new(line, RGBColor(30, 90, 180).stroke_width(area.of(2))))?;
    Ok(())
}

/// The part of the energy in each rank, by powers of ten.
fn energies<B: DrawingBackend<ErrorType: 'static>>(area: &Area<'_, B>, energies: &[f64]) -> Drawn {
    const FLOOR: f64 = -17.0;
    let most = energies.len().max(2) as f64;
    let mut chart = area.chart("energy in each rank, powers of ten").build_cartesian_2d(0.5..most + 0.5, FLOOR..0.5)?;
    chart
        .configure_mesh()
        .label_style(area.font(12))
        .x_labels(8)
        .y_labels(8)
        .light_line_style(WHITE)
        // Ranks are whole; of few there are ticks between.
        .x_label_formatter(&|v: &f64| if (v - v.round()).abs() < 1e-9 { format!("{v:.0}") } else { String::new() })
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
