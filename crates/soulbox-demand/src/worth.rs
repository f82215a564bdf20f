//! Which sandboxes are worth keeping, by how often each would be used.
//!
//! Owns the rule and its hysteresis.

/// By how much less a sandbox that waits already needs to be used than one that is to be made.
const KEPT_FOR_LESS: f64 = 0.5;

/// How many are worth keeping, where `before` are kept now: the first `n` that together are used more often than
/// `price` for each, per second.
pub(crate) fn worth_keeping(rates: &[f64], price: f64, before: usize) -> usize {
    let made = best(rates, price);
    let kept = best(rates, price * KEPT_FOR_LESS);
    before.clamp(made, kept.max(made))
}

/// The number with the greatest surplus. A sandbox that is seldom the last to be taken is kept for those behind it:
/// where many come at once, as many as come.
fn best(rates: &[f64], price: f64) -> usize {
    let (mut best, mut greatest, mut surplus) = (0, 0.0, 0.0);
    for (index, rate) in rates.iter().enumerate() {
        surplus += rate - price;
        if surplus > greatest {
            (best, greatest) = (index + 1, surplus);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_used_often_enough_are_worth_it() {
        assert_eq!(worth_keeping(&[3.0, 2.0, 0.5, 0.1], 1.0, 0), 2);
        assert_eq!(worth_keeping(&[0.5], 1.0, 0), 0);
        assert_eq!(worth_keeping(&[], 1.0, 7), 0);
    }

    #[test]
    fn a_gap_is_kept_for_those_behind_it() {
        assert_eq!(worth_keeping(&[0.9, 0.9, 3.0], 1.0, 0), 3);
        assert_eq!(worth_keeping(&[0.0, 0.0, 1.5], 1.0, 0), 0);
    }

    #[test]
    fn what_is_kept_needs_less_than_what_is_made() {
        let rates = [3.0, 0.7, 0.7, 0.3];
        assert_eq!(worth_keeping(&rates, 1.0, 0), 1);
        assert_eq!(worth_keeping(&rates, 1.0, 2), 2);
        assert_eq!(worth_keeping(&rates, 1.0, 9), 3);
    }
}
