//! Lion-K's quantities.

use super::{
    Certificate, Dissipation, Flow, Joint, Kernel, LionKStep, Quadratic, Scheme, Separable, Smooth,
    composite_minimum,
};
use crate::config::require;
use crate::quantity::{Array, Case, Outputs, Quantity, QuantityError};

#[derive(Clone, Copy)]
enum Name {
    L1,
    HalfL2Squared,
    LpNorm,
    LpPower,
    SoftThresholdL1,
    Huber,
    Relativistic,
    LogCosh,
    LInf,
    TopKL1,
    GroupL2,
    LogSumExp,
    Nuclear,
}

const KERNELS: [(&str, Name); 13] = [
    ("l1", Name::L1),
    ("half_l2_squared", Name::HalfL2Squared),
    ("lp_norm", Name::LpNorm),
    ("lp_power", Name::LpPower),
    ("soft_threshold_l1", Name::SoftThresholdL1),
    ("huber", Name::Huber),
    ("relativistic", Name::Relativistic),
    ("log_cosh", Name::LogCosh),
    ("linf_norm", Name::LInf),
    ("top_k_l1", Name::TopKL1),
    ("group_l2", Name::GroupL2),
    ("log_sum_exp", Name::LogSumExp),
    ("nuclear", Name::Nuclear),
];

/// What rounding may move a minimum by.
const ROUNDING: f64 = 1e-15;

const SCHEMES: [(&str, Scheme); 2] = [("explicit", Scheme::Explicit), ("implicit", Scheme::Implicit)];

fn quantity(name: &'static str, meaning: &'static str) -> Quantity {
    Quantity::new(name, meaning)
        .param("kernel", "l1")
        .param("p", 2.0)
        .param("e", 0.1)
        .param("a", 1.0)
        .param("k", 1.0)
        .param("group_size", 1.0)
        .param("rows", 1.0)
}

fn stepped(quantity: Quantity) -> Quantity {
    quantity
        .param("lr", 1e-4)
        .param("beta1", 0.9)
        .param("beta2", 0.99)
        .param("weight_decay", 0.0)
}

fn of_quadratic(quantity: Quantity) -> Quantity {
    quantity
        .input("q_matrix", "[D, D]")
        .input("centre", "[D]")
        .with_example(
            "q_matrix",
            Array {
                shape: vec![3, 3],
                data: vec![2.0, 0.5, 0.0, 0.5, 1.0, 0.2, 0.0, 0.2, 1.5],
            },
        )
}

impl Case<'_> {
    fn kernel(&self, length: usize) -> Result<Kernel, QuantityError> {
        let kernel: Kernel = match self.choice("kernel", &KERNELS)? {
            Name::L1 => Separable::L1.into(),
            Name::HalfL2Squared => Separable::HalfL2Squared.into(),
            Name::LpNorm => Joint::LpNorm { p: self.param("p")? }.into(),
            Name::LpPower => Separable::LpPower { p: self.param("p")? }.into(),
            Name::SoftThresholdL1 => Separable::SoftThresholdL1 { e: self.param("e")? }.into(),
            Name::Huber => Separable::Huber { e: self.param("e")? }.into(),
            Name::Relativistic => Separable::Relativistic { e: self.param("e")? }.into(),
            Name::LogCosh => Separable::LogCosh { a: self.param("a")? }.into(),
            Name::LInf => Joint::LInf.into(),
            Name::TopKL1 => Joint::TopKL1 {
                k: self.count("k", 1)?,
            }
            .into(),
            Name::GroupL2 => Joint::GroupL2 {
                size: self.count("group_size", 1)?,
            }
            .into(),
            Name::LogSumExp => Joint::LogSumExp.into(),
            Name::Nuclear => Joint::Nuclear {
                rows: self.count("rows", 1)?,
            }
            .into(),
        };
        let kernel = kernel.checked()?;
        kernel.fits(length)?;
        Ok(kernel)
    }

    fn rule(&self, length: usize) -> Result<LionKStep, QuantityError> {
        Ok(LionKStep {
            kernel: self.kernel(length)?,
            learning_rate: self.param("lr")?,
            beta_1: self.param("beta1")?,
            beta_2: self.param("beta2")?,
            weight_decay: self.param("weight_decay")?,
            scheme: self.choice("scheme", &SCHEMES)?,
        }
        .checked()?)
    }

    fn flow(&self) -> Result<Flow, QuantityError> {
        Ok(Flow {
            alpha: self.param("alpha")?,
            gamma: self.param("gamma")?,
            epsilon: self.param("epsilon")?,
            weight_decay: self.param("weight_decay")?,
        }
        .checked()?)
    }

    fn numbers(&self, name: &str) -> Result<Vec<f64>, QuantityError> {
        self.not_empty(name)?;
        self.finite(name)?;
        Ok(self.array(name).data.clone())
    }

    fn quadratic(&self) -> Result<Quadratic, QuantityError> {
        Ok(Quadratic::new(self.numbers("q_matrix")?, self.numbers("centre")?))
    }

    fn decayed(&self) -> Result<f64, QuantityError> {
        let decay = self.param("weight_decay")?;
        Ok(require(
            "lion_k",
            "weight_decay",
            decay,
            "above 0 and finite",
            |decay| decay > 0.0 && decay.is_finite(),
        )?)
    }
}

pub(crate) fn quantities() -> Vec<Quantity> {
    vec![
        kernel(),
        conjugate(),
        domain_distance(),
        step(),
        trajectory(),
        lyapunov(),
        certificate(),
        flow(),
        minimum(),
    ]
}

fn kernel() -> Quantity {
    quantity("lion_k_kernel", "convex function K of Lion-K at m, and its slope")
        .input("m", "[D]")
        .eval(|case| {
            let m = case.numbers("m")?;
            let kernel = case.kernel(m.len())?;
            let mut slope = vec![0.0; m.len()];
            kernel.slope(&m, &mut slope);
            Ok(Outputs::new()
                .with("value", kernel.value(&m))
                .with("grad_m", slope))
        })
}

fn conjugate() -> Quantity {
    quantity(
        "lion_k_conjugate",
        "conjugate K* at two points, and whether it is finite there; 0 where not",
    )
    .input("y", "[D]")
    .input("y_far", "[D]")
    .eval(|case| {
        let mut outputs = Outputs::new();
        for (name, value, feasible) in [("y", "value", "feasible"), ("y_far", "value_far", "feasible_far")] {
            let y = case.numbers(name)?;
            let conjugate = case.kernel(y.len())?.conjugate(&y);
            outputs = outputs
                .with(value, conjugate.unwrap_or(0.0))
                .with(feasible, f64::from(u8::from(conjugate.is_some())));
        }
        Ok(outputs)
    })
}

fn domain_distance() -> Quantity {
    quantity(
        "lion_k_domain_distance",
        "Euclidean distance of y to where the conjugate K* is finite",
    )
    .input("y", "[D]")
    .eval(|case| {
        let y = case.numbers("y")?;
        Ok(Outputs::new().with("value", case.kernel(y.len())?.domain_distance(&y)))
    })
}

fn step() -> Quantity {
    stepped(quantity(
        "lion_k_step",
        "a step of Lion-K: parameters, momentum and direction after it",
    ))
    .param("scheme", "explicit")
    .input("x", "[D]")
    .input("m", "[D]")
    .input("grad", "[D]")
    .eval(|case| {
        let (mut x, mut m, gradient) = (case.numbers("x")?, case.numbers("m")?, case.numbers("grad")?);
        let mut direction = vec![0.0; x.len()];
        let rule = case.rule(x.len())?;
        if let Err(refused) = rule.step(&mut x, &mut m, &gradient, &mut direction) {
            return case.refuse_input("grad", refused.to_string());
        }
        Ok(Outputs::new()
            .with("x", x)
            .with("m", m)
            .with("m_tilde", direction))
    })
}

fn trajectory() -> Quantity {
    let quantity = stepped(quantity(
        "lion_k_trajectory_quadratic",
        "Lion-K on a quadratic: parameters and momentum after the steps, distances of the decayed parameters to the domain of \
         K* on the way",
    ));
    of_quadratic(quantity.param("scheme", "explicit").param("steps", 100.0))
        .input("x0", "[D]")
        .input("m0", "[D]")
        .eval(|case| {
            let (f, mut x, mut m) = (case.quadratic()?, case.numbers("x0")?, case.numbers("m0")?);
            let (rule, steps) = (case.rule(x.len())?, case.count("steps", 0)?);
            let every = (steps / 10).max(1);
            let (mut gradient, mut direction) = (vec![0.0; x.len()], vec![0.0; x.len()]);
            let mut distances = Vec::new();
            for number in 0..=steps {
                if number % every == 0 {
                    let y: Vec<f64> = x.iter().map(|x| rule.weight_decay * x).collect();
                    distances.push(rule.kernel.domain_distance(&y));
                }
                if number < steps {
                    f.evaluate(&x, &mut gradient);
                    if let Err(refused) = rule.step(&mut x, &mut m, &gradient, &mut direction) {
                        return case
                            .refuse_input("x0", format!("leads to no end: {refused} in step {number}"));
                    }
                }
            }
            Ok(Outputs::new()
                .with("x", x)
                .with("m", m)
                .with("domain_distance", distances))
        })
}

fn flowing(quantity: Quantity) -> Quantity {
    quantity
        .param("alpha", 1.0)
        .param("gamma", 1.0)
        .param("epsilon", 0.5)
        .param("weight_decay", 1.0)
}

fn lyapunov() -> Quantity {
    flowing(quantity(
        "lion_k_lyapunov_continuous",
        "Lyapunov function of Lion-K's flow, what it falls by, and its derivative by time",
    ))
    .input("f", "number")
    .input("grad", "[D]")
    .input("x", "[D]")
    .input("m", "[D]")
    .eval(|case| {
        let (gradient, x, m) = (case.numbers("grad")?, case.numbers("x")?, case.numbers("m")?);
        let (kernel, flow) = (case.kernel(x.len())?, case.flow()?);
        let Some(found) = Dissipation::of(kernel, &flow, case.number("f"), &gradient, &x, &m) else {
            return case.refuse_input(
                "x",
                "times weight_decay is outside the domain of K*: H is infinite",
            );
        };
        Ok(Outputs::new()
            .with("h", found.energy)
            .with("delta1", found.delta_1)
            .with("delta2", found.delta_2)
            .with("dh_dt", found.rate))
    })
}

fn certificate() -> Quantity {
    let quantity = stepped(quantity(
        "lion_k_discrete_certificate",
        "Lyapunov function of an implicit step of Lion-K on a quadratic before and after it, and the bound of its change",
    ));
    of_quadratic(
        quantity
            .param("smoothness", 1.0)
            .with_example("weight_decay", 1.0),
    )
    .input("x", "[D]")
    .input("m", "[D]")
    .eval(|case| {
        let (f, mut x, mut m) = (case.quadratic()?, case.numbers("x")?, case.numbers("m")?);
        let rule = LionKStep {
            kernel: case.kernel(x.len())?,
            learning_rate: case.param("lr")?,
            beta_1: case.param("beta1")?,
            beta_2: case.param("beta2")?,
            weight_decay: case.decayed()?,
            scheme: Scheme::Implicit,
        }
        .checked()?;
        if rule.beta_2 <= rule.beta_1 {
            return case.refuse_param("beta2", "above beta1: nothing is promised otherwise");
        }
        let smoothness = case.param("smoothness")?;
        let Some(found) = Certificate::of(&rule, &f, smoothness, &mut x, &mut m) else {
            return case.refuse_input(
                "x",
                "times weight_decay is outside the domain of K*: H is infinite",
            );
        };
        Ok(Outputs::new()
            .with("h_before", found.before)
            .with("h_after", found.after)
            .with("delta1", found.delta_1)
            .with("delta2", found.delta_2)
            .with("upper_bound", found.bound))
    })
}

fn flow() -> Quantity {
    let quantity = flowing(quantity(
        "lion_k_flow_quadratic",
        "Lion-K's flow on a quadratic: parameters and momentum at a time",
    ));
    of_quadratic(quantity.param("t_end", 1.0).with_example("kernel", "log_cosh"))
        .input("x0", "[D]")
        .input("m0", "[D]")
        .eval(|case| {
            let (f, x, m) = (case.quadratic()?, case.numbers("x0")?, case.numbers("m0")?);
            let (kernel, flow, end) = (case.kernel(x.len())?, case.flow()?, case.param("t_end")?);
            if !(end >= 0.0 && end.is_finite()) {
                return case.refuse_param("t_end", "at least 0 and finite");
            }
            match flow.run(kernel, &f, &x, &m, end) {
                Ok((x, m)) => Ok(Outputs::new().with("x", x).with("m", m)),
                Err(problem) => case.refuse_param("kernel", &format!("smooth: {problem}")),
            }
        })
}

fn minimum() -> Quantity {
    let quantity = quantity(
        "lion_k_composite_minimum_quadratic",
        "what Lion-K comes to on a quadratic: the minimum of f(x) + K*(λx)/λ",
    );
    of_quadratic(quantity.param("weight_decay", 1.0)).eval(|case| {
        let f = case.quadratic()?;
        let (x, value) = composite_minimum(case.kernel(f.size())?, case.decayed()?, &f, ROUNDING);
        Ok(Outputs::new().with("x", x).with("value", value))
    })
}
