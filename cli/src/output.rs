//! What a command prints: values on the standard output, for people as tables
//! and for machines as JSON, and all else on the standard error.

use std::fmt::Display;
use std::io::{self, Write};

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::text::width;

/// How a command prints.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) const fn is_json(self) -> bool {
        self.json
    }

    /// A value: as text for people, or as JSON on one line.
    pub(crate) fn value(self, text: &str, value: &Value) -> Result<(), Failure> {
        let text = if self.json { &value.to_string() } else { text.trim_end_matches('\n') };
        print(text).map_err(Failure::Output)
    }

    /// What has been done: on the standard error, or as JSON where that is the
    /// only answer there is.
    pub(crate) fn done(self, text: impl Display, value: &Value) -> Result<(), Failure> {
        if self.json {
            return print(&value.to_string()).map_err(Failure::Output);
        }
        self.note(text);
        Ok(())
    }

    /// A remark for people; machines have it in their values.
    pub(crate) fn note(self, text: impl Display) {
        if !self.json {
            // Without a standard error there is nobody to tell.
            drop(writeln!(io::stderr().lock(), "{text}"));
        }
    }

    /// Why the command did not do what it was asked to.
    pub(crate) fn failure(self, failure: &Failure) {
        let (text, hint) = (failure.explained(), failure.hint());
        let mut lines = String::new();
        if self.json {
            let error = json!({ "kind": failure.kind(), "message": text, "hint": hint });
            lines = format!("{}\n", json!({ "error": error }));
        } else {
            lines += &format!("error: {text}\n");
            if let Some(hint) = hint {
                lines += &format!("\nhint: {hint}\n");
            }
        }
        drop(io::stderr().lock().write_all(lines.as_bytes()));
    }
}

/// Prints a line, and makes sure that it has left this process.
pub(crate) fn print(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Rows in columns as wide as they must be; the last one is never filled up.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let widths: Vec<_> = (0..head.len())
        .map(|column| {
            let cells = rows.iter().map(|row| width(&row[column]));
            cells.chain([width(head[column])]).max().unwrap_or(0)
        })
        .collect();
    let head: Vec<_> = head.iter().map(|&text| text.to_owned()).collect();
    let mut text = String::new();
    for row in std::iter::once(&head).chain(rows) {
        let mut line = String::new();
        for (cell, &wide) in row.iter().zip(&widths) {
            line += cell;
            line.extend(std::iter::repeat_n(' ', wide - width(cell) + 2));
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}
