//! Which sums an answer is put together of.
//!
//! Owns the bounds of what can be asked for, and the choice of the few rows that tell it: long times are put together of
//! days, with hours and minutes at their edges as long as these are kept. It reads nothing.

use std::time::Duration;

use crate::config::Retention;
use crate::error::QueryError;
use crate::resolution::Resolution;

/// Buckets of an answer: a day of minutes, or five years of days.
pub(crate) const MOST_BUCKETS: i64 = 2_000;

/// A time of which sums of one length tell. Seconds since 1970, the end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) resolution: Resolution,
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// What an answer is put together of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The time that is told of: what was asked for, or a little more where shorter sums are not kept any more.
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// One after the other, without gaps.
    pub(crate) segments: Vec<Segment>,
}

impl Plan {
    pub(crate) fn new(
        (from, to): (i64, i64),
        bucket: Option<Resolution>,
        now: i64,
        retention: &Retention,
    ) -> Result<Self, QueryError> {
        if from >= to {
            return Err(QueryError::Empty);
        }
        let Some(bucket) = bucket else {
            let (from, to) = (finest(from, now, retention).floor(from), finest(to, now, retention).ceil(to));
            let mut segments = Vec::new();
            cover(Resolution::Minute, from, to, &mut segments);
            return Ok(Plan { from, to, segments });
        };
        let (from, to) = (bucket.floor(from), bucket.ceil(to));
        let buckets = to.saturating_sub(from) / bucket.seconds();
        if buckets > MOST_BUCKETS {
            return Err(QueryError::TooManyBuckets { bucket, buckets, most: MOST_BUCKETS });
        }
        if from < oldest(bucket, now, retention) {
            let kept = retention.seconds(bucket).unsigned_abs();
            let kept = humantime::format_duration(Duration::from_secs(kept)).to_string();
            return Err(QueryError::TooOld { bucket, kept });
        }
        Ok(Plan { from, to, segments: vec![Segment { resolution: bucket, from, to }] })
    }
}

/// The first time of which sums of that length are kept.
fn oldest(resolution: Resolution, now: i64, retention: &Retention) -> i64 {
    resolution.floor(now.saturating_sub(retention.seconds(resolution)))
}

/// The shortest sums that tell of a time. They are counted on from a beginning of the next longer ones, so that what
/// these begin is told by one of them as a whole.
fn finest(time: i64, now: i64, retention: &Retention) -> Resolution {
    let kept = |resolution: &Resolution| {
        resolution.coarser().is_none_or(|coarser| time >= coarser.ceil(oldest(*resolution, now, retention)))
    };
    Resolution::ALL.into_iter().find(kept).unwrap_or(Resolution::Day)
}

/// Puts a time together: the longest sums in its midst, shorter ones at both edges.
fn cover(resolution: Resolution, from: i64, to: i64, segments: &mut Vec<Segment>) {
    let inner = resolution.coarser().map(|coarser| (coarser, coarser.ceil(from), coarser.floor(to)));
    match inner {
        Some((coarser, inner_from, inner_to)) if inner_from < inner_to => {
            segments.extend(segment(resolution, from, inner_from));
            cover(coarser, inner_from, inner_to, segments);
            segments.extend(segment(resolution, inner_to, to));
        }
        _ => segments.extend(segment(resolution, from, to)),
    }
}

fn segment(resolution: Resolution, from: i64, to: i64) -> Option<Segment> {
    (from < to).then_some(Segment { resolution, from, to })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_800_000_000;
    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;

    fn plan(from: i64, to: i64, bucket: Option<Resolution>) -> Result<Plan, QueryError> {
        Plan::new((from, to), bucket, NOW, &Retention::default())
    }

    #[test]
    fn a_month_is_some_days_with_hours_and_minutes_at_its_edges() {
        let to = NOW - 30;
        let plan = plan(to - 30 * DAY, to, None).unwrap();
        let lengths = plan.segments.iter().map(|segment| segment.resolution).collect::<Vec<_>>();
        // Its beginning is older than minutes are kept.
        assert_eq!(lengths, [Resolution::Hour, Resolution::Day, Resolution::Hour]);
        let rows: i64 =
            plan.segments.iter().map(|part| (part.to - part.from) / part.resolution.seconds()).sum();
        assert!(rows < 2 * 24 + 31, "{rows}");
    }

    #[test]
    fn all_time_is_a_plan_and_too_many_buckets_are_none() {
        assert!(plan(i64::MIN, i64::MAX, None).unwrap().segments.len() <= 5);
        let error = plan(0, NOW, Some(Resolution::Minute)).unwrap_err().to_string();
        assert!(error.contains("2000 buckets at most") && error.contains("bucket=hour"), "{error}");
        let error = plan(i64::MIN, i64::MAX, Some(Resolution::Day)).unwrap_err().to_string();
        assert!(error.contains("leave bucket out"), "{error}");
    }

    #[test]
    fn minutes_that_are_gone_are_told_and_not_answered_with_nothing() {
        let error = plan(NOW - 30 * DAY, NOW - 30 * DAY + HOUR, Some(Resolution::Minute)).unwrap_err();
        assert!(error.to_string().contains("kept for 2days"), "{error}");
        assert!(plan(NOW - 30 * DAY, NOW, Some(Resolution::Hour)).is_ok());
        assert!(matches!(plan(5, 5, None), Err(QueryError::Empty)));
    }

    proptest! {
        #[test]
        fn segments_have_no_gap_and_each_is_kept(
            from in NOW - 100 * DAY..NOW + DAY, length in 1..100 * DAY,
        ) {
            let (to, retention) = (from + length, Retention::default());
            let plan = plan(from, to, None).unwrap();
            prop_assert!(plan.from <= from && plan.to >= to);
            let mut at = plan.from;
            for part in &plan.segments {
                prop_assert_eq!(part.from, at);
                at = part.to;
                prop_assert!(part.from < part.to);
                let aligned = |time: i64| part.resolution.floor(time) == time;
                prop_assert!(aligned(part.from) && aligned(part.to));
                prop_assert!(part.from >= oldest(part.resolution, NOW, &retention));
            }
            prop_assert_eq!(at, plan.to);
        }
    }
}
