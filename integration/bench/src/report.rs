//! From samples to figures.

use harness::measure::median;
use serde_json::{Map, Value, json};

use super::bootstrap::{Case, SIZES, Variant};
use super::load::Sample;

type Measured = (Case, Variant, usize, Sample);

/// All figures, in microseconds a request unless they say otherwise.
pub fn report(samples: &[Measured], rounds: usize, requests: usize) -> Value {
    let mut cases = Map::new();
    for case in Case::ALL {
        let mut sizes = Map::new();
        for size in SIZES {
            sizes.insert(size.to_string(), at_size(samples, case, size));
        }
        let growth = growth_percent(samples, case);
        let mut figures = json!({ "resources": sizes });
        if let Some(figures) = figures.as_object_mut() {
            figures.insert("filter_5000_over_100_percent".into(), rounded(growth));
        }
        cases.insert(case.name().into(), figures);
    }
    let everywhere = Case::ALL.into_iter().flat_map(|case| SIZES.map(|size| (case, size)));
    let against_lua = everywhere.flat_map(|(case, size)| against_lua(samples, case, size));
    json!({
        "unit": "microseconds per request; medians over the rounds, with 95% confidence intervals",
        "rounds": rounds,
        "requests_per_measurement": requests,
        "cases": cases,
        "filter_minus_lua_cpu": interval(against_lua.collect()),
    })
}

/// What the filter costs more than Lua, paired within each round.
fn against_lua(samples: &[Measured], case: Case, size: usize) -> Vec<f64> {
    differences(samples, case, (Variant::Filter, size), (Variant::Lua, size), |s| s.cpu)
}

fn at_size(samples: &[Measured], case: Case, size: usize) -> Value {
    let mut figures = Map::new();
    for variant in Variant::ALL {
        let of = |field: fn(&Sample) -> f64| {
            rounded(median(series(samples, case, variant, size, field)))
        };
        let mut values =
            json!({ "cpu": of(|s| s.cpu), "p50": of(|s| s.p50), "p99": of(|s| s.p99) });
        if let (Some(values), true) = (values.as_object_mut(), variant != Variant::Plain) {
            let added = |field| rounded(added(samples, case, variant, size, field));
            values.insert("added_cpu".into(), added(|s| s.cpu));
            values.insert("added_p50".into(), added(|s| s.p50));
        }
        figures.insert(variant.name().into(), values);
    }
    figures.insert("filter_minus_lua_cpu".into(), interval(against_lua(samples, case, size)));
    Value::Object(figures)
}

/// What a variant adds to plain Envoy, paired within each round.
fn added(
    samples: &[Measured],
    case: Case,
    variant: Variant,
    size: usize,
    field: fn(&Sample) -> f64,
) -> f64 {
    median(differences(samples, case, (variant, size), (Variant::Plain, size), field))
}

/// By how many percent a request costs Envoy more with 5,000 resources than
/// with 100, in all that it does for the request.
fn growth_percent(samples: &[Measured], case: Case) -> f64 {
    let [small, large] = SIZES;
    let cpu = |size| series(samples, case, Variant::Filter, size, |s| s.cpu);
    let ratios = cpu(large).into_iter().zip(cpu(small)).map(|(large, small)| large / small);
    (median(ratios) - 1.0) * 100.0
}

fn differences(
    samples: &[Measured],
    case: Case,
    (left, left_size): (Variant, usize),
    (right, right_size): (Variant, usize),
    field: fn(&Sample) -> f64,
) -> Vec<f64> {
    let left = series(samples, case, left, left_size, field);
    let right = series(samples, case, right, right_size, field);
    left.into_iter().zip(right).map(|(left, right)| left - right).collect()
}

/// One value a round, in the order of the rounds.
fn series(
    samples: &[Measured],
    case: Case,
    variant: Variant,
    size: usize,
    field: fn(&Sample) -> f64,
) -> Vec<f64> {
    let wanted = samples.iter().filter(|(c, v, s, _)| (*c, *v, *s) == (case, variant, size));
    wanted.map(|(_, _, _, sample)| field(sample)).collect()
}

/// The median and the interval in which the true one is with 95% confidence,
/// by the ranks of a binomial distribution: it supposes nothing about the noise.
fn interval(mut values: Vec<f64>) -> Value {
    values.sort_by(f64::total_cmp);
    let count = values.len();
    // 1.96 standard deviations of how many values are below the median.
    let half_width = (0.98 * f64::from(u32::try_from(count).unwrap_or(u32::MAX)).sqrt()).ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
    let half_width = half_width as usize;
    let at = |rank: usize| values.get(rank.min(count.saturating_sub(1))).copied();
    let value = |rank: usize| rounded(at(rank).unwrap_or(f64::NAN));
    json!({
        "median": value(count / 2),
        "low": value((count / 2).saturating_sub(half_width)),
        "high": value(count / 2 + half_width),
    })
}

fn rounded(value: f64) -> Value {
    json!((value * 100.0).round() / 100.0)
}

/// The table on the terminal.
pub fn print(report: &Value) {
    println!(
        "{:<13}{:>10}{:>9}{:>12}{:>12}{:>12}",
        "µs/request", "resources", "", "cpu", "added cpu", "added p50"
    );
    for case in Case::ALL {
        for size in SIZES {
            for variant in Variant::ALL {
                let place = format!("/cases/{}/resources/{size}/{}", case.name(), variant.name());
                let figure = |name: &str| {
                    let value = report.pointer(&format!("{place}/{name}"));
                    value.and_then(Value::as_f64).map_or("–".to_owned(), |v| format!("{v:.1}"))
                };
                println!(
                    "{:<13}{size:>10}{:>9}{:>12}{:>12}{:>12}",
                    case.name(),
                    variant.name(),
                    figure("cpu"),
                    figure("added_cpu"),
                    figure("added_p50"),
                );
            }
        }
    }
    let of = |name: &str| {
        let value = report.pointer(&format!("/filter_minus_lua_cpu/{name}"));
        value.and_then(Value::as_f64).unwrap_or(f64::NAN)
    };
    println!(
        "the filter against Lua, all cases: {:+.1} µs (95% confidence: {:+.1} to {:+.1})",
        of("median"),
        of("low"),
        of("high"),
    );
}
