//! What a line says.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use tower_api_token::ValueError;
use tower_api_token::account::Slot;
use tower_api_token::manage::{ImportItem, ImportedToken};
use tower_api_token::method::MethodSet;
use tower_api_token::token::Token;
use tower_api_token::user::UserId;

use super::Format;
use super::csv::Fields;
use super::head::{self, COLUMNS};
use super::lines::Lines;
use crate::failure::Failure;
use crate::text::counted;

/// Why a line cannot be imported, whatever the store holds. None repeats a
/// secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum RowError {
    #[error("the line is too long")]
    TooLong,
    #[error("the line is not CSV")]
    NotCsv,
    #[error(
        "the line has {}, separated by commas, and the first line has {expected}",
        counted(*.found as u64, "field", "fields")
    )]
    Fields { found: usize, expected: usize },
    #[error("{0}: a line is a JSON object with the fields user, methods, slot, token, sha256")]
    NotJson(String),
    #[error("the user's name begins or ends with a blank: write it without")]
    Blank,
    #[error("the user: {0}")]
    User(#[source] ValueError),
    #[error("a slot is primary or backup")]
    Slot,
    #[error(transparent)]
    Value(#[from] ValueError),
    #[error("a SHA-256 is 64 hexadecimal digits without anything before them")]
    Sha256,
    #[error("a line has a token or a SHA-256, and not both")]
    OneSecret,
}

/// The fields of a line. One that is empty counts as absent, whatever the format.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    user: String,
    methods: Option<Vec<String>>,
    slot: Option<String>,
    token: Option<String>,
    sha256: Option<String>,
}

/// Reads lines of one format.
pub(super) struct Reader {
    /// For CSV, with which column each field of a line is in.
    csv: Option<(Fields, Vec<usize>)>,
    seen_token: bool,
}

impl Reader {
    /// Takes the first line of CSV.
    pub(super) fn new(format: Format, lines: &mut Lines, path: &Path) -> Result<Self, Failure> {
        let csv = match format {
            Format::Jsonl => None,
            Format::Csv => {
                let failed = |source| Failure::Input { path: path.to_owned(), source };
                let mut fields = Fields::new();
                let line = lines.next_line().map_err(failed)?;
                let columns = head::columns(line, &mut fields).map_err(Failure::Columns)?;
                Some((fields, columns))
            }
        };
        Ok(Self { csv, seen_token: false })
    }

    pub(super) const fn has_seen_token(&self) -> bool {
        self.seen_token
    }

    pub(super) fn row(&mut self, line: &[u8]) -> Result<ImportItem, RowError> {
        let row = match &mut self.csv {
            Some((fields, columns)) => Row::of_csv(fields.of(line), columns)?,
            None => Row::of_json(line)?,
        };
        let row = row.without_empty();
        self.seen_token |= row.token.is_some();
        row.item()
    }
}

impl Row {
    fn of_json(line: &[u8]) -> Result<Self, RowError> {
        // A list would be taken for the fields in their order.
        if !line.trim_ascii_start().starts_with(b"{") {
            return Err(RowError::NotJson(match head::is_utf_16(line) {
                true => head::UTF_16.to_owned(),
                false => "the line is not a JSON object".to_owned(),
            }));
        }
        serde_json::from_slice(line).map_err(|_| RowError::NotJson(json_problem(line)))
    }

    fn of_csv(fields: Option<Vec<String>>, columns: &[usize]) -> Result<Self, RowError> {
        let fields = fields.ok_or(RowError::NotCsv)?;
        if fields.len() != columns.len() {
            return Err(RowError::Fields { found: fields.len(), expected: columns.len() });
        }
        let mut row: [Option<String>; COLUMNS.len()] = Default::default();
        for (field, &column) in fields.into_iter().zip(columns) {
            row[column] = Some(field);
        }
        let [user, methods, slot, token, sha256] = row;
        let words = |text: String| text.split_whitespace().map(str::to_owned).collect();
        let user = user.unwrap_or_default();
        // What a person puts behind a comma would make another user.
        if user.trim() != user {
            return Err(RowError::Blank);
        }
        Ok(Self { user, methods: methods.map(words), slot, token, sha256 })
    }

    fn without_empty(self) -> Self {
        let full = |field: Option<String>| field.filter(|text| !text.is_empty());
        Self {
            user: self.user,
            methods: self.methods.filter(|methods| !methods.is_empty()),
            slot: full(self.slot),
            token: full(self.token),
            sha256: full(self.sha256),
        }
    }

    fn item(self) -> Result<ImportItem, RowError> {
        let user = UserId::new(&self.user).map_err(RowError::User)?;
        let slot = self.slot.map(|slot| slot.trim().to_ascii_lowercase());
        let slot = match slot.as_deref() {
            None | Some("primary") => Slot::Primary,
            Some("backup") => Slot::Backup,
            Some(_) => return Err(RowError::Slot),
        };
        let token = match (self.token, self.sha256) {
            (Some(token), None) => ImportedToken::Token(Token::parse(token)?),
            (None, Some(text)) => {
                ImportedToken::Sha256(sha256(text.as_bytes()).ok_or(RowError::Sha256)?)
            }
            _ => return Err(RowError::OneSecret),
        };
        let mut item = ImportItem::new(user, slot, token);
        item.methods = self.methods.map(MethodSet::new).transpose()?;
        Ok(item)
    }
}

/// Why the line is no row, without a word of what may be a token.
fn json_problem(line: &[u8]) -> String {
    let object: serde_json::Map<String, Value> = match serde_json::from_slice(line) {
        Ok(object) => object,
        Err(_) if head::is_utf_16(line) => return head::UTF_16.to_owned(),
        Err(_) => return "the line is not JSON".to_owned(),
    };
    let is_text = |value: &Value| value.is_string() || value.is_null();
    let of_texts =
        |value: &Value| value.as_array().is_some_and(|all| all.iter().all(Value::is_string));
    let wrong = object.iter().find_map(|(name, value)| match name.as_str() {
        "user" | "slot" | "token" | "sha256" => {
            (!is_text(value)).then(|| format!("the field {name} is no text"))
        }
        "methods" => (!value.is_null() && !of_texts(value))
            .then(|| "the field methods is no list of texts".to_owned()),
        name => Some(format!("there is no field {}", head::named(name))),
    });
    wrong.unwrap_or_else(|| match object.get("user") {
        Some(Value::String(_)) => "a field stands twice".to_owned(),
        _ => "the field user is missing".to_owned(),
    })
}

/// 64 hexadecimal digits, large or small.
fn sha256(text: &[u8]) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = [0; 32];
    let (pairs, rest) = text.as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_64_hexadecimal_digits_of_either_case() {
        let small = "0a".repeat(32);
        assert_eq!(sha256(small.as_bytes()), Some([10; 32]));
        assert_eq!(sha256(small.to_uppercase().as_bytes()), Some([10; 32]));
        for bad in [&small[1..], &format!("0x{small}"), &format!("{small}0"), &"0g".repeat(32), ""]
        {
            assert_eq!(sha256(bad.as_bytes()), None, "{bad}");
        }
    }
}
