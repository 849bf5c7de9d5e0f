// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a piece of policy text stands: file, line, column, and who included the file.

use std::fmt;
use std::sync::Arc;

/// One read of one policy file. A file that is included twice is read, and counted, twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(u32);

/// A stretch of bytes in a policy file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// The first byte.
    pub start: u32,
    /// The first byte after the stretch; never before `start`.
    pub end: u32,
}

impl Span {
    /// A stretch of `file`.
    pub fn new(file: FileId, start: usize, end: usize) -> Self {
        let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            file,
            start: clamp(start),
            end: clamp(end),
        }
    }

    /// From the start of `self` to the end of `other`, which stands later in the same file.
    pub fn to(self, other: Self) -> Self {
        Self {
            end: other.end,
            ..self
        }
    }
}

/// One file of a policy as it was read.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// How the file is called in messages: its path as the loader gave it.
    pub name: Arc<str>,
    /// Its content.
    pub text: Arc<str>,
    /// The directive that included it; `None` for a file of the policy directories.
    pub included_from: Option<Span>,
    line_starts: Vec<u32>,
}

/// A line and a column, both counted from 1; columns count characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    /// The file's name.
    pub file: Arc<str>,
    /// The line.
    pub line: u32,
    /// The character in the line.
    pub column: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// All files that a policy was read from, kept also when the policy was rejected, so that a
/// loader knows what to watch and a message can show the line.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    files: Vec<SourceFile>,
}

impl SourceMap {
    /// Adds a file and gives it its id.
    pub fn add(&mut self, name: &str, text: &str, included_from: Option<Span>) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        let breaks = text.bytes().enumerate().filter(|(_, b)| *b == b'\n');
        let starts = breaks.map(|(at, _)| Span::new(id, at + 1, at + 1).start);
        self.files.push(SourceFile {
            name: name.into(),
            text: text.into(),
            included_from,
            line_starts: std::iter::once(0).chain(starts).collect(),
        });
        id
    }

    /// The file behind an id of this map.
    pub fn file(&self, id: FileId) -> &SourceFile {
        &self.files[id.0 as usize]
    }

    /// All files in the order in which they were read.
    pub fn files(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter()
    }

    /// Line and column of the span's first character.
    pub fn location(&self, span: Span) -> Location {
        let file = self.file(span.file);
        let line = file
            .line_starts
            .partition_point(|start| *start <= span.start);
        let line_start = file.line_starts[line - 1] as usize;
        let before = file.text.get(line_start..span.start as usize);
        let column = before.map_or(0, |text| text.chars().count()) + 1;
        Location {
            file: file.name.clone(),
            line: line as u32,
            column: column as u32,
        }
    }

    /// The text the span covers.
    pub fn text(&self, span: Span) -> &str {
        let text = &self.file(span.file).text;
        text.get(span.start as usize..span.end as usize)
            .unwrap_or_default()
    }
}
