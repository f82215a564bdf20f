//! What one of each kind costs, when only sums of several kinds are seen.
//!
//! Owns the normal equations of a least-squares fit, which fade, and their solution. It never says what kinds are.
//!
//! It is drawn a little to a solution that is known before (ridge regression), so that kinds that are always seen
//! together, or were hardly seen, have what all have on average.

/// Kinds at most.
pub(crate) const KINDS: usize = 24;

/// After so many observations one counts a third.
const REMEMBERED: f64 = 900.0;

/// As much as ten of a kind in one observation.
const RIDGE: f64 = 100.0;

type Row = [f64; KINDS];

/// What was seen until now.
#[derive(Clone, Debug)]
pub(crate) struct Regression {
    squares: Box<[Row; KINDS]>,
    products: Row,
}

impl Regression {
    pub(crate) fn new() -> Self {
        Regression { squares: Box::new([[0.0; KINDS]; KINDS]), products: [0.0; KINDS] }
    }

    /// So many of each kind have cost so much together.
    pub(crate) fn add(&mut self, numbers: &Row, cost: f64) {
        let fade = 1.0 - 1.0 / REMEMBERED;
        for (row, number) in self.squares.iter_mut().zip(numbers) {
            for (square, other) in row.iter_mut().zip(numbers) {
                *square = *square * fade + number * other;
            }
        }
        for (product, number) in self.products.iter_mut().zip(numbers) {
            *product = *product * fade + number * cost;
        }
    }

    /// What one of each kind costs, when so much was known before. Nothing costs less than nothing.
    pub(crate) fn costs(&self, before: &Row) -> Row {
        let mut squares = self.squares.clone();
        let mut products = self.products;
        for (kind, known) in before.iter().enumerate() {
            squares[kind][kind] += RIDGE;
            products[kind] += RIDGE * known;
        }
        solve(&mut squares, products).map(|cost| cost.max(0.0))
    }
}

/// By Gauss; the matrix is positive definite, and so no pivot is too small.
fn solve(matrix: &mut [Row; KINDS], mut right: Row) -> Row {
    for at in 0..KINDS {
        let (pivot_row, pivot_right) = (matrix[at], right[at]);
        for (row, result) in matrix.iter_mut().zip(&mut right).skip(at + 1) {
            let factor = row[at] / pivot_row[at];
            for (value, pivot) in row.iter_mut().zip(&pivot_row) {
                *value -= factor * pivot;
            }
            *result -= factor * pivot_right;
        }
    }
    for at in (0..KINDS).rev() {
        let known: f64 = (at + 1..KINDS).map(|column| matrix[at][column] * right[column]).sum();
        right[at] = (right[at] - known) / matrix[at][at];
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(some: &[f64]) -> Row {
        let mut numbers = [0.0; KINDS];
        numbers[..some.len()].copy_from_slice(some);
        numbers
    }

    #[test]
    fn kinds_that_are_seen_in_different_numbers_are_told_apart() {
        let mut regression = Regression::new();
        for n in 0..200 {
            let (a, b) = (f64::from(n % 17) * 10.0, f64::from(n % 5) * 10.0);
            regression.add(&numbers(&[a, b, 1.0]), 0.003 * a + 0.020 * b + 0.01);
        }
        let costs = regression.costs(&numbers(&[0.01, 0.01]));
        assert!((costs[0] - 0.003).abs() < 2e-4 && (costs[1] - 0.020).abs() < 5e-4, "{costs:?}");
    }

    #[test]
    fn kinds_that_are_always_together_have_what_was_known_of_them_on_average() {
        let mut regression = Regression::new();
        (0..200).for_each(|_| regression.add(&numbers(&[100.0, 100.0]), 2.0));
        let costs = regression.costs(&numbers(&[0.01, 0.01]));
        assert!((costs[0] - 0.01).abs() < 1e-4 && (costs[1] - 0.01).abs() < 1e-4, "{costs:?}");
        assert!((regression.costs(&[0.5; KINDS])[5] - 0.5).abs() < 1e-9, "what was never seen");
    }

    #[test]
    fn nothing_costs_less_than_nothing() {
        let mut regression = Regression::new();
        regression.add(&numbers(&[100.0]), -5.0);
        assert_eq!(regression.costs(&numbers(&[]))[0], 0.0);
    }
}
