//! The two float types of the kernels, and an exponential that compilers turn into vector code.

use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub};

/// `f32` or `f64`.
pub trait Real:
    Copy
    + PartialOrd
    + Send
    + Sync
    + std::fmt::Debug
    + Add<Output = Self>
    + AddAssign
    + Sub<Output = Self>
    + Mul<Output = Self>
    + MulAssign
    + Div<Output = Self>
    + Neg<Output = Self>
    + 'static
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// The largest finite value.
    const MAX: Self;
    /// Negative infinity.
    const NEG_INFINITY: Self;

    /// Rounds an `f64`.
    fn from_f64(value: f64) -> Self;
    /// Widens to `f64`.
    fn to_f64(self) -> f64;
    /// `exp` without branches, for lanes: at most 2 ulp for `f32` (0 below -87.33, infinity above 88.72), the
    /// system's own for `f64`.
    fn exp_lane(self) -> Self;
    /// `exp` of a number that is at most 0, without branches, at most 1 ulp off; 0 below -87.33 for `f32`, below -708 for
    /// `f64`. Of a number above 0 it means nothing.
    fn exp_below(self) -> Self;
    /// `exp(x) − 1` without branches, accurate also where it is tiny.
    fn exp_m1_lane(self) -> Self;
    /// The magnitude.
    fn abs(self) -> Self;
    /// The square root, correctly rounded.
    fn sqrt(self) -> Self;
    /// The larger of two, `other` where `self` is not a number.
    fn larger(self, other: Self) -> Self;
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const MAX: Self = f32::MAX;
    const NEG_INFINITY: Self = f32::NEG_INFINITY;

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as f32
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn exp_lane(self) -> Self {
        let Exponential { below_one, power } = Exponential::of(self);
        let scaled = (below_one + 1.0) * power[0] * power[1];
        if self.is_nan() {
            self
        } else if self < -87.33 {
            0.0
        } else {
            scaled
        }
    }

    /// Cody and Waite's reduction `x = n·ln 2 + r`, a polynomial of r that is the nearest in relative error on
    /// `|r| <= ln 2 / 2`, and `2^n` written into the exponent.
    #[inline(always)]
    fn exp_below(self) -> Self {
        const LN2_HIGH: f32 = 0.693_359_4;
        const LN2_LOW: f32 = -2.121_944_4e-4;
        // Adding 1.5·2^23 leaves the rounded integer in the low bits of the mantissa.
        const ROUND: f32 = 12_582_912.0;
        let shifted = self.mul_add(std::f32::consts::LOG2_E, ROUND);
        let n = shifted - ROUND;
        let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, self));
        let mut p = 1.381_458_1e-3_f32;
        p = p.mul_add(r, 8.368_725e-3);
        p = p.mul_add(r, 4.166_839e-2);
        p = p.mul_add(r, 1.666_652_1e-1);
        p = p.mul_add(r, 4.999_999_4e-1);
        let below_one = (p * r).mul_add(r, r);
        let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits()));
        let exp = below_one.mul_add(power, power);
        if self < -87.33 { 0.0 } else { exp }
    }

    #[inline(always)]
    fn exp_m1_lane(self) -> Self {
        let Exponential { below_one, power } = Exponential::of(self);
        let scaled = (below_one + 1.0) * power[0] * power[1] - 1.0;
        if self.is_nan() {
            self
        } else if self < -87.33 {
            -1.0
        } else if power[0] == 1.0 && power[1] == 1.0 {
            below_one
        } else {
            scaled
        }
    }

    #[inline(always)]
    fn abs(self) -> Self {
        f32::abs(self)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }

    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        if self > other { self } else { other }
    }
}

/// `exp(x) = (1 + below_one)·power[0]·power[1]`, with `below_one = exp(r) − 1` for the rest `|r| <= ln 2 / 2`.
struct Exponential {
    below_one: f32,
    power: [f32; 2],
}

impl Exponential {
    /// Cody and Waite's reduction `x = n·ln 2 + r`, a degree-6 polynomial of r, and `2^n` written into the exponent in
    /// two halves so that the ends of the range stay exact.
    #[inline(always)]
    fn of(x: f32) -> Self {
        const LN2_HIGH: f32 = 0.693_359_4;
        const LN2_LOW: f32 = -2.121_944_4e-4;
        // Adding 1.5·2^23 leaves the rounded integer in the low bits of the mantissa.
        const ROUND: f32 = 12_582_912.0;
        let x = x.clamp(-104.0, 89.0);
        let shifted = x * std::f32::consts::LOG2_E + ROUND;
        let n = shifted - ROUND;
        let r = (x - n * LN2_HIGH) - n * LN2_LOW;
        let mut p = 1.987_569_1e-4_f32;
        p = p * r + 1.398_2e-3;
        p = p * r + 8.333_452e-3;
        p = p * r + 4.166_579_6e-2;
        p = p * r + 1.666_666_5e-1;
        p = p * r + 0.5;
        let whole = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
        let half = whole >> 1;
        let power = |n: i32| f32::from_bits(((n + 127) << 23) as u32);
        Self {
            below_one: p * r * r + r,
            power: [power(half), power(whole - half)],
        }
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const MAX: Self = f64::MAX;
    const NEG_INFINITY: Self = f64::NEG_INFINITY;

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }

    #[inline(always)]
    fn exp_lane(self) -> Self {
        self.exp()
    }

    /// As that of `f32`, with Taylor's polynomial of degree 13, which is within 5e-18.
    #[inline(always)]
    fn exp_below(self) -> Self {
        const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
        const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
        const ROUND: f64 = 6_755_399_441_055_744.0;
        const INVERSE_FACTORIALS: [f64; 11] = [
            1.0 / 479_001_600.0,
            1.0 / 39_916_800.0,
            1.0 / 3_628_800.0,
            1.0 / 362_880.0,
            1.0 / 40_320.0,
            1.0 / 5_040.0,
            1.0 / 720.0,
            1.0 / 120.0,
            1.0 / 24.0,
            1.0 / 6.0,
            0.5,
        ];
        let shifted = self.mul_add(std::f64::consts::LOG2_E, ROUND);
        let n = shifted - ROUND;
        let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, self));
        let mut p = 1.0 / 6_227_020_800.0_f64;
        for coefficient in INVERSE_FACTORIALS {
            p = p.mul_add(r, coefficient);
        }
        let below_one = (p * r).mul_add(r, r);
        let power = f64::from_bits((shifted.to_bits() << 52).wrapping_add(1.0_f64.to_bits()));
        let exp = below_one.mul_add(power, power);
        if self < -708.0 { 0.0 } else { exp }
    }

    #[inline(always)]
    fn exp_m1_lane(self) -> Self {
        self.exp_m1()
    }

    #[inline(always)]
    fn abs(self) -> Self {
        f64::abs(self)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }

    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        if self > other { self } else { other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance of an exponential in units of the last place of the correctly rounded one.
    fn ulp_error(x: f32, found: f32) -> f64 {
        let exact = f64::from(x).exp();
        let rounded = exact as f32;
        let ulp = f64::from(f32::from_bits(rounded.to_bits() + 1)) - f64::from(rounded);
        (f64::from(found) - exact).abs() / ulp
    }

    #[test]
    fn exp_is_within_two_ulp_everywhere_it_is_normal() {
        // Every 97th float of the range, both signs, about twenty million of them.
        let mut worst = 0.0_f64;
        for top in [87.3_f32, 88.7] {
            let sign = if top == 87.3 { -1.0 } else { 1.0 };
            for bits in (0..top.to_bits()).step_by(97) {
                let x = sign * f32::from_bits(bits);
                worst = worst.max(ulp_error(x, x.exp_lane()));
            }
        }
        assert!(worst <= 2.0, "worst error {worst} ulp");
    }

    #[test]
    fn exp_below_is_within_one_ulp_everywhere_it_is_normal() {
        let mut worst = 0.0_f64;
        for bits in (0..87.3_f32.to_bits()).step_by(97) {
            let x = -f32::from_bits(bits);
            worst = worst.max(ulp_error(x, x.exp_below()));
        }
        assert!(worst <= 1.0, "worst error {worst} ulp");
        let mut worst = 0.0_f64;
        for step in 0..2_000_000 {
            let x = -708.0 * f64::from(step) / 2e6;
            worst = worst.max((x.exp_below() / x.exp() - 1.0).abs());
        }
        assert!(worst <= 2.0 * f64::EPSILON, "worst relative error {worst:e}");
    }

    #[test]
    fn exp_below_has_the_right_ends() {
        assert_eq!((0.0_f32.exp_below(), 0.0_f64.exp_below()), (1.0, 1.0));
        assert_eq!((-1e4_f32).exp_below(), 0.0);
        assert_eq!((-1e5_f64).exp_below(), 0.0);
        assert_eq!((-f32::MAX).exp_below(), 0.0);
        assert_eq!(f32::NEG_INFINITY.exp_below(), 0.0);
        assert_eq!(f64::NEG_INFINITY.exp_below(), 0.0);
        assert!(f32::NAN.exp_below().is_nan() && f64::NAN.exp_below().is_nan());
    }

    #[test]
    fn exp_m1_keeps_its_digits_near_zero() {
        for bits in (0..88.0_f32.to_bits()).step_by(997) {
            for x in [f32::from_bits(bits), -f32::from_bits(bits)] {
                let exact = f64::from(x).exp_m1();
                let error = (f64::from(x.exp_m1_lane()) - exact).abs();
                assert!(
                    error <= 4e-7 * exact.abs() + 1e-44,
                    "{x}: off by {error:e} of {exact:e}"
                );
            }
        }
        assert_eq!((-1e4_f32).exp_m1_lane(), -1.0);
        assert!(f32::NAN.exp_m1_lane().is_nan());
    }

    #[test]
    fn exp_has_the_right_ends() {
        assert_eq!(f32::NEG_INFINITY.exp_lane(), 0.0);
        assert_eq!((-1e4_f32).exp_lane(), 0.0);
        assert_eq!(0.0_f32.exp_lane(), 1.0);
        assert_eq!(200.0_f32.exp_lane(), f32::INFINITY);
        assert!(f32::NAN.exp_lane().is_nan());
    }
}
