//! What is said to a wrong command line: what was meant, and nothing that a
//! terminal would obey.

use std::ffi::OsString;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use tower_api_token::notify::visible;

/// What the standard library says of a text that is no number, and what would be
/// right.
const NUMBERS: [(&str, &str); 3] = [
    ("invalid digit found in string", "a number is whole and not negative, such as 1"),
    ("cannot parse integer from empty string", "a number is whole and not negative, such as 1"),
    ("number too large to fit in target type", "the number is too great"),
];

/// The error as it may be printed, with the command that was probably meant.
pub(crate) fn explained(error: &clap::Error, arguments: &[OsString], root: &Command) -> String {
    let mut text = error.render().to_string();
    for argument in arguments {
        let argument = argument.to_string_lossy();
        let value = argument.split_once('=').map_or(&*argument, |(_, value)| value);
        // A line break of the user's would read as the program's own.
        if value.contains('\n') {
            text = text.replace(value, &visible(value).to_string());
        }
    }
    for (said, right) in NUMBERS {
        text = text.replace(said, right);
    }
    let meant = meant(error, root);
    let mut lines: Vec<_> = text.lines().map(|line| visible(line).to_string()).collect();
    if meant.is_some() {
        // It names what is nearest at the wrong place.
        lines.retain(|line| !line.starts_with("  tip: "));
        lines.dedup();
    }
    let mut text = lines.join("\n") + "\n";
    if let Some(meant) = meant {
        text += &format!("\nhint: did you mean `{meant}`?\n");
    }
    text
}

/// The command that stands elsewhere: `grant` is `user grant`.
fn meant(error: &clap::Error, root: &Command) -> Option<String> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let Some(ContextValue::String(said)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    let mut paths = Vec::new();
    collect(root, "", &mut paths);
    let close = |path: &String| path.rsplit(' ').next().is_some_and(|name| is_close(name, said));
    paths.into_iter().find(close)
}

fn collect(command: &Command, above: &str, paths: &mut Vec<String>) {
    let path = format!("{above}{}", command.get_name());
    for below in command.get_subcommands() {
        collect(below, &format!("{path} "), paths);
    }
    paths.push(path);
}

/// The same but for case and separators, or with one mistake.
pub(crate) fn is_close(name: &str, said: &str) -> bool {
    let plain = |text: &str| text.to_lowercase().replace(['-', '_'], "");
    let (name, said) = (plain(name), plain(said));
    name == said || (said.len() > 3 && strsim::osa_distance(&name, &said) <= 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mistake_is_close_and_two_are_not() {
        for said in ["grnat", "grant", "GRANT", "gran", "grrant", "grint"] {
            assert!(is_close("grant", said), "{said}");
        }
        for said in ["gr", "import", "gnrta", "xgrantx", ""] {
            assert!(!is_close("grant", said), "{said}");
        }
        assert!(is_close("revoke-all", "revokeall") && is_close("revoke-all", "revoke_all"));
    }
}
