use burn::tensor::{DType, Device, TensorData};
use proptest::prelude::*;
use thalweg_kernels::random::Stream;

use super::*;

fn logits(rows: usize, classes: usize, seed: u64, dtype: DType) -> Tensor<2> {
    let mut values = vec![0.0; rows * classes];
    Stream::new(seed, "logits", 0).fill_uniform(-30.0, 30.0, &mut values);
    Tensor::from_data(TensorData::new(values, [rows, classes]), (&Device::flex(), dtype))
}

fn values(tensor: &Tensor<2>) -> Vec<f64> {
    tensor.to_data().try_into_vec_as::<f64>().unwrap()
}

/// What the history recalls of a sample in an epoch.
fn recalled(history: &OutputHistory, epoch: usize, id: usize, classes: usize) -> Option<Vec<f64>> {
    let mut out = vec![f64::NAN; classes];
    history.recalled(epoch, &[id]).read(0, &mut out).then_some(out)
}

fn probabilities(row: &[f64], temperature: f64) -> Vec<f64> {
    let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exps: Vec<f64> = row.iter().map(|z| ((z - top) / temperature).exp()).collect();
    let total: f64 = exps.iter().sum();
    exps.iter().map(|e| e / total).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn what_is_recalled_is_what_was_said_then(
        lag in 0_usize..5, epochs in 1_usize..12, samples in 1_usize..7, seed in 0_u64..1000,
    ) {
        let mut history = OutputHistory::new(lag, PastOutputs::Full, 1.0);
        let mut stream = Stream::new(seed, "visits", 0);
        // The logits of each epoch, and which samples were visited in it.
        let mut said: Vec<Vec<Option<Vec<f64>>>> = Vec::new();
        for epoch in 0..epochs {
            let mut ids: Vec<usize> = (0..samples).filter(|_| stream.below(3) > 0).collect();
            stream.shuffle(&mut ids);
            let batch = logits(ids.len(), 3, seed + epoch as u64, DType::F64);
            if !ids.is_empty() {
                history.record(epoch, &ids, &batch);
            }
            let batch = values(&batch);
            let mut visits = vec![None; samples];
            for (&id, row) in ids.iter().zip(batch.chunks(3)) {
                visits[id] = Some(row.to_vec());
            }
            said.push(visits);
            for id in 0..samples {
                let then = epoch.checked_sub(lag).and_then(|then| said[then][id].clone());
                prop_assert_eq!(recalled(&history, epoch, id, 3), then);
            }
        }
    }

    #[test]
    fn saved_and_loaded_it_is_the_same(kind in 0_usize..4, epochs in 0_usize..6, seed in 0_u64..1000) {
        let (kept, dtype) = [
            (PastOutputs::Full, DType::F32),
            (PastOutputs::Full, DType::F64),
            (PastOutputs::Half, DType::F32),
            (PastOutputs::Top { kept: 2 }, DType::F32),
        ][kind];
        let new = || OutputHistory::new(2, kept, 5.0);
        let mut history = new();
        for epoch in 0..epochs {
            history.record(epoch, &[3, 0, epoch], &logits(3, 4, seed + epoch as u64, dtype));
        }
        let bytes = history.to_bytes().unwrap();
        let loaded = new().from_bytes(&bytes).unwrap();
        prop_assert_eq!(loaded.to_bytes().unwrap().len(), bytes.len());
        for epoch in epochs..epochs + 4 {
            for id in 0..6 {
                prop_assert_eq!(recalled(&loaded, epoch, id, 4), recalled(&history, epoch, id, 4));
            }
        }
    }

    #[test]
    fn half_precision_moves_probabilities_little(seed in 0_u64..1000) {
        let mut history = OutputHistory::new(1, PastOutputs::Half, 5.0);
        let batch = logits(1, 10, seed, DType::F32) * 3.0;
        history.record(0, &[0], &batch);
        let (exact, found) = (values(&batch), recalled(&history, 1, 0, 10).unwrap());
        for temperature in [1.0, 5.0] {
            let (p, q) = (probabilities(&exact, temperature), probabilities(&found, temperature));
            let divergence: f64 = p.iter().zip(&q).map(|(p, q)| p * (p / q).ln()).sum();
            prop_assert!(divergence.abs() < 1e-3, "{divergence}");
        }
    }

    #[test]
    fn what_is_not_kept_shares_its_probability(seed in 0_u64..1000, kept in 1_usize..8) {
        let mut history = OutputHistory::new(1, PastOutputs::Top { kept }, 4.0);
        let batch = logits(1, 6, seed, DType::F64);
        history.record(0, &[2], &batch);
        let exact = probabilities(&values(&batch), 4.0);
        let found = probabilities(&recalled(&history, 1, 2, 6).unwrap(), 4.0);
        let mut order: Vec<usize> = (0..6).collect();
        order.sort_by(|&a, &b| exact[b].total_cmp(&exact[a]));
        let (top, others) = order.split_at(kept.min(6));
        prop_assert!(top.iter().all(|&class| (found[class] - exact[class]).abs() < 1e-6));
        let share = others.iter().map(|&class| exact[class]).sum::<f64>() / others.len() as f64;
        prop_assert!(others.iter().all(|&class| (found[class] - share).abs() < 1e-6));
    }
}

#[test]
fn what_is_no_number_is_not_kept() {
    let mut history = OutputHistory::new(1, PastOutputs::Full, 1.0);
    let rows = Tensor::from_floats(
        [[1.0, f32::NAN], [2.0, 3.0], [f32::INFINITY, 0.0]],
        &Device::flex(),
    );
    history.record(0, &[0, 1, 2], &rows);
    let all: Vec<_> = (0..3).map(|id| recalled(&history, 1, id, 2)).collect();
    assert_eq!(all, [None, Some(vec![2.0, 3.0]), None]);
}

#[test]
fn huge_logits_stay_finite_in_half_precision() {
    let mut history = OutputHistory::new(1, PastOutputs::Half, 1.0);
    history.record(
        0,
        &[0],
        &Tensor::from_floats([[1e30, -1e30, 0.0]], &Device::flex()),
    );
    assert_eq!(recalled(&history, 1, 0, 3).unwrap(), [0.0, -65504.0, -65504.0]);
}

#[test]
fn memory_is_as_said() {
    for (kept, row) in [
        (PastOutputs::Full, 8 * 4),
        (PastOutputs::Half, 8 * 2),
        (PastOutputs::Top { kept: 2 }, 5 * 4),
    ] {
        let mut history = OutputHistory::new(2, kept, 1.0);
        for epoch in 0..3 {
            history.record(epoch, &[9], &logits(1, 8, 0, DType::F32));
        }
        assert_eq!(history.bytes(), 3 * 10 * (row + 8), "{kept:?}");
    }
}

#[test]
fn bytes_of_something_else_are_refused() {
    let mut history = OutputHistory::new(2, PastOutputs::Full, 5.0);
    history.record(0, &[0], &logits(1, 3, 0, DType::F32));
    let bytes = history.to_bytes().unwrap();
    let refused = |history: OutputHistory, bytes: &[u8]| history.from_bytes(bytes).unwrap_err().to_string();
    let other = OutputHistory::new(3, PastOutputs::Full, 5.0);
    assert_eq!(
        refused(other, &bytes),
        "the past outputs: their lag is 2; it must be 3"
    );
    let other = OutputHistory::new(2, PastOutputs::Half, 5.0);
    assert_eq!(
        refused(other, &bytes),
        "the past outputs: their kept is Full; it must be Half"
    );
    for cut in [0, 9, bytes.len() - 1] {
        refused(OutputHistory::new(2, PastOutputs::Full, 5.0), &bytes[..cut]);
    }
}
