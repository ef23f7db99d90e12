//! The losses as objectives of views. Each owns its temperature network, which is made at the first batch, drawn from the
//! trainer's stream, and steps it by Adam at the encoder's learning rate.

use burn::config::Config;
use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::{Gradients, Tensor};
use thalweg_kernels::random::Stream;

use super::barlow_twins::unit_columns;
use super::learned::Learned;
use super::limits::{Limits, is_on_lower};
use super::{
    AdaptiveTemperature, AdaptiveTemperatureConfig, AmclBarlowTwinsLoss, AmclLoss, AmclLossConfig,
    AmclSimSiamLoss, OBJECTIVE,
};
use crate::ConfigError;
use crate::config::require;
use crate::contrastive::Similarity;
use crate::contrastive::views::unit_rows;
use crate::layers::{Linear, LinearConfig};
use crate::objective::{EmbeddedViews, Progress, ViewObjective};

/// Share of hardest negatives on the lower limit of which a trainer is told.
const TELL: f64 = 0.1;
const CHECKED: &str = "checked when the objective was made";

fn heads(heads: usize) -> Result<usize, ConfigError> {
    require(OBJECTIVE, "heads", heads as f64, "at least 1", |heads| {
        heads >= 1.0
    })?;
    Ok(heads)
}

/// Configuration of [`Amcl`].
#[derive(Config, Copy, Debug)]
pub struct AmclConfig {
    /// Heads of the embeddings, at least 1.
    #[config(default = 3)]
    pub heads: usize,
    /// The temperature network.
    #[config(default = "AdaptiveTemperatureConfig::new()")]
    pub temperature: AdaptiveTemperatureConfig,
    /// The loss.
    #[config(default = "AmclLossConfig::new()")]
    pub loss: AmclLossConfig,
}

impl AmclConfig {
    /// The objective.
    ///
    /// # Errors
    /// When there is no head, or a number of the network or the loss is out of its range.
    pub fn init(&self) -> Result<Amcl, ConfigError> {
        heads(self.heads)?;
        self.temperature.check()?;
        Ok(Amcl {
            config: *self,
            loss: self.loss.init()?,
            network: Learned::new(),
            on_lower_limit: 0.0,
        })
    }
}

/// The contrastive losses of AMCL as an objective: SimCLR's pairs of two views of a batch.
pub struct Amcl {
    config: AmclConfig,
    loss: AmclLoss,
    network: Learned<AdaptiveTemperature>,
    on_lower_limit: f64,
}

impl Amcl {
    /// The temperature network, once there was a batch.
    pub fn network(&self) -> Option<&AdaptiveTemperature> {
        self.network.get()
    }

    /// Share of the last batch's hardest negatives with their temperature on the lower limit.
    pub fn on_lower_limit(&self) -> f64 {
        self.on_lower_limit
    }
}

impl ViewObjective for Amcl {
    /// # Panics
    /// When the embeddings are no whole number of heads, or there are fewer than two samples.
    fn loss(&mut self, views: &EmbeddedViews, _: &Progress, random: &mut Stream) -> Tensor<1> {
        let [first, second] = views.pair();
        let width = views.width_of(self.config.heads);
        let config = &self.config.temperature;
        let network = self
            .network
            .get_or_init(|| temperature_network(config, width, &first, random));
        let found = self.loss.forward(network, first, second);
        self.on_lower_limit = found.on_lower_limit;
        found.loss
    }

    fn learn(&mut self, gradients: &mut Gradients, learning_rate: f64) {
        self.network.step(gradients, learning_rate);
    }

    fn warning(&self) -> Option<String> {
        let of = "the hardest negative";
        told(of, "anchors", self.config.temperature.lower, self.on_lower_limit)
    }
}

/// What a trainer is told of a share of temperatures on the lower limit.
fn told(of: &str, among: &str, lower: f64, share: f64) -> Option<String> {
    (share >= TELL).then(|| {
        format!(
            "the temperature of {of} sits on its lower limit {lower} for {:.0} % of the {among}: only that limit keeps the loss \
             from falling on; raise `lower` (to 0.05 or more) or lower `beta`",
            100.0 * share
        )
    })
}

fn temperature_network(
    config: &AdaptiveTemperatureConfig,
    width: usize,
    like: &Tensor<2>,
    random: &mut Stream,
) -> AdaptiveTemperature {
    let network = config.init(width, random, (&like.device(), like.dtype()));
    network.expect(CHECKED)
}

/// Configuration of [`AmclSimSiam`].
#[derive(Config, Copy, Debug)]
pub struct AmclSimSiamConfig {
    /// Heads of the embeddings, at least 1.
    #[config(default = 3)]
    pub heads: usize,
    /// The temperature network.
    #[config(default = "AdaptiveTemperatureConfig::new()")]
    pub temperature: AdaptiveTemperatureConfig,
    /// Weight β of the regulariser, at least 0.
    #[config(default = 0.1)]
    pub beta: f64,
    /// Hidden units of each head's predictor, at least 1.
    #[config(default = 64)]
    pub predictor: usize,
}

impl AmclSimSiamConfig {
    /// The objective.
    ///
    /// # Errors
    /// When there is no head or hidden unit, or a number is out of its range.
    pub fn init(&self) -> Result<AmclSimSiam, ConfigError> {
        heads(self.heads)?;
        self.temperature.check()?;
        require(
            OBJECTIVE,
            "predictor",
            self.predictor as f64,
            "at least 1",
            |units| units >= 1.0,
        )?;
        Ok(AmclSimSiam {
            config: *self,
            loss: AmclSimSiamLoss::new(self.beta)?,
            networks: Learned::new(),
        })
    }
}

/// `width → hidden (ReLU) → width`.
#[derive(Module, Debug)]
struct Predictor {
    hidden: Linear,
    output: Linear,
}

#[derive(Module, Debug)]
struct SimSiamNetworks {
    temperature: AdaptiveTemperature,
    /// One a head.
    predictors: Vec<Predictor>,
}

/// AMCL over SimSiam as an objective: a predictor of its own for each head, targets held constant. A pair is a prediction
/// and its target.
pub struct AmclSimSiam {
    config: AmclSimSiamConfig,
    loss: AmclSimSiamLoss,
    networks: Learned<SimSiamNetworks>,
}

impl ViewObjective for AmclSimSiam {
    /// # Panics
    /// When the embeddings are no whole number of heads.
    fn loss(&mut self, views: &EmbeddedViews, _: &Progress, random: &mut Stream) -> Tensor<1> {
        let [first, second] = views.pair();
        let ([samples, _], width) = (first.dims(), views.width_of(self.config.heads));
        let AmclSimSiamConfig { heads, predictor, .. } = self.config;
        let networks = self.networks.get_or_init(|| {
            let device = first.device();
            SimSiamNetworks {
                temperature: temperature_network(&self.config.temperature, width, &first, random),
                predictors: (0..heads)
                    .map(|_| Predictor {
                        hidden: LinearConfig::new(width, predictor).init(random, &device),
                        output: LinearConfig::new(predictor, width).init(random, &device),
                    })
                    .collect(),
            }
        });
        let units = |rows: Tensor<2>| unit_rows(rows, Similarity::LEAST_NORM);
        let directions = [(&first, &second), (&second, &first)].map(|(from, to)| {
            let each = networks.predictors.iter().enumerate().map(|(head, predictor)| {
                let of_head = |view: &Tensor<2>| view.clone().slice_dim(1, head * width..(head + 1) * width);
                let predicted = predictor
                    .output
                    .forward(relu(predictor.hidden.forward(of_head(from))));
                let (predicted, target) = (units(predicted), units(of_head(to).detach()));
                let similarity = (predicted.clone() * target.clone()).sum_dim(1);
                let temperature = networks.temperature.paired(predicted, target);
                (
                    similarity.reshape([1, samples]),
                    temperature.reshape([1, samples]),
                )
            });
            let (similarities, temperatures): (Vec<_>, Vec<_>) = each.unzip();
            (Tensor::cat(similarities, 0), Tensor::cat(temperatures, 0))
        });
        let [(sim_a, tau_a), (sim_b, tau_b)] = directions;
        self.loss.forward([sim_a, sim_b], [tau_a, tau_b], width as f64)
    }

    fn learn(&mut self, gradients: &mut Gradients, learning_rate: f64) {
        self.networks.step(gradients, learning_rate);
    }
}

/// Configuration of [`AmclBarlowTwins`].
#[derive(Config, Copy, Debug)]
pub struct AmclBarlowTwinsConfig {
    /// Heads of the embeddings, at least 1.
    #[config(default = 3)]
    pub heads: usize,
    /// The temperature network.
    #[config(default = "AdaptiveTemperatureConfig::new()")]
    pub temperature: AdaptiveTemperatureConfig,
    /// Weight λ of what features have in common, at least 0.
    #[config(default = 0.005)]
    pub redundancy: f64,
    /// Weight β of the regulariser, at least 0.
    #[config(default = 0.1)]
    pub beta: f64,
}

impl AmclBarlowTwinsConfig {
    /// The objective.
    ///
    /// # Errors
    /// When there is no head, or a number is out of its range.
    pub fn init(&self) -> Result<AmclBarlowTwins, ConfigError> {
        heads(self.heads)?;
        self.temperature.check()?;
        Ok(AmclBarlowTwins {
            config: *self,
            loss: AmclBarlowTwinsLoss::new(self.redundancy, self.beta)?,
            network: Learned::new(),
            on_lower_limit: 0.0,
        })
    }
}

/// AMCL over Barlow Twins as an objective. A pair is a feature of either view, each as its values over the batch brought to
/// mean 0 and length 1: the network is made for the size of the first batch, and all must have it.
pub struct AmclBarlowTwins {
    config: AmclBarlowTwinsConfig,
    loss: AmclBarlowTwinsLoss,
    network: Learned<AdaptiveTemperature>,
    /// Share of pairs of different features in the last batch.
    on_lower_limit: f64,
}

impl ViewObjective for AmclBarlowTwins {
    /// # Panics
    /// When the embeddings are no whole number of heads, or the batch is of another size than the first one.
    fn loss(&mut self, views: &EmbeddedViews, _: &Progress, random: &mut Stream) -> Tensor<1> {
        let views_of = views.pair();
        let [samples, _] = views_of[0].dims();
        let (heads, width) = (self.config.heads, views.width_of(self.config.heads));
        let config = &self.config.temperature;
        let network = self
            .network
            .get_or_init(|| temperature_network(config, samples, &views_of[0], random));
        let (mut correlations, mut own, mut between) = (Vec::new(), Vec::new(), Vec::new());
        for head in 0..heads {
            let [a, b] = views_of
                .each_ref()
                .map(|view| view.clone().slice_dim(1, head * width..(head + 1) * width))
                .map(|features| unit_columns(features).transpose());
            correlations.push(a.clone().matmul(b.clone().transpose()).unsqueeze::<3>());
            own.push(network.paired(a.clone(), b.clone()).unsqueeze::<2>());
            between.push(network.between(a, b).unsqueeze::<3>());
        }
        let (correlations, own) = (Tensor::cat(correlations, 0), Tensor::cat(own, 0));
        let between = Tensor::cat(between, 0);
        self.on_lower_limit = share_on_lower(network.limits(), &between);
        self.loss.forward(correlations, own, between, width as f64)
    }

    fn learn(&mut self, gradients: &mut Gradients, learning_rate: f64) {
        self.network.step(gradients, learning_rate);
    }

    fn warning(&self) -> Option<String> {
        let of = "two features";
        told(of, "pairs", self.config.temperature.lower, self.on_lower_limit)
    }
}

/// Share of temperatures `[heads, features, features]` off the diagonals that sit on the lower limit; 0 where there are none.
fn share_on_lower(limits: Limits, temperatures: &Tensor<3>) -> f64 {
    let [heads, features, _] = temperatures.dims();
    let values = temperatures.clone().detach().into_data().try_into_vec_as::<f64>();
    let values = values.expect("float tensors read as f64");
    let is_off = |at: usize| at / features % features != at % features;
    let on_lower = values
        .iter()
        .enumerate()
        .filter(|(at, temperature)| is_off(*at) && is_on_lower(limits, **temperature));
    on_lower.count() as f64 / (heads * features * (features - 1)).max(1) as f64
}
