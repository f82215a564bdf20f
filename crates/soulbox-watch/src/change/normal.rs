//! The normal distribution's quantiles, to which ranks are translated.

/// The quantile of a probability, within 1e-6 for those that ranks can have: Acklam's rational approximation.
pub(super) fn quantile(probability: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969683028665376e1,
        2.209460984245205e2,
        -2.759285104469687e2,
        1.383_577_518_672_69e2,
        -3.066479806614716e1,
        2.506628277459239,
    ];
    const B: [f64; 5] = [
        -5.447609879822406e1,
        1.615858368580409e2,
        -1.556989798598866e2,
        6.680131188771972e1,
        -1.328068155288572e1,
    ];
    const C: [f64; 6] = [
        -7.784894002430293e-3,
        -3.223964580411365e-1,
        -2.400758277161838,
        -2.549732539343734,
        4.374664141464968,
        2.938163982698783,
    ];
    const D: [f64; 4] = [7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416];
    const TAIL: f64 = 0.02425;
    let horner = |coefficients: &[f64], at: f64| coefficients.iter().fold(0.0, |sum, next| sum * at + next);
    let p = probability.clamp(1e-9, 1.0 - 1e-9);
    let tail = |p: f64| {
        let q = (-2.0 * p.ln()).sqrt();
        horner(&C, q) / (horner(&D, q) * q + 1.0)
    };
    if p < TAIL {
        tail(p)
    } else if p > 1.0 - TAIL {
        -tail(1.0 - p)
    } else {
        let q = p - 0.5;
        let r = q * q;
        horner(&A, r) * q / (horner(&B, r) * r + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_tables() {
        for (p, z) in [(0.5, 0.0), (0.975, 1.959964), (0.841345, 1.0), (0.001, -3.090232), (0.9999, 3.719016)]
        {
            assert!((quantile(p) - z).abs() < 1e-4, "{p}: {}", quantile(p));
        }
        assert!(quantile(0.0).is_finite() && quantile(1.0).is_finite());
    }
}
