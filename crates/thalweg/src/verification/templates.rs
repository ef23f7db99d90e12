//! One embedding for all pictures of an identity in a gallery: the mean over the frames of each medium, summed over media and
//! brought to length 1, so that a long video does not outweigh a photograph.
//!
//! Source: Whitelam and others, "IARPA Janus Benchmark-B face dataset", CVPR workshops 2017; the evaluation that face
//! recognition papers share.

use std::collections::BTreeMap;

use super::error::{Problem, VerificationError};
use super::units::Units;

/// Templates in the order of their numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Templates {
    /// Their numbers.
    pub ids: Vec<u32>,
    /// Unit embeddings `[templates, width]`.
    pub embeddings: Vec<f64>,
}

impl Templates {
    /// Of embeddings `[pictures, width]`, each of a medium and for a template.
    ///
    /// # Errors
    /// When there are no pictures, numbers are missing, or a template has no direction.
    pub fn pooled(
        embeddings: &[f64],
        width: usize,
        media: &[u32],
        templates: &[u32],
    ) -> Result<Self, VerificationError> {
        if width == 0 || embeddings.is_empty() {
            return Err(VerificationError::new("embeddings", Problem::Empty));
        }
        let expected = embeddings.len() / width;
        for (input, found) in [("media", media.len()), ("templates", templates.len())] {
            if found != expected {
                return Err(VerificationError::new(input, Problem::Count { found, expected }));
            }
        }
        let mut frames: BTreeMap<(u32, u32), (f64, Vec<f64>)> = BTreeMap::new();
        let rows = embeddings.chunks_exact(width).zip(templates.iter().zip(media));
        for (row, (&template, &medium)) in rows {
            let (count, sum) = frames
                .entry((template, medium))
                .or_insert_with(|| (0.0, vec![0.0; width]));
            *count += 1.0;
            sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
        let (mut ids, mut sums) = (Vec::new(), Vec::new());
        for ((template, _), (count, sum)) in frames {
            if ids.last() != Some(&template) {
                ids.push(template);
                sums.resize(sums.len() + width, 0.0);
            }
            let start = sums.len() - width;
            let total = sums[start..].iter_mut().zip(sum);
            total.for_each(|(total, sum)| *total += sum / count);
        }
        let units = Units::of("templates", &sums, width)?;
        Ok(Self {
            ids,
            embeddings: units.rows,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_averaged_and_media_summed() {
        // Template 5: a video of two frames, mean (1, 1), and a photograph (2, 3); template 2: one picture.
        let embeddings = [2.0, 0.0, 2.0, 3.0, 0.0, 2.0, 0.0, -4.0];
        let found = Templates::pooled(&embeddings, 2, &[7, 1, 7, 9], &[5, 5, 5, 2]).unwrap();
        assert_eq!(found.ids, [2, 5]);
        for (found, expected) in found.embeddings.iter().zip([0.0, -1.0, 0.6, 0.8]) {
            assert!((found - expected).abs() < 1e-15);
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let error = Templates::pooled(&[1.0, 0.0], 2, &[0], &[0, 1]).unwrap_err();
        assert_eq!(error.to_string(), "templates: has 2 entries; there are 1");
        let error = Templates::pooled(&[1.0, 0.0, -1.0, 0.0], 2, &[0, 1], &[3, 3]).unwrap_err();
        assert!(error.to_string().contains("no direction"));
    }
}
