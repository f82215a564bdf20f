//! `results.svg`: cold starts as bars and throughput as lines. Owns their look.

use std::path::Path;

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::payloads::Language;
use crate::results::Results;

const SIZE: (u32, u32) = (1000, 940);
const FONT: &str = "sans-serif";

/// Draws both into a file.
pub(crate) fn draw(results: &Results, path: &Path) -> anyhow::Result<()> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    let drawn = (|| {
        root.fill(&WHITE)?;
        let (top, bottom) = root.split_vertically(520);
        starts(results, &top)?;
        loads(results, &bottom)?;
        root.present()
    })();
    drawn.map_err(|error| anyhow!("cannot draw {}: {error}", path.display()))
}

type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn starts<'a>(results: &Results, area: &DrawingArea<SVGBackend<'a>, Shift>) -> Drawn<'a> {
    let mut peers: Vec<&str> = Vec::new();
    for starts in &results.starts {
        if !peers.contains(&starts.peer) {
            peers.push(starts.peer);
        }
    }
    let rows = peers.len().max(1) as f64;
    let name = |position: f64| peers.get(position as usize).copied().unwrap_or_default().replace('`', "");
    let mut chart = ChartBuilder::on(area)
        .caption("A print, one client: P50 in ms (bar) to P99 (line)", (FONT, 20))
        .margin(12)
        .x_label_area_size(32)
        .y_label_area_size(150)
        .build_cartesian_2d((0.5f64..2000.0).log_scale(), 0f64..rows)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(0)
        .x_label_formatter(&|ms| format!("{ms}"))
        .label_style((FONT, 13))
        .draw()?;
    let left = chart.plotting_area().get_pixel_range().0.start;
    for (row, _) in peers.iter().enumerate() {
        let middle = rows - row as f64 - 0.5;
        let (_, y) = chart.backend_coord(&(1.0, middle));
        area.draw_text(&name(row as f64), &(FONT, 13).into_text_style(area), (left - 140, y - 8))?;
    }
    for (language, color, shift) in
        [(Language::Python, BLUE.mix(0.7), 0.42), (Language::JavaScript, RED.mix(0.6), 0.06)]
    {
        let bars = results.starts.iter().filter(|starts| starts.language == language).filter_map(|starts| {
            let row = peers.iter().position(|peer| *peer == starts.peer)? as f64;
            let [p50, p99] = [50, 99].map(|percent| starts.percentile_ms(percent).max(0.5));
            Some((rows - row - 1.0 + shift + 0.08, p50, p99))
        });
        let bars: Vec<_> = bars.collect();
        let bar = |(bottom, p50, _): &(f64, f64, f64)| {
            Rectangle::new([(0.5, *bottom), (*p50, bottom + 0.32)], color.filled())
        };
        chart
            .draw_series(bars.iter().map(bar))?
            .label(language.name())
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], color.filled()));
        let line = |(bottom, p50, p99): &(f64, f64, f64)| {
            PathElement::new([(*p50, bottom + 0.16), (*p99, bottom + 0.16)], BLACK.stroke_width(1))
        };
        chart.draw_series(bars.iter().map(line))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .border_style(BLACK)
        .background_style(WHITE)
        .label_font((FONT, 13))
        .draw()
}

fn loads<'a>(results: &Results, area: &DrawingArea<SVGBackend<'a>, Shift>) -> Drawn<'a> {
    let rates = || results.loads.iter().map(|load| load.median(|rate| rate.per_s));
    let most = rates().fold(1.0, f64::max) * 1.1;
    let mut chart = ChartBuilder::on(area)
        .caption("Fibonacci programs a second, by clients", (FONT, 20))
        .margin(12)
        .margin_right(220)
        .x_label_area_size(32)
        .y_label_area_size(60)
        .build_cartesian_2d((1f64..1000.0).log_scale(), 0f64..most)?;
    chart
        .configure_mesh()
        .label_style((FONT, 13))
        .x_label_formatter(&|clients| format!("{clients}"))
        .draw()?;
    let mut peers: Vec<&str> = results.loads.iter().map(|load| load.peer).collect();
    peers.dedup();
    for (index, peer) in peers.iter().enumerate() {
        let color = Palette99::pick(index).to_rgba();
        let points: Vec<(f64, f64)> = results
            .loads
            .iter()
            .filter(|load| load.peer == *peer)
            .map(|load| (load.clients as f64, load.median(|rate| rate.per_s)))
            .collect();
        chart.draw_series(LineSeries::new(points.clone(), color.stroke_width(2)).point_size(3))?;
        // The names are beside the chart, where they cover nothing.
        let y = 40 + 20 * index as i32;
        let x = SIZE.0 as i32 - 205;
        area.draw(&Rectangle::new([(x, y), (x + 12, y + 10)], color.filled()))?;
        let style = (FONT, 13).into_text_style(area);
        area.draw_text(&peer.replace('`', ""), &style, (x + 18, y - 2))?;
    }
    Ok(())
}
