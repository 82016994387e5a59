//! What the value of a key is, in a variable and in the file.

use toml::{Table, Value};

use super::Settings;
use super::layers::put;

/// What a key's value is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Text,
    Number,
    Flag,
    List,
}

const NUMBER: &str = "a number is whole and not negative, such as 1";
const FLAG: &str = "the value is true or false";
const TOO_GREAT: &str = "the number is too great";

impl Kind {
    /// What the README calls it.
    #[cfg(test)]
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Flag => "true or false",
            Self::List => "list",
        }
    }

    /// The value of a variable or of a flag.
    pub(super) fn of_text(self, text: &str) -> Result<Value, &'static str> {
        Ok(match self {
            Self::Text => text.into(),
            Self::Number => {
                let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                let number = text.parse::<i64>().ok().filter(|_| digits);
                number.ok_or(if digits { TOO_GREAT } else { NUMBER })?.into()
            }
            Self::Flag => text.parse::<bool>().map_err(|_| FLAG)?.into(),
            Self::List => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                parts.map(Value::from).collect::<Vec<_>>().into()
            }
        })
    }

    /// What a value must look like, if there is one form.
    pub(super) const fn form(self) -> Option<&'static str> {
        match self {
            Self::Number => Some(NUMBER),
            Self::Flag => Some(FLAG),
            Self::Text | Self::List => None,
        }
    }

    /// Whether the value that stands in the file is one for the key.
    pub(super) fn check(self, key: &str, value: &Value) -> Result<(), String> {
        match (self, value) {
            (Self::Text, Value::String(text)) if text.is_empty() => {
                return Err("it is empty: leave the key out instead".to_owned());
            }
            (Self::Text, Value::String(_)) => {}
            (Self::Text, other) => {
                // A text that has a form of its own says which.
                alone(key, &Value::from(other.to_string()))?;
                return Err("a text stands in quotation marks".to_owned());
            }
            (Self::Number, Value::Integer(0..)) | (Self::Flag, Value::Boolean(_)) => {}
            (Self::Number, _) => return Err(format!("{NUMBER}, without quotation marks")),
            (Self::Flag, _) => return Err(format!("{FLAG}, without quotation marks")),
            (Self::List, Value::Array(parts)) if parts.iter().all(Value::is_str) => {}
            (Self::List, _) => {
                return Err("a list of texts is written as [\"one\", \"another\"]".to_owned());
            }
        }
        self.fits(key, value)
    }

    /// Whether the key takes this value, whatever the others are.
    pub(super) fn fits(self, key: &str, value: &Value) -> Result<(), String> {
        let fits = alone(key, value);
        // A number that is whole and not negative can only be too great.
        if matches!(self, Self::Number) { fits.map_err(|_| TOO_GREAT.to_owned()) } else { fits }
    }
}

/// Reads the key as if it were the only setting.
fn alone(key: &str, value: &Value) -> Result<(), String> {
    let mut table = Table::new();
    put(&mut table, key, value.clone());
    let read: Result<Settings, toml::de::Error> = table.try_into();
    read.map(drop).map_err(|error| error.message().to_owned())
}
