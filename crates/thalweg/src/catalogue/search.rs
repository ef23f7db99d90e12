//! Finding objectives and quantities by the words of a problem.

use crate::objective::ObjectiveEntry;
use crate::optimizer::OptimizerEntry;
use crate::quantity::Quantity;

/// Words that must all occur in what is looked for: `noisy labels`, `top-k`. Case, hyphens and underscores do not count.
#[derive(Clone, Debug)]
pub struct Search(Vec<String>);

impl Search {
    /// The words of `text`; none of them match everything.
    pub fn new(text: &str) -> Self {
        Self(text.split_whitespace().map(str::to_owned).collect())
    }

    /// Its words, each as a search of its own.
    pub fn words(&self) -> impl Iterator<Item = (&str, Self)> {
        self.0
            .iter()
            .map(|word| (word.as_str(), Self(vec![word.clone()])))
    }

    /// Whether all words occur in the texts, taken together.
    pub fn matches<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> bool {
        let texts = plain(&texts.into_iter().collect::<Vec<_>>().join("\n"));
        self.0.iter().all(|word| texts.contains(&plain(word)))
    }

    /// Whether an objective is among what is looked for, by anything it says of itself but when not to use it.
    pub fn finds_objective(&self, entry: &ObjectiveEntry) -> bool {
        let own = [entry.name, entry.title, entry.family, entry.when, entry.source];
        self.matches(own.into_iter().chain(entry.good_for.iter().copied()))
    }

    /// Whether an optimiser is among what is looked for, likewise.
    pub fn finds_optimizer(&self, entry: &OptimizerEntry) -> bool {
        let own = [
            entry.name,
            entry.title,
            "optimizer",
            "optimiser",
            entry.when,
            entry.source,
        ];
        self.matches(own.into_iter().chain(entry.good_for.iter().copied()))
    }

    /// Whether a quantity is among what is looked for, by its name and meaning.
    pub fn finds_quantity(&self, quantity: &Quantity) -> bool {
        self.matches([quantity.name(), quantity.meaning(), quantity.family()])
    }
}

fn plain(text: &str) -> String {
    text.to_lowercase().replace(['-', '_'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;

    fn found(text: &str) -> Vec<&'static str> {
        let search = Search::new(text);
        let entries = catalogue::objectives().iter();
        entries
            .filter(|entry| search.finds_objective(entry))
            .map(|entry| entry.name)
            .collect()
    }

    #[test]
    fn all_words_must_occur_wherever() {
        assert!(found("Noisy  LABELS").contains(&"generalized_cross_entropy"));
        assert_eq!(
            found("noisy zhang 2018"),
            ["generalized_cross_entropy", "truncated_gce"]
        );
        assert_eq!(found("half-trained zhang 2018"), ["truncated_gce"]);
        assert!(found("noisy nonsense").is_empty());
        assert_eq!(found("").len(), catalogue::objectives().len());
        assert_eq!(found("adv-comp-sum"), found("adv_comp_sum"));
    }
}
