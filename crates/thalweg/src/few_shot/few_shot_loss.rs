//! The mean of several losses of an episode, over one table of distances for each kind of pairs.
//!
//! Which terms: cross-entropy alone is the baseline, and hard to beat. With the ICNN term of the whole episode beside it novel
//! classes are told apart a little better (`thalweg study susana`: 0.4 points at one and at five shots); the proto-triplet term
//! beside it changed nothing there, and ICNN alone was worse than cross-entropy. It is the *mean* of the terms, so that a
//! learning rate that suits one suits all; naming a term twice weighs it twice.
//!
//! Traps: cross-entropy takes squared distances, the other two their roots. The ICNN term of the support says little at one shot
//! (no neighbour of the own class) and needs three support samples in all.
//!
//! Source: Mendez-Ruiz, Gonzalez-Zapata, Reyes-Amezcua, Flores-Araiza, Lopez-Tiro, Mendez-Vazquez, Ochoa-Ruiz, "SuSana Distancia
//! is all you need", 2023 (arXiv 2305.09062).

use burn::config::Config;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use thalweg_kernels::random::Stream;

use super::distances::{Sloped, SquaredDistances, class_prototypes};
use super::{
    IcnnLoss, IcnnLossConfig, NearestTarget, ProtoTripletLoss, ProtoTripletLossConfig, PrototypicalLoss,
    PrototypicalLossConfig,
};
use crate::ConfigError;
use crate::bridge::class_indices;
use crate::config::require;
use crate::objective::{EmbeddedEpisode, EpisodeObjective, EpisodeShape, Progress, UnfitEpisodes};
use crate::quantity::{Case, Quantity, QuantityError};

/// A loss of an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EpisodeTerm {
    /// [`PrototypicalLoss`].
    Cross,
    /// [`ProtoTripletLoss`].
    ProtoTriplet,
    /// [`IcnnLoss`] of the support among itself.
    SupportIcnn,
    /// [`IcnnLoss`] of the queries among the support or the prototypes.
    QueryIcnn,
    /// [`IcnnLoss`] of support and queries together among themselves.
    FullIcnn,
}

/// What [`EpisodeTerm::QueryIcnn`] looks for neighbours among.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum QueryTargets {
    /// The support.
    Support,
    /// The prototypes.
    Prototypes,
}

/// Configuration of [`FewShotLoss`].
#[derive(Config, Debug)]
pub struct FewShotLossConfig {
    /// The terms whose mean it is, at least one.
    pub terms: Vec<EpisodeTerm>,
    /// Temperature of the cross-entropy, above 0.
    #[config(default = 1.0)]
    pub temperature: f64,
    /// Margin of the proto-triplet loss, at least 0.
    #[config(default = 0.5)]
    pub margin: f64,
    /// The number k of neighbours that ICNN terms judge, at least 1.
    #[config(default = 4)]
    pub k: usize,
    /// The number of neighbours among which [`EpisodeTerm::FullIcnn`] seeks the nearest one of another class, at least 1; as many
    /// as an episode has samples of a class where none is given. The other ICNN terms take k + 1.
    pub neighbors: Option<usize>,
    /// What queries look for neighbours among.
    #[config(default = "QueryTargets::Support")]
    pub query_targets: QueryTargets,
    /// Whether the nearest target of a query counts; the authors' code drops it. Keep it unless their numbers are to be met.
    #[config(default = "NearestTarget::Dropped")]
    pub query_nearest: NearestTarget,
}

impl FewShotLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When there is no term, or a parameter is out of its range.
    pub fn init(&self) -> Result<FewShotLoss, ConfigError> {
        let count = self.terms.len() as f64;
        require("few_shot", "terms", count, "one term or more", |n| n >= 1.0)?;
        let icnn = IcnnLossConfig::new().with_k(self.k);
        Ok(FewShotLoss {
            terms: self.terms.clone(),
            cross: PrototypicalLossConfig::new()
                .with_temperature(self.temperature)
                .init()?,
            triplet: ProtoTripletLossConfig::new().with_margin(self.margin).init()?,
            support: icnn.init()?,
            query: icnn.clone().with_nearest(self.query_nearest).init()?,
            full: icnn.with_neighbors(self.neighbors).init()?,
            query_targets: self.query_targets,
        })
    }
}

/// The mean of losses of an episode.
#[derive(Clone, Debug)]
pub struct FewShotLoss {
    terms: Vec<EpisodeTerm>,
    cross: PrototypicalLoss,
    triplet: ProtoTripletLoss,
    support: IcnnLoss,
    query: IcnnLoss,
    full: IcnnLoss,
    query_targets: QueryTargets,
}

/// Which embeddings of an episode meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meeting {
    QueryPrototypes,
    QuerySupport,
    Support,
    All,
}

impl Meeting {
    const ALL: [Self; 4] = [
        Self::QueryPrototypes,
        Self::QuerySupport,
        Self::Support,
        Self::All,
    ];

    fn distances(self, episode: &EmbeddedEpisode) -> SquaredDistances {
        let (support, query) = (episode.support.clone(), episode.query.clone());
        match self {
            Self::QueryPrototypes => {
                SquaredDistances::between(query, class_prototypes(support, episode.ways))
            }
            Self::QuerySupport => SquaredDistances::between(query, support),
            Self::Support => SquaredDistances::within(support),
            Self::All => SquaredDistances::within(Tensor::cat(vec![support, query], 0)),
        }
    }
}

/// The classes of an episode's samples.
struct Labels {
    support: Vec<u32>,
    query: Vec<u32>,
    prototypes: Vec<u32>,
    all: Vec<u32>,
    /// Samples of a class.
    of_class: usize,
}

impl Labels {
    fn of(episode: &EmbeddedEpisode) -> Self {
        let EmbeddedEpisode { ways, shots, .. } = *episode;
        let samples = episode.support.dims()[0];
        assert_eq!(
            samples,
            ways * shots,
            "a support of {ways} classes, {shots} samples of each"
        );
        let prototypes: Vec<u32> = (0..ways as u32).collect();
        let support = prototypes
            .iter()
            .flat_map(|&class| std::iter::repeat_n(class, shots));
        let support: Vec<u32> = support.collect();
        let query = class_indices(episode.query_labels.clone());
        assert_eq!(query.len(), episode.query.dims()[0], "a label for each query");
        if let Some(label) = query.iter().find(|&&label| label as usize >= ways) {
            panic!("a query's label is {label}; there are {ways} classes");
        }
        let all = [support.clone(), query.clone()].concat();
        Self {
            of_class: all.len() / ways,
            support,
            query,
            prototypes,
            all,
        }
    }
}

impl FewShotLoss {
    /// # Shapes
    /// - support `[ways·shots, width]`, query `[queries, width]`; returns `[1]`.
    ///
    /// # Panics
    /// When shapes disagree, a label is out of range, or there are too few samples for a term
    /// ([`accepts`](EpisodeObjective::accepts)).
    pub fn forward(&self, episode: &EmbeddedEpisode) -> Tensor<1> {
        let labels = Labels::of(episode);
        let of_meeting = |meeting: Meeting| {
            let mut terms = self.terms.iter().filter(|term| self.meeting(**term) == meeting);
            let first = terms.next()?;
            let distances = meeting.distances(episode);
            let found = self.term(*first, &distances, &labels);
            let found = terms.fold(found, |found, term| {
                found.plus(&self.term(*term, &distances, &labels))
            });
            Some(distances.loss(&found))
        };
        let total = Meeting::ALL.into_iter().filter_map(of_meeting);
        let total = total.reduce(|total, part| total + part);
        total.expect("there is a term") * (1.0 / self.terms.len() as f64)
    }

    fn meeting(&self, term: EpisodeTerm) -> Meeting {
        match (term, self.query_targets) {
            (EpisodeTerm::Cross | EpisodeTerm::ProtoTriplet, _) => Meeting::QueryPrototypes,
            (EpisodeTerm::QueryIcnn, QueryTargets::Prototypes) => Meeting::QueryPrototypes,
            (EpisodeTerm::QueryIcnn, QueryTargets::Support) => Meeting::QuerySupport,
            (EpisodeTerm::SupportIcnn, _) => Meeting::Support,
            (EpisodeTerm::FullIcnn, _) => Meeting::All,
        }
    }

    fn term(&self, term: EpisodeTerm, distances: &SquaredDistances, labels: &Labels) -> Sloped {
        let icnn = |loss: &IcnnLoss, of: &[u32], among: &[u32]| loss.of_distances(distances, of, among).1;
        match term {
            EpisodeTerm::Cross => self.cross.of_distances(distances, &labels.query),
            EpisodeTerm::ProtoTriplet => self.triplet.of_distances(distances, &labels.query),
            EpisodeTerm::SupportIcnn => icnn(&self.support, &labels.support, &labels.support),
            EpisodeTerm::QueryIcnn => match self.query_targets {
                QueryTargets::Support => icnn(&self.query, &labels.query, &labels.support),
                QueryTargets::Prototypes => icnn(&self.query, &labels.query, &labels.prototypes),
            },
            EpisodeTerm::FullIcnn => {
                let most = labels.all.len() - 1;
                let full = self.full.or_neighbors(labels.of_class.clamp(1, most));
                icnn(&full, &labels.all, &labels.all)
            }
        }
    }

    /// Whether every term has enough of what it is among.
    fn check(&self, ways: usize, support: usize, queries: usize) -> Result<(), String> {
        for term in &self.terms {
            let (loss, targets, what) = match (term, self.query_targets) {
                (EpisodeTerm::Cross | EpisodeTerm::ProtoTriplet, _) => continue,
                (EpisodeTerm::SupportIcnn, _) => (&self.support, support, "the support"),
                (EpisodeTerm::QueryIcnn, QueryTargets::Support) => (&self.query, support, "the support"),
                (EpisodeTerm::QueryIcnn, QueryTargets::Prototypes) => (&self.query, ways, "the prototypes"),
                (EpisodeTerm::FullIcnn, _) => (&self.full, support + queries, "the whole episode"),
            };
            loss.check(targets)
                .map_err(|problem| format!("among {what}, {problem}"))?;
        }
        Ok(())
    }
}

impl EpisodeObjective for FewShotLoss {
    fn loss(&mut self, episode: &EmbeddedEpisode, _: &Progress, _: &mut Stream) -> Tensor<1> {
        self.forward(episode)
    }

    fn accepts(&self, shape: EpisodeShape) -> Result<(), UnfitEpisodes> {
        let EpisodeShape { ways, shots, queries } = shape;
        let checked = self.check(ways, ways * shots, ways * queries);
        checked.map_err(|problem| UnfitEpisodes {
            objective: "few_shot",
            shape,
            problem,
        })
    }
}

impl Case<'_> {
    /// The terms that a text lists, with commas between them.
    fn terms(&self, name: &str) -> Result<Vec<EpisodeTerm>, QuantityError> {
        const TERMS: [(&str, EpisodeTerm); 5] = [
            ("cross", EpisodeTerm::Cross),
            ("prototriplet", EpisodeTerm::ProtoTriplet),
            ("suppicnn", EpisodeTerm::SupportIcnn),
            ("queryicnn", EpisodeTerm::QueryIcnn),
            ("fullicnn", EpisodeTerm::FullIcnn),
        ];
        let term = |word: &str| {
            TERMS
                .iter()
                .find(|(name, _)| *name == word.trim())
                .map(|(_, term)| *term)
        };
        let terms = match self.text(name) {
            Some(text) => text.split(',').map(term).collect(),
            None => None,
        };
        let known = "terms separated by commas, of cross, prototriplet, suppicnn, queryicnn and fullicnn";
        terms.map_or_else(|| self.refuse_param(name, known), Ok)
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "few_shot_combined_loss",
            "mean of several losses of an episode, and its gradients; neighbors 0 is as many as a class has samples",
        )
        .param("terms", "cross,prototriplet,fullicnn")
        .param("margin", 0.5)
        .param("k", 4.0)
        .param("neighbors", 0.0)
        .param("temperature", 1.0)
        .param("query_protos", false)
        .param("skip_nearest", true)
        .input("support", "[N, K, d]")
        .input("query", "[M, d]")
        .input("query_labels", "[M]")
        .with_example("query_labels", vec![0.0, 1.0, 1.0])
        .eval(|case| {
            case.episode()?;
            let [ways, shots, width] = case.array("support").shape[..] else {
                unreachable!("three extents were declared")
            };
            let query_labels = case.labels("query_labels", ways)?;
            let neighbors = case.count("neighbors", 0)?;
            let targets = match case.flag("query_protos")? {
                true => QueryTargets::Prototypes,
                false => QueryTargets::Support,
            };
            let loss = FewShotLossConfig::new(case.terms("terms")?)
                .with_temperature(case.param("temperature")?)
                .with_margin(case.param("margin")?)
                .with_k(case.count("k", 1)?)
                .with_neighbors((neighbors > 0).then_some(neighbors))
                .with_query_targets(targets)
                .with_query_nearest(case.nearest_target()?)
                .init()?;
            let (support, query) = (case.variable::<3>("support"), case.variable::<2>("query"));
            let queries = query.dims()[0];
            if let Err(problem) = loss.check(ways, ways * shots, queries) {
                return case.refuse_param("terms", &format!("terms that the episode has samples for: {problem}"));
            }
            let value = loss.forward(&EmbeddedEpisode {
                support: support.clone().reshape([ways * shots, width]),
                query: query.clone(),
                query_labels,
                ways,
                shots,
            });
            let gradients = value.clone().backward();
            Ok(case
                .loss_value(value)
                .with_gradient("support", &support, &gradients)
                .with_gradient("query", &query, &gradients))
        }),
    ]
}
