//! Two lists laid beside each other in order.

/// One step of an alignment.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Miss(usize),
    Extra(usize),
    Match(usize, usize),
}

/// The cheapest way to lay true and told runs beside each other in order.
pub(super) fn cheapest(
    (lives, runs): (usize, usize),
    miss: impl Fn(usize) -> usize,
    both: impl Fn(usize, usize) -> Option<usize>,
) -> Vec<Step> {
    const EXTRA: usize = 1000;
    let width = runs + 1;
    let mut best = vec![(usize::MAX / 2, None::<Step>); (lives + 1) * width];
    best[0].0 = 0;
    for i in 0..=lives {
        for j in 0..=runs {
            let cost = best[i * width + j].0;
            let mut offer = |at: usize, more: usize, step: Step| {
                if cost + more < best[at].0 {
                    best[at] = (cost + more, Some(step));
                }
            };
            if i < lives {
                offer((i + 1) * width + j, 10 * miss(i), Step::Miss(i));
            }
            if j < runs {
                offer(i * width + j + 1, 10 * EXTRA, Step::Extra(j));
            }
            if i < lives
                && j < runs
                && let Some(more) = both(i, j)
            {
                offer((i + 1) * width + j + 1, more, Step::Match(i, j));
            }
        }
    }
    let mut steps = Vec::new();
    let mut at = best.len() - 1;
    while let Some(step) = best[at].1 {
        steps.push(step);
        at -= match step {
            Step::Miss(_) => width,
            Step::Extra(_) => 1,
            Step::Match(..) => width + 1,
        };
    }
    steps.reverse();
    steps
}
