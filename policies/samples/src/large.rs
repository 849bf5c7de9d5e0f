// SPDX-License-Identifier: MIT OR Apache-2.0
//! Large systems and policies, numbered through, for benches.

use bulkhead_policy::{Domain, System};

/// How many domains there are.
pub const DOMAINS: usize = 500;
const TAGS: usize = 20;
const TEAMS: usize = 7;

/// Numbers that look random and are the same in each run.
#[derive(Debug)]
pub struct Numbers(pub u64);

impl Numbers {
    /// The next one, smaller than `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % limit
    }
}

/// A system of [`DOMAINS`] domains in tags and teams; each tenth can be made disposables of.
pub fn system() -> System {
    System::new((0..DOMAINS).map(|n| Domain {
        uuid: format!("{n:08x}-1111-4111-8111-111111111111").parse().ok(),
        tags: vec![
            format!("tag{}", n % TAGS),
            format!("team{}", n % TEAMS),
            "all".to_owned(),
        ],
        template_for_dispvms: n.is_multiple_of(10),
        default_dispvm: "vm0".parse().ok(),
        guivm: None,
        ..Domain::new(format!("vm{n}").parse().unwrap(), "AppVM")
    }))
}

/// A rule whose fields are about numbered services, domains, tags and teams.
#[derive(Clone, Debug)]
pub struct RandomRule {
    /// The number of its service.
    pub service: usize,
    argument: &'static str,
    /// Its source.
    pub source: Field,
    /// Its target.
    pub target: Field,
    action: &'static str,
}

/// A source or a target.
#[derive(Clone, Copy, Debug)]
pub enum Field {
    /// A domain.
    Domain(usize),
    /// All domains of a tag.
    Tag(usize),
    /// All domains of a team.
    Team(usize),
    /// Any domain.
    AnyVm,
    /// A disposable.
    DispVm,
}

impl Field {
    /// As a rule or a call writes it.
    pub fn word(self) -> String {
        match self {
            Self::Domain(n) => format!("vm{n}"),
            Self::Tag(n) => format!("@tag:tag{n}"),
            Self::Team(n) => format!("@tag:team{n}"),
            Self::AnyVm => "@anyvm".to_owned(),
            Self::DispVm => "@dispvm".to_owned(),
        }
    }

    /// The number of a domain that the field means.
    pub fn one(self, numbers: &mut Numbers) -> usize {
        match self {
            Self::Domain(n) => n,
            Self::Tag(n) => n + TAGS * numbers.below(DOMAINS / TAGS),
            Self::Team(n) => n + TEAMS * numbers.below(DOMAINS / TEAMS),
            Self::AnyVm | Self::DispVm => numbers.below(DOMAINS),
        }
    }
}

impl RandomRule {
    /// The rule, without its line feed.
    pub fn line(&self) -> String {
        let Self {
            service,
            argument,
            source,
            target,
            action,
        } = self;
        let (source, target) = (source.word(), target.word());
        format!("svc.Number{service} {argument} {source} {target} {action}")
    }
}

/// So many rules about so many services, each with one of the actions.
pub fn rules(
    seed: u64,
    count: usize,
    services: usize,
    actions: &[&'static str],
) -> Vec<RandomRule> {
    let mut numbers = Numbers(seed);
    let one = |_| RandomRule {
        service: numbers.below(services),
        source: match numbers.below(10) {
            0 => Field::AnyVm,
            1..4 => Field::Tag(numbers.below(TAGS)),
            _ => Field::Domain(numbers.below(DOMAINS)),
        },
        target: match numbers.below(10) {
            0 => Field::DispVm,
            1 => Field::AnyVm,
            2..4 => Field::Team(numbers.below(TEAMS)),
            _ => Field::Domain(numbers.below(DOMAINS)),
        },
        argument: ["+arg", "*", "*", "*", "*"][numbers.below(5)],
        action: actions[numbers.below(actions.len())],
    };
    (0..count).map(one).collect()
}
