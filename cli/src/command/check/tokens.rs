//! Whether the settings recognise the tokens that are in use.

use tower_api_token::store::AccountStore;
use tower_api_token::token::{PepperVersion, TokenScheme};

use crate::failure::Failure;
use crate::settings::TokenSettings;
use crate::text::counted;

/// Whether the tables are there, and every token in use can be recognised.
pub(super) async fn recognised(
    store: &impl AccountStore,
    scheme: &TokenScheme,
) -> Result<String, String> {
    let explained = |error| Failure::Store(error).advised();
    let versions = store.pepper_versions().await.map_err(explained)?;
    let unknown = versions.iter().find(|(version, _)| !scheme.knows(*version));
    if let Some((version, count)) = unknown {
        return Err(format!("{count} in use under pepper version {version}, which is not set"));
    }
    let prefixes = store.prefixes().await.map_err(explained)?;
    let refused = prefixes.iter().filter(|(prefix, _)| !scheme.recognises(prefix.as_ref()));
    let refused: Vec<_> = refused
        .map(|(prefix, count)| match prefix {
            Some(prefix) => format!(
                "{count} in use have the prefix {}, which `tokens.former-prefixes` does not list",
                prefix.as_str()
            ),
            None => format!(
                "{count} in use are of a foreign form, or known by their digest alone, and \
                 `tokens.accept-foreign` is not set"
            ),
        })
        .collect();
    if !refused.is_empty() {
        return Err(refused.join("; "));
    }
    let count: u64 = versions.iter().map(|(_, count)| count).sum();
    Ok(format!("{count} in use, all of them recognised"))
}

/// Whether the peppers are those that the tokens were made with, and how many tokens
/// need each; nothing where there are neither peppers nor tokens of them.
pub(super) async fn peppers(
    store: &impl AccountStore,
    settings: &TokenSettings,
    scheme: &TokenScheme,
) -> Option<Result<String, String>> {
    let explained = |error| Failure::Store(error).advised();
    // If they cannot be read, that has been said already.
    let Ok(in_use) = store.pepper_versions().await else { return None };
    let kept = match store.pepper_checks().await {
        Ok(kept) => kept,
        Err(error) => return Some(Err(explained(error))),
    };
    let count = |version: PepperVersion| {
        let of = in_use.iter().find(|(of, _)| *of == version);
        counted(of.map_or(0, |(_, count)| *count), "token", "tokens")
    };
    let (mut said, mut wrong) = (Vec::new(), false);
    for (version, check) in scheme.pepper_checks() {
        let verdict = match kept.of(version) {
            Some(kept) if *kept == check => "verified".to_owned(),
            Some(_) => {
                wrong = true;
                format!(
                    "another key than the store has seen by that version ({})",
                    settings.file_of(version)
                )
            }
            None => "unverified".to_owned(),
        };
        said.push(format!("version {version}: {} in use, {verdict}", count(version)));
    }
    if said.is_empty() {
        return None;
    }
    if scheme.knows(PepperVersion::NONE) {
        said.push(format!("without a pepper: {} in use", count(PepperVersion::NONE)));
    }
    let said = said.join("; ");
    Some(if wrong { Err(said) } else { Ok(said) })
}
