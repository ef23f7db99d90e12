//! What is compared, and where.

use thalweg::objective::ViewObjective;
use thalweg::self_supervised::{
    ByolConfig, Dispersed, DispersionConfig, MsbRegConfig, PredictorConfig, PredictorNorm, SingularForm,
    TargetMomentum,
};

use crate::LabError;
use crate::model::Normalization;

/// How a run is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Method {
    /// Each view to the other views of the target.
    Byol,
    /// The same, dispersed.
    ByolDispersed,
    /// Each view to the centroid of the target's, with some dispersion or none.
    Centroid(Dispersion),
}

/// What disperses embeddings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Dispersion {
    None,
    Singular,
    Brownian,
    Both,
    /// Both, singular values counted by themselves.
    BothSigma,
}

impl Dispersion {
    /// λ_s 4, λ_b 0.1.
    fn config(self) -> DispersionConfig {
        let both = DispersionConfig::new().with_lambda_s(4.0).with_lambda_b(0.1);
        match self {
            Self::None => both.with_lambda_s(0.0).with_lambda_b(0.0),
            Self::Singular => both.with_lambda_b(0.0),
            Self::Brownian => both.with_lambda_s(0.0),
            Self::Both => both,
            Self::BothSigma => both.with_singular_form(SingularForm::Sigma),
        }
    }
}

/// Where the momentum of the target network begins.
const MOMENTUM: TargetMomentum = TargetMomentum::Rising(0.96);

impl Method {
    pub const CENTROID: Self = Self::Centroid(Dispersion::None);
    pub const MSBREG: Self = Self::Centroid(Dispersion::Both);
    /// Those of every setting.
    pub const COMPARED: [Self; 6] = [
        Self::Byol,
        Self::ByolDispersed,
        Self::CENTROID,
        Self::Centroid(Dispersion::Singular),
        Self::Centroid(Dispersion::Brownian),
        Self::MSBREG,
    ];

    pub fn label(self) -> &'static str {
        match self {
            Self::Byol => "BYOL",
            Self::ByolDispersed => "BYOL + S + B",
            Self::Centroid(Dispersion::None) => "centroid (C)",
            Self::Centroid(Dispersion::Singular) => "C + S",
            Self::Centroid(Dispersion::Brownian) => "C + B",
            Self::Centroid(Dispersion::Both) => "MSBReg (C + S + B)",
            Self::Centroid(Dispersion::BothSigma) => "MSBReg, sigma",
        }
    }

    pub fn objective(self, setting: Setting) -> Result<Box<dyn ViewObjective>, LabError> {
        let predictor = setting.predictor();
        let byol = ByolConfig::new()
            .with_momentum(MOMENTUM)
            .with_predictor(predictor.clone());
        Ok(match self {
            Self::Byol => Box::new(byol.init()?),
            Self::ByolDispersed => Box::new(Dispersed::new(byol.init()?, Dispersion::Both.config().init()?)),
            Self::Centroid(dispersion) => {
                let config = MsbRegConfig::new()
                    .with_momentum(MOMENTUM)
                    .with_predictor(predictor);
                Box::new(config.with_dispersion(dispersion.config()).init()?)
            }
        })
    }
}

/// Network and views.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Setting {
    /// Whether there is a predictor 32-64-32, without batch normalisation of its own.
    pub predictor: bool,
    /// Of the encoder.
    pub normalization: Normalization,
    /// Of each sample; of more than two, half the epochs.
    pub views: usize,
}

impl Setting {
    /// The one that is judged: nothing but dispersion is against collapse, but for batch normalisation in the encoder.
    pub const PLAIN: Self = Self {
        predictor: false,
        normalization: Normalization::Batch,
        views: 2,
    };
    pub const PREDICTOR: Self = Self {
        predictor: true,
        ..Self::PLAIN
    };
    pub const ALL: [Self; 5] = [
        Self::PLAIN,
        Self::PREDICTOR,
        Self {
            normalization: Normalization::None,
            ..Self::PLAIN
        },
        Self {
            normalization: Normalization::None,
            ..Self::PREDICTOR
        },
        Self {
            views: 4,
            ..Self::PLAIN
        },
    ];

    pub fn label(self) -> String {
        let predictor = if self.predictor {
            "with a predictor"
        } else {
            "no predictor"
        };
        let norm = match self.normalization {
            Normalization::Batch => "",
            Normalization::None => ", no batch norm",
        };
        format!("{predictor}{norm}, {} views", self.views)
    }

    pub fn methods(self) -> Vec<Method> {
        let mut methods = Method::COMPARED.to_vec();
        if self == Self::PLAIN {
            methods.push(Method::Centroid(Dispersion::BothSigma));
        }
        methods
    }

    pub fn epochs(self, of_two_views: usize) -> usize {
        if self.views > 2 {
            of_two_views / 2
        } else {
            of_two_views
        }
    }

    fn predictor(self) -> Option<PredictorConfig> {
        let config = PredictorConfig::new().with_hidden(64);
        self.predictor
            .then(|| config.with_normalization(PredictorNorm::None))
    }
}
