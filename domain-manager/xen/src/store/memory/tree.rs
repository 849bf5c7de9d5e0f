// SPDX-License-Identifier: MIT OR Apache-2.0
//! The nodes, and what each domain may do with them.

use std::collections::BTreeMap;

use bulkhead_types::DomId;

use super::super::path::{is_within, parent};
use super::super::{Access, Permissions, Refusal};

/// The most bytes of a value that a guest may store (xenstored's default).
const VALUE_MAX: usize = 2048;

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub value: Vec<u8>,
    pub permissions: Permissions,
    /// Grows with every change of the node, its permissions or its children.
    pub generation: u64,
}

/// A change, and who makes it.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Write(String, Vec<u8>),
    Mkdir(String),
    Rm(String),
    SetPermissions(String, Permissions),
}

/// A path whose watchers are to be told, and whether only those of exactly this path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fired {
    pub path: String,
    pub exactly: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<String, Node>,
    generation: u64,
}

impl Tree {
    pub fn new() -> Self {
        let permissions = Permissions::private(DomId::DOM0);
        let root = Node {
            value: Vec::new(),
            permissions,
            generation: 0,
        };
        Self {
            nodes: BTreeMap::from([("/".to_owned(), root)]),
            generation: 0,
        }
    }

    /// The generation of a node, if it is there.
    pub fn generation(&self, path: &str) -> Option<u64> {
        self.nodes.get(path).map(|node| node.generation)
    }

    /// A node that `domain` may use so.
    pub fn get(&self, domain: DomId, path: &str, need: Access) -> Result<&Node, Refusal> {
        match self.nodes.get(path) {
            Some(node) if node.permissions.of(domain).allows(need) => Ok(node),
            Some(_) => Err(Refusal::Denied),
            // Whether a node is there is told only to those who may see where it would be.
            None => match self.nearest(path) {
                Some((_, above)) if above.permissions.of(domain).allows(need) => {
                    Err(Refusal::NotFound)
                }
                _ => Err(Refusal::Denied),
            },
        }
    }

    /// The names directly below a node.
    pub fn children(&self, path: &str) -> Vec<String> {
        let top = if path == "/" {
            "/".to_owned()
        } else {
            format!("{path}/")
        };
        let below = self
            .nodes
            .range(top.clone()..)
            .take_while(|(path, _)| path.starts_with(&top));
        let names = below.filter_map(|(path, _)| path.strip_prefix(&top));
        names
            .filter(|name| !name.is_empty() && !name.contains('/'))
            .map(str::to_owned)
            .collect()
    }

    /// Makes a change, and says whom it concerns.
    pub fn apply(&mut self, domain: DomId, change: &Change) -> Result<Vec<Fired>, Refusal> {
        self.generation += 1;
        match change {
            Change::Write(path, value) => {
                if domain != DomId::DOM0 && value.len() > VALUE_MAX {
                    return Err(Refusal::Quota);
                }
                self.make(domain, path)?.value = value.clone();
            }
            Change::Mkdir(path) if self.nodes.contains_key(path) => {
                self.get(domain, path, Access::Write)?;
                return Ok(Vec::new());
            }
            Change::Mkdir(path) => {
                self.make(domain, path)?;
            }
            Change::Rm(path) => return self.remove(domain, path),
            Change::SetPermissions(path, permissions) => {
                let node = self.get(domain, path, Access::Write)?;
                let owner = node.permissions.owner;
                let may = domain == DomId::DOM0 || (domain == owner && permissions.owner == owner);
                if !may {
                    return Err(Refusal::Denied);
                }
                self.changed(path).permissions = permissions.clone();
            }
        }
        let (Change::Write(path, _)
        | Change::Mkdir(path)
        | Change::Rm(path)
        | Change::SetPermissions(path, _)) = change;
        Ok(vec![Fired {
            path: path.clone(),
            exactly: false,
        }])
    }

    /// The node at `path`, made with what is missing above it.
    fn make(&mut self, domain: DomId, path: &str) -> Result<&mut Node, Refusal> {
        if self.nodes.contains_key(path) {
            self.get(domain, path, Access::Write)?;
            return Ok(self.changed(path));
        }
        let (above, node) = self.nearest(path).ok_or(Refusal::Invalid)?;
        if !node.permissions.of(domain).allows(Access::Write) {
            return Err(Refusal::Denied);
        }
        let (above, mut permissions) = (above.to_owned(), node.permissions.clone());
        if domain != DomId::DOM0 {
            permissions.owner = domain;
        }
        self.changed(&above);
        let mut missing = path;
        while missing != above {
            let node = Node {
                value: Vec::new(),
                permissions: permissions.clone(),
                generation: self.generation,
            };
            self.nodes.insert(missing.to_owned(), node);
            missing = parent(missing).unwrap_or(&above);
        }
        Ok(self.changed(path))
    }

    fn remove(&mut self, domain: DomId, path: &str) -> Result<Vec<Fired>, Refusal> {
        let above = parent(path).ok_or(Refusal::Invalid)?;
        if !self.nodes.contains_key(path) {
            // Removing what is not there is fine where one could have removed it.
            return self.get(domain, above, Access::Write).map(|_| Vec::new());
        }
        self.get(domain, path, Access::Write)?;
        let gone: Vec<_> = self
            .nodes
            .range(path.to_owned()..)
            .map(|(path, _)| path.clone())
            .collect();
        let gone: Vec<_> = gone
            .into_iter()
            .filter(|found| is_within(found, path))
            .collect();
        for path in &gone {
            self.nodes.remove(path);
        }
        self.changed(above);
        let mut fired = vec![Fired {
            path: path.to_owned(),
            exactly: false,
        }];
        fired.extend(gone.into_iter().skip(1).map(|path| Fired {
            path,
            exactly: true,
        }));
        Ok(fired)
    }

    /// A node that is there, marked as changed.
    fn changed(&mut self, path: &str) -> &mut Node {
        let generation = self.generation;
        let node = self
            .nodes
            .get_mut(path)
            .expect("callers change only nodes they found");
        node.generation = generation;
        node
    }

    /// The nearest node above a path.
    fn nearest(&self, path: &str) -> Option<(&str, &Node)> {
        let mut above = parent(path);
        while let Some(path) = above {
            if let Some((path, node)) = self.nodes.get_key_value(path) {
                return Some((path, node));
            }
            above = parent(path);
        }
        None
    }
}
