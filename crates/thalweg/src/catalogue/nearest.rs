//! What was probably meant by a name that is not there.

/// At most three of `names`, nearest to `name` first; only what a slip of the hand explains.
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    const LIKELY: f64 = 0.6;
    let name = name.to_lowercase();
    let mut scored: Vec<_> = names
        .into_iter()
        .map(|candidate| {
            let edits = strsim::normalized_damerau_levenshtein(&name, candidate);
            // A part of a long name is far from it by edits, and yet the likeliest thing to type.
            let part = name.len() >= 3 && candidate.contains(&name);
            (if part { edits.max(LIKELY) } else { edits }, candidate)
        })
        .filter(|(likeness, _)| *likeness >= LIKELY)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored
        .into_iter()
        .take(3)
        .map(|(_, candidate)| candidate)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_and_parts_are_found() {
        let names = ["cross_entropy", "generalized_cross_entropy", "focal", "trades"];
        assert_eq!(nearest("cross_entorpy", names), ["cross_entropy"]);
        assert_eq!(nearest("Focall", names), ["focal"]);
        assert_eq!(nearest("generalized", names), ["generalized_cross_entropy"]);
        assert!(nearest("zzz", names).is_empty() && nearest("", names).is_empty());
    }
}
