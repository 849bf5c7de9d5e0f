// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which port the data of a call goes through.
//!
//! The daemon of domain R gives out 513 + i, i < 4096. For a peer domain C above R, i is odd; for
//! one below, even; for dom0, any. So two daemons never give the same pair the same number. A
//! port is free again when the agent reports its end together with the right domain.
//!
//! Another domain can hold a call, and with it a port, for as long as it likes. So it gets no port
//! that would leave it with more than there are free: a thousand calls of one domain find room, and
//! no domain can take the room of all others.

use bulkhead_types::{DomId, Port};

use crate::exec::Route;
use crate::limits::{FIRST_DATA_PORT, PORTS};

/// The ports of one daemon.
#[derive(Clone, Debug)]
pub struct PortAllocator {
    own: DomId,
    taken: Vec<Option<DomId>>,
}

impl PortAllocator {
    /// All ports free, for the daemon of `own`.
    pub fn new(own: DomId) -> Self {
        Self {
            own,
            taken: vec![None; PORTS as usize],
        }
    }

    /// Takes the lowest free port for data between the daemon's domain and `peer`. `None` when there is
    /// none, or `peer` has its share.
    pub fn allocate(&mut self, peer: DomId) -> Option<Port> {
        let (first, step) = match peer {
            DomId::DOM0 => (0, 1),
            peer if peer > self.own => (1, 2),
            _ => (0, 2),
        };
        let slots = (first..self.taken.len()).step_by(step);
        let free = slots.clone().find(|i| self.taken[*i].is_none())?;
        if peer != DomId::DOM0 {
            let count = |whose| slots.clone().filter(|i| self.taken[*i] == whose).count();
            if count(Some(peer)) >= count(None) {
                return None;
            }
        }
        self.taken[free] = Some(peer);
        u32::try_from(free).ok().map(|i| Port(FIRST_DATA_PORT + i))
    }

    /// Frees the port of `route` if it is taken for that domain. Returns whether it was.
    pub fn release(&mut self, route: Route) -> bool {
        let slot = Self::index(route.port).and_then(|i| self.taken.get_mut(i));
        match slot {
            Some(slot) if *slot == Some(route.domain) => {
                *slot = None;
                true
            }
            _ => false,
        }
    }

    /// Whether a port lies in the range that daemons give out.
    pub fn in_range(port: Port) -> bool {
        Self::index(port).is_some()
    }

    fn index(port: Port) -> Option<usize> {
        let index = port.0.checked_sub(FIRST_DATA_PORT).filter(|i| *i < PORTS)?;
        usize::try_from(index).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn domain(number: u32) -> DomId {
        DomId::new(number).unwrap()
    }

    #[test]
    fn parity_keeps_two_daemons_apart() {
        let mut ports = PortAllocator::new(domain(42));
        assert_eq!(ports.allocate(domain(43)), Some(Port(514)));
        assert_eq!(ports.allocate(domain(44)), Some(Port(516)));
        assert_eq!(ports.allocate(domain(41)), Some(Port(513)));
        assert_eq!(ports.allocate(DomId::DOM0), Some(Port(515)));
    }

    #[test]
    fn only_the_recorded_domain_frees_a_port() {
        let mut ports = PortAllocator::new(domain(42));
        let port = ports.allocate(domain(43)).unwrap();
        assert!(!ports.release(Route {
            domain: domain(44),
            port
        }));
        assert!(!ports.release(Route {
            domain: domain(43),
            port: Port(0)
        }));
        assert!(ports.release(Route {
            domain: domain(43),
            port
        }));
        assert!(!ports.release(Route {
            domain: domain(43),
            port
        }));
    }

    #[test]
    fn a_domain_that_takes_all_it_can_leaves_room_for_a_thousand_calls_less_by_half_each() {
        let mut ports = PortAllocator::new(domain(42));
        let mut all_of = |peer| std::iter::from_fn(|| ports.allocate(domain(peer))).count();
        assert_eq!(all_of(43), 1024);
        assert_eq!(all_of(43), 0);
        assert_eq!(all_of(44), 512);
        assert_eq!(all_of(7), 1024);
        assert!(all_of(0) > 1000);
    }

    proptest! {
        #[test]
        fn no_port_is_given_out_twice_and_all_can_be(ops in prop::collection::vec((0u32..6, any::<bool>()), 0..600)) {
            let mut ports = PortAllocator::new(domain(3));
            let mut open: Vec<Route> = Vec::new();
            for (peer, free) in ops {
                if free && !open.is_empty() {
                    prop_assert!(ports.release(open.swap_remove(peer as usize % open.len())));
                } else if let Some(port) = ports.allocate(domain(peer)) {
                    prop_assert!(PortAllocator::in_range(port));
                    prop_assert!(open.iter().all(|route| route.port != port));
                    open.push(Route { domain: domain(peer), port });
                } else {
                    prop_assert!(open.len() >= PORTS as usize / 4);
                }
            }
        }
    }
}
