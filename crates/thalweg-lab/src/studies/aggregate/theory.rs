//! Parts A to D: risks against the formulas, the best interpolation, the turning point, private bag sizes.

use thalweg::aggregate::{
    Estimator, LabelPrivacy, Setting, bag_instance_snr_threshold, optimal_interpolation,
};

use super::simulation::Problem;
use crate::LabError;
use crate::pool::Pool;
use crate::statistics::{Paired, paired, summary};
use crate::study::{Advance, Claim, Scale, Table, Verdict, Weight};

const PSIS: [f64; 4] = [0.25, 0.3, 0.5, 1.6];
const BAG_SIZES: [usize; 4] = [2, 3, 4, 5];
const RHOS: [f64; 5] = [0.0, 0.2, 0.3, 0.5, 1.0];
/// Standard errors, and share of the theory, within which a simulated mean agrees.
const AGREEMENT: (f64, f64) = (4.0, 0.03);
/// Where parts B and C look.
const PSI: f64 = 0.2;
const BAG_SIZE: usize = 3;
/// Part D: little noise but for the mechanism's, labels seldom clipped.
const PRIVATE: Setting = Setting {
    psi: 0.05,
    bag_size: 1.0,
    signal: 1.0,
    noise_variance: 0.5,
};
const PRIVACY: LabelPrivacy = LabelPrivacy {
    epsilon: 2.0,
    clip: 4.0,
};
const PRIVATE_SIZES: usize = 12;
/// Simulations of parts B to D.
const RUNS: usize = 50;

fn setting(psi: f64, bag_size: usize, signal: f64) -> Setting {
    Setting {
        psi,
        bag_size: bag_size as f64,
        signal,
        noise_variance: 1.0,
    }
}

fn runs(scale: &Scale) -> usize {
    scale.pick(RUNS, 3)
}

pub(super) fn steps(scale: &Scale) -> usize {
    PSIS.len() * BAG_SIZES.len() * scale.seeds() + 4 * runs(scale)
}

pub(super) fn run(
    scale: &Scale,
    pool: &Pool,
    advance: &Advance,
) -> Result<(Vec<Table>, Vec<Claim>), LabError> {
    let (risks, agreement) = against_theory(scale, pool, advance)?;
    let (order, claims) = interpolation_and_turning_point(scale, pool, advance)?;
    let (sizes, private) = private_bag_sizes(scale, pool, advance)?;
    Ok((
        vec![risks, order, sizes],
        [vec![agreement], claims, vec![private]].concat(),
    ))
}

fn theory(setting: Setting, rho: f64) -> f64 {
    setting.risk(rho).expect("the setting is in its range").risk()
}

/// Part A.
fn against_theory(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<(Table, Claim), LabError> {
    let cells: Vec<(f64, usize)> = PSIS
        .into_iter()
        .flat_map(|psi| BAG_SIZES.into_iter().map(move |size| (psi, size)))
        .collect();
    let seeds = scale.seeds();
    let errors = pool.map(cells.len() * seeds, |index| {
        let ((psi, size), seed) = (cells[index / seeds], (index % seeds) as u64);
        let mut problem = Problem::draw(setting(psi, size, 1.0), seed);
        let estimators = problem.in_bags(size, None);
        let errors = RHOS.map(|rho| {
            // At kψ = 1 the bag level diverges: there is nothing to agree with.
            if theory(setting(psi, size, 1.0), rho).is_finite() {
                estimators.error(rho)
            } else {
                f64::NAN
            }
        });
        advance(1);
        errors
    })?;
    let mut rows = Vec::new();
    let (mut compared, mut agreeing, mut worst) = (0, 0, 0.0_f64);
    for (&(psi, size), errors) in cells.iter().zip(errors.chunks(seeds)) {
        let mut row = vec![format!("{psi}"), size.to_string()];
        for (at, rho) in RHOS.into_iter().enumerate() {
            let expected = theory(setting(psi, size, 1.0), rho);
            if !expected.is_finite() {
                row.push("diverges".to_owned());
                continue;
            }
            let values: Vec<f64> = errors.iter().map(|errors| errors[at]).collect();
            let mean = summary(&values).mean;
            let spread = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
            let standard_error = (spread / (seeds * (seeds - 1)) as f64).sqrt();
            let allowed = AGREEMENT.0 * standard_error + AGREEMENT.1 * expected;
            compared += 1;
            agreeing += usize::from((mean - expected).abs() < allowed);
            worst = worst.max((mean - expected).abs() / allowed);
            row.push(format!("{mean:.2} / {expected:.2}"));
        }
        rows.push(row);
    }
    let heads = RHOS.map(|rho| format!("ρ = {rho}"));
    let table = Table {
        title: format!("A. Excess risk, n = 600, r² = σ² = 1: mean of {seeds} simulations / theory"),
        columns: [vec!["ψ".to_owned(), "k".to_owned()], heads.to_vec()].concat(),
        rows,
    };
    let claim = Claim {
        text: "simulated risks agree with the asymptotic formulas".to_owned(),
        criterion: "every mean within 4 standard errors and 3% of the theory".to_owned(),
        evidence: format!("{agreeing} of {compared} cells, the worst at {worst:.2} of what is allowed"),
        verdict: Some(if agreeing == compared {
            Verdict::Holds
        } else {
            Verdict::DoesNotHold
        }),
        weight: Weight::Decisive,
    };
    Ok((table, claim))
}

/// Parts B and C.
fn interpolation_and_turning_point(
    scale: &Scale,
    pool: &Pool,
    advance: &Advance,
) -> Result<(Table, Vec<Claim>), LabError> {
    let known = |error| LabError::from(thalweg::objective::BuildError::from(error));
    let even = setting(PSI, BAG_SIZE, 1.0);
    let (best, _) = optimal_interpolation(even).map_err(known)?;
    let threshold = bag_instance_snr_threshold(PSI, BAG_SIZE as f64).map_err(known)?;
    let simulate = |setting: Setting| {
        pool.map(runs(scale), |run| {
            let mut problem = Problem::draw(setting, 1000 + run as u64);
            let estimators = problem.in_bags(BAG_SIZE, None);
            advance(1);
            [0.0, 1.0, best].map(|rho| estimators.error(rho))
        })
    };
    let column = |errors: &[[f64; 3]], at: usize| -> Vec<f64> { errors.iter().map(|e| e[at]).collect() };
    let difference = |errors: &[[f64; 3]], a: usize, b: usize| paired(&column(errors, a), &column(errors, b));
    let mut rows = Vec::new();
    let mut add = |name: String, setting: Setting, errors: &[[f64; 3]]| {
        let cells = [0.0, 1.0, best].into_iter().enumerate().map(|(at, rho)| {
            format!(
                "{:.3} / {:.3}",
                summary(&column(errors, at)).mean,
                theory(setting, rho)
            )
        });
        rows.push(std::iter::once(name).chain(cells).collect());
    };
    let at_even = simulate(even)?;
    add("1".to_owned(), even, &at_even);
    let mut flips = Vec::new();
    for factor in [0.5, 2.0] {
        let setting = setting(PSI, BAG_SIZE, factor * threshold);
        let errors = simulate(setting)?;
        add(
            format!("{:.3} = {factor} × threshold", factor * threshold),
            setting,
            &errors,
        );
        flips.push(difference(&errors, 0, 1));
    }
    let below_both = [difference(&at_even, 2, 0), difference(&at_even, 2, 1)];
    let claims = vec![
        Claim {
            text: format!(
                "interpolating at the best ρ = {best:.3} beats bag and instance level (ψ = 0.2, k = 3)"
            ),
            criterion: "95% intervals of both paired differences below 0".to_owned(),
            evidence: format!(
                "minus bag {}; minus instance {}",
                interval(&below_both[0]),
                interval(&below_both[1])
            ),
            verdict: Some(Verdict::of_all(below_both.iter().map(below_zero))),
            weight: Weight::Decisive,
        },
        Claim {
            text: format!("bag level beats instance level above r²/σ² = {threshold:.3}, and not below"),
            criterion: "95% intervals of bag minus instance above 0 at half of it, below 0 at twice"
                .to_owned(),
            evidence: format!(
                "{} at half, {} at twice",
                interval(&flips[0]),
                interval(&flips[1])
            ),
            verdict: Some(Verdict::of_all([
                Verdict::above_zero(&flips[0]),
                below_zero(&flips[1]),
            ])),
            weight: Weight::Supporting,
        },
    ];
    let table = Table {
        title: format!(
            "B, C. Excess risk at ψ = 0.2, k = 3: mean of {} simulations / theory",
            runs(scale)
        ),
        columns: ["r²/σ²", "bag", "instance", "interpolating"]
            .map(str::to_owned)
            .to_vec(),
        rows,
    };
    Ok((table, claims))
}

fn below_zero(difference: &Paired) -> Verdict {
    Verdict::above_zero(&Paired {
        mean: -difference.mean,
        low: -difference.high,
        high: -difference.low,
        p: difference.p,
    })
}

fn interval(difference: &Paired) -> String {
    let Paired { mean, low, high, .. } = difference;
    format!("{mean:+.3} [{low:+.3}, {high:+.3}]").replace('-', "−")
}

/// Part D.
fn private_bag_sizes(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<(Table, Claim), LabError> {
    let sizes: Vec<usize> = (1..=PRIVATE_SIZES).collect();
    let expected = PRIVACY
        .risks(Estimator::Instance, PRIVATE, &sizes)
        .map_err(thalweg::objective::BuildError::from)?;
    let errors = pool.map(runs(scale), |run| {
        let mut problem = Problem::draw(PRIVATE, 2000 + run as u64);
        let errors: Vec<f64> = sizes
            .iter()
            .map(|&size| problem.in_bags(size, Some(PRIVACY)).error(1.0))
            .collect();
        advance(1);
        errors
    })?;
    let simulated: Vec<f64> = (0..sizes.len())
        .map(|at| summary(&errors.iter().map(|errors| errors[at]).collect::<Vec<_>>()).mean)
        .collect();
    let least =
        |risks: &[f64]| (1..risks.len()).fold(0, |best, at| if risks[at] < risks[best] { at } else { best });
    let (by_theory, by_simulation) = (sizes[least(&expected)], sizes[least(&simulated)]);
    let rows = sizes.iter().zip(simulated.iter().zip(&expected));
    let table = Table {
        title: format!(
            "D. Excess risk of the instance level under label privacy (ε = 2, labels clipped to ±4, ψ = 0.05): mean of {} \
             simulations, theory",
            runs(scale)
        ),
        columns: ["k", "simulated", "theory"].map(str::to_owned).to_vec(),
        rows: rows
            .map(|(size, (simulated, expected))| {
                vec![
                    size.to_string(),
                    format!("{simulated:.3}"),
                    format!("{expected:.3}"),
                ]
            })
            .collect(),
    };
    let claim = Claim {
        text: "theory and simulation agree on the best private bag size".to_owned(),
        criterion: "sizes of least risk differ by at most 1".to_owned(),
        evidence: format!("{by_theory} by theory, {by_simulation} by simulation"),
        verdict: Some(if by_theory.abs_diff(by_simulation) <= 1 {
            Verdict::Holds
        } else {
            Verdict::DoesNotHold
        }),
        weight: Weight::Supporting,
    };
    Ok((table, claim))
}
