//! The factors and the running statistics, and what costs of the order of `D d²`.

use thalweg_kernels::matrix::{Matrix, Work, multiply};

use super::inverse::InverseUpkeep;
use super::linear::{Buffers, add, dot, identity, inverse, product};

/// Rows of V that are worked on at once.
pub(super) const BLOCK: usize = 1024;

/// `W = V U + 1 ωᵀ`, with `Q = Wᵀ W`, `w̄ = Wᵀ 1` and `U⁻¹` beside it. Matrices are row-major.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct State {
    pub classes: usize,
    pub width: usize,
    /// V `[D, d]`.
    pub v: Vec<f64>,
    /// U `[d, d]`.
    pub u: Vec<f64>,
    /// `U⁻¹` `[d, d]`, where it is kept.
    pub u_inverse: Option<Vec<f64>>,
    /// ω `[d]`.
    pub omega: Vec<f64>,
    /// Q `[d, d]`.
    pub gram: Vec<f64>,
    /// w̄ `[d]`.
    pub row_sum: Vec<f64>,
    pub steps: u64,
    pub unfactorisations: u64,
}

/// How far running statistics are from what the factors say, each relative to the largest element of the latter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drift {
    /// Of `Q` from `Wᵀ W`.
    pub gram: f64,
    /// Of `w̄` from `Wᵀ 1`; relative to the square root of D times the largest element of `Wᵀ W`, which bounds it.
    pub row_sum: f64,
    /// Of `U U⁻¹` from the identity; 0 where no inverse is kept.
    pub inverse: f64,
}

impl State {
    /// `U = I`, `ω = 0`, `V = W`.
    ///
    /// # Panics
    /// When the weights are not `classes·width`.
    pub fn new(weights: Vec<f64>, classes: usize, width: usize, upkeep: InverseUpkeep) -> Self {
        assert_eq!(
            weights.len(),
            classes * width,
            "weights of {classes} classes and width {width}"
        );
        let mut state = Self {
            classes,
            width,
            v: weights,
            u: identity(width),
            u_inverse: upkeep.keeps_inverse().then(|| identity(width)),
            omega: vec![0.0; width],
            gram: Vec::new(),
            row_sum: Vec::new(),
            steps: 0,
            unfactorisations: 0,
        };
        (state.gram, state.row_sum) = state.statistics();
        state
    }

    /// `rows·U + 1 ωᵀ` into `out`.
    fn weights_of(&self, rows: &[f64], out: &mut Vec<f64>) {
        out.resize(rows.len(), 0.0);
        let count = rows.len() / self.width;
        let (rows, u) = (
            Matrix::new(rows, count, self.width),
            Matrix::new(&self.u, self.width, self.width),
        );
        multiply(Work::Shared, out, 0.0, 1.0, rows, u);
        out.chunks_exact_mut(self.width)
            .for_each(|row| add(row, 1.0, &self.omega));
    }

    pub fn weights(&self) -> Vec<f64> {
        let (mut weights, mut block) = (Vec::with_capacity(self.v.len()), Vec::new());
        for rows in self.v.chunks(BLOCK * self.width) {
            self.weights_of(rows, &mut block);
            weights.extend_from_slice(&block);
        }
        weights
    }

    /// `Wᵀ W` and `Wᵀ 1` of the factors, a block of W at a time.
    fn statistics(&self) -> (Vec<f64>, Vec<f64>) {
        let d = self.width;
        let (mut gram, mut row_sum) = (vec![0.0; d * d], vec![0.0; d]);
        let mut block = Vec::new();
        for rows in self.v.chunks(BLOCK * d) {
            self.weights_of(rows, &mut block);
            let weights = Matrix::new(&block, block.len() / d, d);
            multiply(Work::Shared, &mut gram, 1.0, 1.0, weights.transposed(), weights);
            block.chunks_exact(d).for_each(|row| add(&mut row_sum, 1.0, row));
        }
        (gram, row_sum)
    }

    pub fn drift(&self) -> Drift {
        let (gram, row_sum) = self.statistics();
        let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0_f64, |a, b| a.max(b.abs()));
        let apart = |a: &[f64], b: &[f64]| largest(&mut a.iter().zip(b).map(|(a, b)| a - b));
        let size = largest(&mut gram.iter().copied());
        let inverse = self.u_inverse.as_ref().map_or(0.0, |inverse| {
            let d = self.width;
            let unit = product(Matrix::new(&self.u, d, d), Matrix::new(inverse, d, d), d, d);
            apart(&unit, &identity(d))
        });
        Drift {
            gram: apart(&self.gram, &gram) / size,
            row_sum: apart(&self.row_sum, &row_sum) / (self.classes as f64 * size).sqrt(),
            inverse,
        }
    }

    pub fn refresh(&mut self) {
        (self.gram, self.row_sum) = self.statistics();
        self.refresh_inverse();
    }

    /// `U⁻¹` anew from U, where it is kept. A U that has none is multiplied into V.
    pub fn refresh_inverse(&mut self) {
        if self.u_inverse.is_some() {
            match inverse(&self.u, self.width) {
                Some(inverse) => self.u_inverse = Some(inverse),
                None => self.unfactorise(),
            }
        }
    }

    /// `V ← W`, `U ← I`, `ω ← 0`.
    pub fn unfactorise(&mut self) {
        let mut v = std::mem::take(&mut self.v);
        let mut block = Vec::new();
        for rows in v.chunks_mut(BLOCK * self.width) {
            self.weights_of(rows, &mut block);
            rows.copy_from_slice(&block);
        }
        self.v = v;
        self.u = identity(self.width);
        if let Some(inverse) = &mut self.u_inverse {
            inverse.clone_from(&self.u);
        }
        self.omega.fill(0.0);
        self.unfactorisations += 1;
    }

    /// Row `class` of V.
    pub fn row(&self, class: u32) -> &[f64] {
        let start = class as usize * self.width;
        &self.v[start..start + self.width]
    }

    pub fn row_mut(&mut self, class: u32) -> &mut [f64] {
        let start = class as usize * self.width;
        &mut self.v[start..start + self.width]
    }

    /// `H Uᵀ` `[samples, d]` and `H ω` `[samples]`, by which a class's score is `⟨(H Uᵀ)_i, V_c⟩ + ⟨h_i, ω⟩`.
    pub fn turned(&self, hidden: &[f64], buffers: &Buffers) -> (Vec<f64>, Vec<f64>) {
        let (d, samples) = (self.width, hidden.len() / self.width);
        let u = Matrix::new(&self.u, d, d).transposed();
        let turned = buffers.product(Matrix::new(hidden, samples, d), u, samples, d);
        let shifts = hidden.chunks_exact(d).map(|h| dot(h, &self.omega)).collect();
        (turned, shifts)
    }
}
