//! From numbers to places: a linear scale with ticks at round numbers.

/// A stretch of the number line, with its ticks.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    low: f64,
    high: f64,
    ticks: Vec<f64>,
}

impl Scale {
    /// From round number to round number around all finite `values`, with about `ticks` steps.
    pub fn around(values: impl IntoIterator<Item = f64>, ticks: usize) -> Self {
        let (low, high) = range(values);
        let step = round_step((high - low) / ticks as f64);
        // The slack keeps a value that is a tick up to rounding from adding a whole step.
        let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
        Self::stepped(first * step, last * step, step)
    }

    /// Exactly from `low` to `high`, ticks at the round numbers between.
    pub fn between(low: f64, high: f64, ticks: usize) -> Self {
        Self::stepped(low, high, round_step((high - low) / ticks as f64))
    }

    /// Whole numbers from `low` to `high`, ticks at round ones.
    pub fn counting(low: usize, high: usize, ticks: usize) -> Self {
        let (low, high) = (low as f64, high as f64);
        if high <= low {
            return Self {
                low: low - 0.5,
                high: low + 0.5,
                ticks: vec![low],
            };
        }
        let step = round_step((high - low) / ticks as f64).max(1.0);
        Self::stepped(low, high, if step == 2.5 { 5.0 } else { step })
    }

    /// A tick at each of `values`, which rise, and a little room on both sides.
    pub fn at(values: Vec<f64>) -> Self {
        let (low, high) = range(values.iter().copied());
        let room = 0.04 * (high - low);
        Self {
            low: low - room,
            high: high + room,
            ticks: values,
        }
    }

    fn stepped(low: f64, high: f64, step: f64) -> Self {
        let first = (low / step - 1e-9).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        Self {
            low,
            high,
            ticks: (first..=last).map(|i| i as f64 * step).collect(),
        }
    }

    /// Where `value` falls when `low` is put at `from` and `high` at `to`.
    pub fn place(&self, value: f64, from: f64, to: f64) -> f64 {
        from + (value - self.low) / (self.high - self.low) * (to - from)
    }

    /// The ticks with their labels, all with equally many decimals.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let largest = self.ticks.iter().fold(0.0_f64, |max, tick| max.max(tick.abs()));
        let is_whole = |tick: f64, decimals: i32| {
            let shifted = tick * 10_f64.powi(decimals);
            (shifted - shifted.round()).abs() < 1e-6
        };
        let decimals = (0..8)
            .find(|&d| self.ticks.iter().all(|&tick| is_whole(tick, d)))
            .unwrap_or(8);
        self.ticks
            .iter()
            .map(|&tick| {
                let label = if largest >= 1e5 || decimals > 5 {
                    format!("{tick:e}")
                } else {
                    format!("{:.*}", decimals as usize, tick)
                };
                (tick, label.replace('-', "−"))
            })
            .collect()
    }
}

/// The range of the finite values, never empty.
fn range(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .into_iter()
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
    if low > high {
        (0.0, 1.0)
    } else if high - low <= 1e-9 * high.abs().max(low.abs()) {
        let room = if high == 0.0 { 1.0 } else { 0.1 * high.abs() };
        (low - room, high + room)
    } else {
        (low, high)
    }
}

/// The smallest of 1, 2, 2.5, 5 times a power of ten that is not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|&round| round >= step * (1.0 - 1e-9))
        .unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: &Scale) -> Vec<String> {
        scale.ticks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_and_surround_the_values() {
        assert_eq!(
            labels(&Scale::around([0.13, 0.87, f64::NAN], 4)),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(labels(&Scale::around([-3.0, 8.0], 4)), ["−5", "0", "5", "10"]);
        assert_eq!(
            labels(&Scale::around([0.0, 100.0], 4)),
            ["0", "25", "50", "75", "100"]
        );
        assert_eq!(
            labels(&Scale::around([0.0, 2e6], 4)),
            ["0e0", "5e5", "1e6", "1.5e6", "2e6"]
        );
        assert_eq!(labels(&Scale::counting(1, 30, 5)), ["10", "20", "30"]);
        assert_eq!(labels(&Scale::counting(16, 30, 6)), ["20", "25", "30"]);
        assert_eq!(labels(&Scale::counting(1, 1, 5)), ["1"]);
    }

    #[test]
    fn places_are_linear() {
        let scale = Scale::between(-1.0, 3.0, 4);
        assert_eq!(scale.place(-1.0, 40.0, 0.0), 40.0);
        assert_eq!(scale.place(3.0, 40.0, 0.0), 0.0);
        assert_eq!(scale.place(0.0, 40.0, 0.0), 30.0);
    }

    #[test]
    fn degenerate_values_still_have_a_scale() {
        for values in [vec![], vec![f64::NAN], vec![0.0], vec![7.5, 7.5], vec![-2.0]] {
            let scale = Scale::around(values.clone(), 4);
            assert!(
                scale.low < scale.high && scale.ticks.len() >= 2,
                "{values:?}: {scale:?}"
            );
            assert!(scale.ticks.len() < 20);
        }
    }
}
