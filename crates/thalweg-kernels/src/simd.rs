//! Which instruction set a kernel runs on, decided once per process.
//!
//! A kernel is written once, as plain loops over lanes marked `#[inline(always)]`; [`dispatch!`](crate::dispatch)
//! compiles that body three times, for AVX-512, AVX2 with FMA, and the target's baseline (NEON on AArch64), and
//! calls the best that the processor has.

/// An instruction set a kernel may be compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// What the target guarantees.
    Baseline,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
}

/// The best level of this processor.
pub fn level() -> Level {
    #[cfg(target_arch = "x86_64")]
    {
        static LEVEL: std::sync::OnceLock<Level> = std::sync::OnceLock::new();
        *LEVEL.get_or_init(|| {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            if avx2 && avx512 {
                Level::Avx512
            } else if avx2 {
                Level::Avx2
            } else {
                Level::Baseline
            }
        })
    }
    #[cfg(not(target_arch = "x86_64"))]
    Level::Baseline
}

/// Runs `body(args)` compiled for the processor's best instruction set. `body` must be `#[inline(always)]`.
#[macro_export]
macro_rules! dispatch {
    ([$($generics:tt)*] $body:path, ($($arg:ident: $ty:ty),* $(,)?)) => {{
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
            fn avx512<$($generics)*>($($arg: $ty),*) {
                $body($($arg),*)
            }
            #[target_feature(enable = "avx2,fma")]
            fn avx2<$($generics)*>($($arg: $ty),*) {
                $body($($arg),*)
            }
            match $crate::simd::level() {
                // SAFETY: `level` saw these features on this processor.
                $crate::simd::Level::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: `level` saw these features on this processor.
                $crate::simd::Level::Avx2 => unsafe { avx2($($arg),*) },
                $crate::simd::Level::Baseline => $body($($arg),*),
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        $body($($arg),*)
    }};
}
