//! When a term is active: strictly between two points of training.

use serde::{Deserialize, Serialize};

use crate::ConfigError;
use crate::config::require;

/// A point of training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Moment {
    /// An epoch, counted from 0; -1 is before all of them.
    Epoch(i64),
    /// A share of all epochs, in `[0, 1]`: 1 is after all of them.
    Share(f64),
}

impl Moment {
    /// The epoch it is in training of so many epochs; a share may lie between two.
    pub fn at(self, epochs: usize) -> f64 {
        match self {
            Self::Epoch(epoch) => epoch as f64,
            Self::Share(share) => share * epochs as f64,
        }
    }

    fn checked(self, objective: &'static str, parameter: &'static str) -> Result<Self, ConfigError> {
        if let Self::Share(share) = self {
            require(objective, parameter, share, "a share from 0 to 1", |share| {
                (0.0..=1.0).contains(&share)
            })?;
        }
        Ok(self)
    }
}

/// The epochs strictly after `start` and strictly before `end`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Starts after it.
    pub start: Moment,
    /// Ends before it.
    pub end: Moment,
}

impl Window {
    /// Whether the epoch, counted from 0 in training of `epochs`, is in it.
    pub fn holds(&self, epoch: usize, epochs: usize) -> bool {
        let epoch = epoch as f64;
        self.start.at(epochs) < epoch && epoch < self.end.at(epochs)
    }

    pub(super) fn checked(self, objective: &'static str) -> Result<Self, ConfigError> {
        Ok(Self {
            start: self.start.checked(objective, "start")?,
            end: self.end.checked(objective, "end")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn active(start: Moment, end: Moment, epochs: usize) -> Vec<usize> {
        let window = Window { start, end };
        (0..epochs).filter(|&epoch| window.holds(epoch, epochs)).collect()
    }

    #[test]
    fn both_ends_are_outside() {
        assert_eq!(active(Moment::Epoch(2), Moment::Epoch(5), 9), [3, 4]);
        assert_eq!(active(Moment::Epoch(-1), Moment::Share(1.0), 3), [0, 1, 2]);
        assert_eq!(
            active(Moment::Share(0.3), Moment::Share(1.0), 10),
            [4, 5, 6, 7, 8, 9]
        );
        assert_eq!(active(Moment::Share(0.35), Moment::Share(0.65), 10), [4, 5, 6]);
        assert_eq!(active(Moment::Epoch(5), Moment::Epoch(5), 9), [0; 0]);
    }

    #[test]
    fn shares_are_of_a_whole() {
        for share in [-0.1, 1.1, f64::NAN] {
            let window = Window {
                start: Moment::Share(share),
                end: Moment::Share(1.0),
            };
            assert!(window.checked("saf").is_err());
        }
    }
}
