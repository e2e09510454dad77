//! The figures as pictures (SVG).

use std::path::Path;

use bench::Failure;
use plotters::prelude::*;

use crate::berth::Standing;
use crate::samples::Results;

const SIZE: (u32, u32) = (900, 420);
const COLORS: [RGBColor; 6] = [RED, BLUE, GREEN, MAGENTA, BLACK, CYAN];

/// How many of the runs had come to their first instruction after so many ms: a line for each case, on a scale of logarithms.
pub fn launches(path: &Path, results: &[Results]) -> Result<(), Failure> {
    let times = || results.iter().flat_map(|result| &result.first).copied();
    let (least, most) = (times().fold(f64::MAX, f64::min), times().fold(0.0, f64::max));
    if most == 0.0 {
        return Ok(());
    }
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(12)
        .caption("From the command to the first instruction", ("sans-serif", 18))
        .x_label_area_size(36)
        .y_label_area_size(48)
        .build_cartesian_2d((least * 0.9..most * 1.1).log_scale(), 0.0..100.0)?;
    chart.configure_mesh().x_desc("ms").y_desc("% of the runs").draw()?;
    for (result, color) in results.iter().zip(COLORS) {
        let share = 100.0 / result.first.len().max(1) as f64;
        let line = result.first.iter().enumerate().map(|(place, time)| (*time, (place + 1) as f64 * share));
        let drawn = chart.draw_series(LineSeries::new(line, color.stroke_width(2)))?;
        drawn.label(&result.name).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE)
        .border_style(BLACK)
        .draw()?;
    Ok(root.present()?)
}

/// What tasks cost by how many there are: ms of `ps` and `describe`, and KiB of each task.
pub fn tasks(path: &Path, standing: &Standing) -> Result<(), Failure> {
    let of = |value: fn(&crate::berth::Stand) -> f64| -> Vec<(f64, f64)> {
        standing.stands.iter().map(|stand| (stand.tasks as f64, value(stand))).collect()
    };
    let lines = [
        ("berth ps, p50", of(|stand| stand.ps_ms(50))),
        ("berth describe of one, p50", of(|stand| stand.describe_ms(50))),
        ("run -d, p50", of(|stand| stand.start_ms(50))),
        // The first task pays for the pages that all of them share.
        ("memory, 10 KiB of each task", of(|stand| if stand.tasks > 1 { stand.kib_each() / 10.0 } else { f64::NAN })),
    ];
    let points = || lines.iter().flat_map(|(_, line)| line).filter(|(_, value)| value.is_finite());
    let (widest, highest) = points().fold((1.0_f64, 1.0_f64), |(x, y), point| (x.max(point.0), y.max(point.1)));
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(12)
        .caption("What tasks cost by how many stand", ("sans-serif", 18))
        .x_label_area_size(36)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..widest * 1.02, 0.0..highest * 1.1)?;
    chart.configure_mesh().x_desc("tasks").y_desc("ms").draw()?;
    for ((name, line), color) in lines.iter().zip(COLORS) {
        let line = line.iter().copied().filter(|(_, value)| value.is_finite());
        let drawn = chart.draw_series(LineSeries::new(line, color.stroke_width(2)))?;
        drawn.label(*name).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(BLACK)
        .draw()?;
    Ok(root.present()?)
}
