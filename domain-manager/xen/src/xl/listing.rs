// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `xl list` prints.

use bulkhead_types::{DomId, DomainUuid};
use serde::Deserialize;

/// A domain as `xl list -l` describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its number.
    pub id: DomId,
    /// Its name as Xen knows it; domains that others made may have names of any form.
    pub name: String,
    /// Its UUID, if it is written as one.
    pub uuid: Option<DomainUuid>,
    /// The most memory it may have, in KiB, if its configuration is known.
    pub memory_kib: Option<u64>,
}

/// What a domain is doing (`xl list`, column State).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunState {
    /// Its number.
    pub id: DomId,
    /// Its memory in MiB now.
    pub memory_mib: u64,
    /// It is stopped in place.
    pub paused: bool,
    /// It has ended itself and waits to be destroyed.
    pub shut_down: bool,
    /// Its kernel crashed.
    pub crashed: bool,
    /// It is being destroyed.
    pub dying: bool,
}

#[derive(Deserialize)]
struct Entry {
    domid: u32,
    #[serde(default)]
    config: Config,
}

#[derive(Default, Deserialize)]
struct Config {
    #[serde(default)]
    c_info: Creation,
    #[serde(default)]
    b_info: Build,
}

#[derive(Default, Deserialize)]
struct Creation {
    #[serde(default)]
    name: String,
    #[serde(default)]
    uuid: String,
}

#[derive(Default, Deserialize)]
struct Build {
    max_memkb: Option<u64>,
}

/// Reads the JSON of `xl list -l`.
pub(super) fn parse_long(text: &str) -> Option<Vec<Listed>> {
    let entries: Vec<Entry> = serde_json::from_str(text).ok()?;
    let listed = |entry: Entry| {
        Some(Listed {
            id: DomId::new(entry.domid).ok()?,
            name: entry.config.c_info.name,
            uuid: DomainUuid::parse(&entry.config.c_info.uuid).ok(),
            memory_kib: entry.config.b_info.max_memkb,
        })
    };
    entries.into_iter().map(listed).collect()
}

/// Reads the table of `xl list`: name, id, memory, processors, state, time.
pub(super) fn parse_table(text: &str) -> Option<Vec<RunState>> {
    let mut lines = text.lines();
    if !lines.next()?.starts_with("Name") {
        return None;
    }
    lines.map(parse_row).collect()
}

fn parse_row(line: &str) -> Option<RunState> {
    // From the right, as a name that others gave may hold blanks.
    let mut columns = line.split_whitespace().rev();
    let (_time, state, _vcpus) = (columns.next()?, columns.next()?, columns.next()?);
    let (memory, id) = (columns.next()?, columns.next()?);
    let has = |flag: char| state.contains(flag);
    Some(RunState {
        id: id.parse().ok()?,
        memory_mib: memory.parse().ok()?,
        paused: has('p'),
        shut_down: has('s'),
        crashed: has('c'),
        dying: has('d'),
    })
}

/// Reads the table of `xl vm-list`: UUID, id, name, which a half-made domain has not.
pub(super) fn parse_uuids(text: &str) -> Option<Vec<(DomId, DomainUuid)>> {
    let mut lines = text.lines();
    if !lines.next()?.starts_with("UUID") {
        return None;
    }
    let row = |line: &str| {
        let mut columns = line.split_whitespace();
        let uuid = DomainUuid::parse(columns.next()?).ok()?;
        Some((columns.next()?.parse().ok()?, uuid))
    };
    lines.map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_long_listing_gives_names_and_uuids() {
        let text = r#"[
            {"domid": 0, "config": {"c_info": {"type": "pv", "name": "Domain-0"}, "b_info": {"max_memkb": 1572864}}},
            {"domid": 3, "config": {
                "c_info": {"type": "pvh", "name": "work", "uuid": "11223344-5566-7788-99aa-bbccddeeff00"},
                "b_info": {"max_memkb": 409600, "kernel": "/k"}, "on_poweroff": "destroy", "new_in_4.21": []}}
        ]"#;
        let listed = parse_long(text).unwrap();
        assert_eq!(listed.len(), 2);
        assert_eq!(
            (listed[0].name.as_str(), listed[0].uuid.is_none()),
            ("Domain-0", true)
        );
        assert_eq!(
            (listed[1].id.get(), listed[1].memory_kib),
            (3, Some(409_600))
        );
        assert_eq!(parse_long("[]"), Some(vec![]));
        assert_eq!(parse_long("no json"), None);
    }

    #[test]
    fn the_table_gives_states() {
        let text = "\
Name                                        ID   Mem VCPUs\tState\tTime(s)
Domain-0                                     0  1536     2     r-----      33.1
work                                         3   400     1     --p---       0.0
a name with blanks                           4   200     1     ---sc-       1.5
(null)                                       9     0     1     --psrd       2.0
";
        let states = parse_table(text).unwrap();
        let flags = |s: &RunState| {
            (
                s.id.get(),
                s.memory_mib,
                s.paused,
                s.shut_down,
                s.crashed,
                s.dying,
            )
        };
        let seen: Vec<_> = states.iter().map(flags).collect();
        assert_eq!(seen[0], (0, 1536, false, false, false, false));
        assert_eq!(seen[1], (3, 400, true, false, false, false));
        assert_eq!(seen[2], (4, 200, false, true, true, false));
        assert_eq!(seen[3], (9, 0, true, true, false, true));
        assert_eq!(parse_table("cannot init xl context"), None);
    }

    #[test]
    fn a_half_made_domain_has_a_uuid_and_no_name() {
        let text = "\
UUID                                  ID    name
00000000-0000-0000-0000-000000000000     0    Domain-0
11223344-5566-7788-99aa-bbccddeeff00     7    (null)
";
        let uuids = parse_uuids(text).unwrap();
        let half_made = DomainUuid::parse("11223344-5566-7788-99aa-bbccddeeff00").unwrap();
        assert_eq!(uuids[1], (DomId::new(7).unwrap(), half_made));
        assert_eq!(parse_uuids("cannot init xl context"), None);
    }
}
