//! Figures from samples.

use harness::measure::median;
use serde_json::{Map, Value, json};

use super::bootstrap::{Case, SIZES, Variant};
use super::load::Sample;

type Measured = (Case, Variant, usize, Sample);

/// Returns all figures, in microseconds per request unless they say otherwise.
pub fn report(samples: &[Measured], variants: &[Variant], rounds: usize, requests: usize) -> Value {
    let mut cases = Map::new();
    for case in Case::ALL {
        let mut sizes = Map::new();
        for size in SIZES {
            sizes.insert(size.to_string(), at_size(samples, variants, case, size));
        }
        let growth = rounded(growth_percent(samples, case));
        cases.insert(
            case.name().into(),
            json!({ "resources": sizes, "filter_5000_over_100_percent": growth }),
        );
    }
    let mut report = json!({
        "unit": "microseconds per request; medians over the rounds, with 95% confidence intervals",
        "rounds": rounds,
        "requests_per_measurement": requests,
        "cases": cases,
    });
    if let Some(report) = report.as_object_mut() {
        for other in compared(variants) {
            let everywhere = Case::ALL.into_iter().flat_map(|case| SIZES.map(|size| (case, size)));
            let all = everywhere.flat_map(|(case, size)| filter_minus(samples, other, case, size));
            report.insert(minus_name(other), interval(all.collect()));
        }
    }
    report
}

/// Returns the variants that the filter is compared with, pair by pair.
fn compared(variants: &[Variant]) -> impl Iterator<Item = Variant> {
    [Variant::Lua, Variant::Baseline, Variant::Shared, Variant::Versions]
        .into_iter()
        .filter(|variant| variants.contains(variant))
}

fn minus_name(other: Variant) -> String {
    format!("filter_minus_{}_cpu", other.name())
}

/// Returns how much more CPU the filter costs than another variant, in each
/// round.
fn filter_minus(samples: &[Measured], other: Variant, case: Case, size: usize) -> Vec<f64> {
    differences(samples, case, (Variant::Filter, size), (other, size), |s| s.cpu)
}

fn at_size(samples: &[Measured], variants: &[Variant], case: Case, size: usize) -> Value {
    let mut figures = Map::new();
    for &variant in variants {
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
    for other in compared(variants) {
        let differences = filter_minus(samples, other, case, size);
        figures.insert(minus_name(other), interval(differences));
    }
    Value::Object(figures)
}

/// Returns what a variant adds to plain Envoy, as the median of the rounds'
/// differences.
fn added(
    samples: &[Measured],
    case: Case,
    variant: Variant,
    size: usize,
    field: fn(&Sample) -> f64,
) -> f64 {
    median(differences(samples, case, (variant, size), (Variant::Plain, size), field))
}

/// Returns by how many percent Envoy's CPU per request is higher with 5,000
/// resources than with 100.
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

/// Returns one value for each round, in order.
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

/// Returns the median and its 95% confidence interval, by the ranks of a
/// binomial distribution, which assumes nothing about the noise.
fn interval(mut values: Vec<f64>) -> Value {
    values.sort_by(f64::total_cmp);
    let count = values.len();
    // 1.96 standard deviations of the number of values below the median.
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

/// Prints the table.
pub fn print(report: &Value, variants: &[Variant]) {
    println!(
        "{:<13}{:>10}{:>10}{:>12}{:>12}{:>12}  filter compared with it",
        "µs/request", "resources", "", "cpu", "added cpu", "added p50"
    );
    for case in Case::ALL {
        for size in SIZES {
            let place = format!("/cases/{}/resources/{size}", case.name());
            for &variant in variants {
                let figure = |name: &str| {
                    let value = report.pointer(&format!("{place}/{}/{name}", variant.name()));
                    value.and_then(Value::as_f64).map_or("–".to_owned(), |v| format!("{v:.1}"))
                };
                println!(
                    "{:<13}{size:>10}{:>10}{:>12}{:>12}{:>12}  {}",
                    case.name(),
                    variant.name(),
                    figure("cpu"),
                    figure("added_cpu"),
                    figure("added_p50"),
                    shown(report.pointer(&format!("{place}/{}", minus_name(variant)))),
                );
            }
        }
    }
    for other in compared(variants) {
        let all = shown(report.get(minus_name(other)));
        println!("the filter compared with {}, all cases: {all}", other.name());
    }
}

/// Returns an interval for the table; nothing if there is none.
fn shown(interval: Option<&Value>) -> String {
    let Some(interval) = interval else { return String::new() };
    let of = |name: &str| interval.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN);
    format!("{:+.2} µs cpu (95%: {:+.2} to {:+.2})", of("median"), of("low"), of("high"))
}
