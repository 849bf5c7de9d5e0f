// SPDX-License-Identifier: GPL-3.0-or-later
//! Where things stand: three columns, in orders in which few lines cross, each beside what it is
//! joined to.

use super::cards::Card;

/// How often the columns are brought into the order of their neighbours.
const SWEEPS: usize = 24;

/// The columns from above, by number.
#[derive(Clone)]
pub(super) struct Order {
    pub sources: Vec<usize>,
    pub flows: Vec<usize>,
    pub targets: Vec<usize>,
}

impl Order {
    /// The best one found by putting each column into the order of the middles of what it is joined
    /// to, again and again.
    pub fn untangled(sources: &[Card], flows: usize, targets: &[Card]) -> Self {
        let mut order = Self {
            sources: (0..sources.len()).collect(),
            flows: (0..flows).collect(),
            targets: (0..targets.len()).collect(),
        };
        let mut best = (usize::MAX, order.clone());
        for _ in 0..SWEEPS {
            let rank = ranks(&order.flows);
            let middle = |card: &Card| average(card.flows.iter().map(|flow| rank[*flow]));
            sort(&mut order.sources, |card| middle(&sources[card]));
            sort(&mut order.targets, |card| middle(&targets[card]));
            let crossings = crossings(sources, &order.sources, &rank)
                + crossings(targets, &order.targets, &rank);
            if crossings < best.0 {
                best = (crossings, order.clone());
            }
            let (left, right) = (ranks(&order.sources), ranks(&order.targets));
            let joined = |flow: usize, cards: &[Card], rank: &[f64]| {
                let cards = cards.iter().zip(rank);
                average(
                    cards
                        .filter(|(card, _)| card.flows.contains(&flow))
                        .map(|(_, rank)| *rank),
                )
            };
            sort(&mut order.flows, |flow| {
                joined(flow, sources, &left) + joined(flow, targets, &right)
            });
        }
        best.1
    }
}

/// By number, where in the order it stands: from 0 to 1.
fn ranks(order: &[usize]) -> Vec<f64> {
    let mut ranks = vec![0.0; order.len()];
    for (place, number) in order.iter().enumerate() {
        ranks[*number] = (place as f64 + 0.5) / order.len() as f64;
    }
    ranks
}

fn sort(order: &mut [usize], middle: impl Fn(usize) -> f64) {
    order.sort_by(|a, b| middle(*a).total_cmp(&middle(*b)));
}

/// How many lines cross between a column and the flows.
fn crossings(cards: &[Card], order: &[usize], rank: &[f64]) -> usize {
    let mut count = 0;
    for (place, above) in order.iter().enumerate() {
        for below in &order[place + 1..] {
            for one in &cards[*above].flows {
                let other = cards[*below].flows.iter();
                count += other.filter(|other| rank[**other] < rank[*one]).count();
            }
        }
    }
    count
}

pub(super) fn average(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for value in values {
        sum += value;
        count += 1.0;
    }
    if count > 0.0 { sum / count } else { 0.0 }
}

/// How much room a column takes.
pub(super) fn height_of(order: &[usize], height: impl Fn(usize) -> f64, space: f64) -> f64 {
    order.iter().map(|number| height(*number) + space).sum()
}

/// Where each begins, by number: in their order, over the whole height.
pub(super) fn spread(
    order: &[usize],
    height: impl Fn(usize) -> f64,
    space: f64,
    [top, inner]: [f64; 2],
) -> Vec<f64> {
    let free = inner - height_of(order, &height, space);
    let gap = free / (order.len() as f64 + 1.0);
    let mut places = vec![0.0; order.len()];
    let mut y = top;
    for number in order {
        y += gap;
        places[*number] = y;
        y += height(*number) + space;
    }
    places
}

/// Where each begins, by number: in their order, as near to their `middle` as the others let them.
pub(super) fn beside(
    order: &[usize],
    height: impl Fn(usize) -> f64,
    middle: impl Fn(usize) -> f64,
    space: f64,
    [top, inner]: [f64; 2],
) -> Vec<f64> {
    let mut places = vec![0.0; order.len()];
    let mut free = top;
    for number in order {
        let wanted = middle(*number) - height(*number) / 2.0;
        places[*number] = wanted.max(free);
        free = places[*number] + height(*number) + space;
    }
    let mut end = top + inner;
    for number in order.iter().rev() {
        places[*number] = places[*number].min(end - space - height(*number));
        end = places[*number];
    }
    places
}
