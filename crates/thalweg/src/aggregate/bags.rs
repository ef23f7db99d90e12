//! Bags: which samples share a mean, in any order and of any sizes.

use crate::quantity::{Case, Outputs, Quantity, QuantityError};

/// The bag of each of `n` samples, as a number in `0..m`; every bag has a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bags {
    index: Vec<usize>,
    sizes: Vec<usize>,
}

/// Why numbers are not those of bags.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BagError {
    /// Samples are needed.
    #[error("there are no samples")]
    NoSamples,
    /// A number between 0 and the largest that no sample has.
    #[error("bag {bag} of {bags} has no sample")]
    Empty {
        /// The bag.
        bag: usize,
        /// How many there would be.
        bags: usize,
    },
}

impl Bags {
    /// Bags by their number for each sample; as many bags as the largest number says.
    ///
    /// # Errors
    /// When there are no samples or a bag is empty.
    pub fn new(index: Vec<usize>) -> Result<Self, BagError> {
        let last = *index.iter().max().ok_or(BagError::NoSamples)?;
        // More bags than samples leave one empty, whatever memory the largest number would ask for.
        let bags = last.saturating_add(1);
        let mut sizes = vec![0; bags.min(index.len() + 1)];
        for &bag in &index {
            if let Some(size) = sizes.get_mut(bag) {
                *size += 1;
            }
        }
        match sizes.iter().position(|&size| size == 0) {
            Some(bag) => Err(BagError::Empty { bag, bags }),
            None => Ok(Self { index, sizes }),
        }
    }

    /// The number of bags m.
    pub fn len(&self) -> usize {
        self.sizes.len()
    }

    /// Never: there is a sample, and so a bag.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The number of samples n.
    pub fn samples(&self) -> usize {
        self.index.len()
    }

    /// The bag of each sample.
    pub fn index(&self) -> &[usize] {
        &self.index
    }

    /// The samples of each bag.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// Means over the bags `[m, width]` of rows `[n, width]`.
    ///
    /// # Panics
    /// When there are not `n` rows.
    pub fn means(&self, rows: &[f64], width: usize) -> Vec<f64> {
        assert_eq!(
            rows.len(),
            self.samples() * width,
            "a row is needed for each sample"
        );
        let mut means = vec![0.0; self.len() * width];
        for (row, &bag) in rows.chunks_exact(width).zip(&self.index) {
            for (mean, value) in means[bag * width..][..width].iter_mut().zip(row) {
                *mean += value / self.sizes[bag] as f64;
            }
        }
        means
    }
}

/// The bags of the input `bag_index`.
///
/// # Errors
/// When it holds no bag numbers, or a bag up to the largest is empty.
pub(super) fn of_case(case: &Case) -> Result<Bags, QuantityError> {
    case.not_empty("bag_index")?;
    let index = case.class_indices("bag_index", case.array("bag_index").data.len())?;
    Bags::new(index).or_else(|error| case.refuse_input("bag_index", error.to_string()))
}

/// The bags of the input `bag_index`, as many as `bag_means` has rows.
///
/// # Errors
/// As [`of_case`], and when there are more or fewer.
pub(super) fn with_means(case: &Case) -> Result<Bags, QuantityError> {
    let bags = of_case(case)?;
    let means = case.array("bag_means").shape[0];
    if bags.len() != means {
        let problem = format!("names {} bags, and `bag_means` has {means}", bags.len());
        return case.refuse_input("bag_index", problem);
    }
    Ok(bags)
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new("bag_aggregate", "mean response and size of each bag")
            .input("responses", "[n]")
            .input("bag_index", "[n]")
            .with_example("bag_index", vec![1.0, 0.0, 1.0])
            .eval(|case| {
                let bags = of_case(case)?;
                let sizes: Vec<f64> = bags.sizes().iter().map(|&size| size as f64).collect();
                Ok(Outputs::new()
                    .with("bag_means", bags.means(&case.array("responses").data, 1))
                    .with("bag_sizes", sizes))
            }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bags_may_come_in_any_order_but_not_empty() {
        let bags = Bags::new(vec![2, 0, 2, 1]).unwrap();
        assert_eq!(bags.sizes(), [1, 1, 2]);
        let means = bags.means(&[1.0, 10.0, 2.0, 20.0, 3.0, 30.0, 4.0, 40.0], 2);
        assert_eq!(means, [2.0, 20.0, 4.0, 40.0, 2.0, 20.0]);
        assert_eq!(Bags::new(vec![0, 2]), Err(BagError::Empty { bag: 1, bags: 3 }));
        assert_eq!(
            Bags::new(vec![usize::MAX - 1]),
            Err(BagError::Empty {
                bag: 0,
                bags: usize::MAX
            })
        );
        assert_eq!(Bags::new(Vec::new()), Err(BagError::NoSamples));
    }
}
