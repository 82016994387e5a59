//! `check`.

mod durability;
mod feed;
mod tokens;

use clap::Args;
use serde_json::{Value, json};
use tower_api_token::notify::visible;

use crate::arguments::Common;
use crate::failure::Failure;
use crate::output::{Output, table};
use crate::settings::SettingsError;
use crate::store::{COMMAND_PATIENCE, Opened, StoreAddress};
use crate::world;

/// Check that the store can be trusted: that it opens, has its tables, keeps
/// what it is given, recognises the tokens in use, and tells of changes.
///
/// It writes one heartbeat and changes nothing else.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  tower-api-token check --store sqlite:tokens.db && echo fine")]
pub(crate) struct CheckArguments {}

/// One thing that was looked at.
struct Finding {
    what: &'static str,
    said: Result<String, String>,
}

pub(crate) async fn run(common: &Common, output: Output) -> Result<(), Failure> {
    let settings = world::settings(common)?;
    let located = |error: SettingsError| error.located(&settings.origins);
    let scheme = settings.tokens.scheme().map_err(located)?;
    let address = StoreAddress::of(&settings).map_err(located)?;
    let mut findings = Vec::new();
    match Opened::open_small(&settings).await.map_err(Failure::from) {
        Err(failure) if failure.exit_code() == crate::failure::USAGE => {
            return Err(failure.located(&settings.origins));
        }
        Err(failure) => findings.push(Finding { what: "store", said: Err(failure.advised()) }),
        Ok(opened) => {
            findings.push(Finding { what: "store", said: Ok(address.to_string()) });
            let store = opened.accounts(&settings, COMMAND_PATIENCE);
            let tokens = tokens::recognised(&store, &scheme).await;
            let reads = tokens.is_ok();
            findings.push(Finding { what: "tokens", said: tokens });
            if let Some(said) = tokens::peppers(&store, &settings.tokens, &scheme).await {
                findings.push(Finding { what: "peppers", said });
            }
            findings.push(Finding { what: "durability", said: durability::of(&opened).await });
            // Without its tables a store has no feed, and has said so.
            if reads {
                findings.push(Finding { what: "feed", said: feed::echo(&store).await });
            }
        }
    }
    let reported = report(&findings, output);
    // Whoever reads no further must not take it for fine.
    match findings.iter().filter(|finding| finding.said.is_err()).count() {
        0 => reported,
        wrong => Err(Failure::CheckFailed(wrong)),
    }
}

fn report(findings: &[Finding], output: Output) -> Result<(), Failure> {
    if output.is_json() {
        let value = |finding: &Finding| {
            let (Ok(said) | Err(said)) = &finding.said;
            json!({ "check": finding.what, "ok": finding.said.is_ok(), "detail": said })
        };
        return findings.iter().try_for_each(|finding| output.value("", &value(finding)));
    }
    let row = |finding: &Finding| {
        let (Ok(said) | Err(said), ok) = (&finding.said, finding.said.is_ok());
        let verdict = if ok { "ok" } else { "WRONG" };
        vec![finding.what.to_owned(), verdict.to_owned(), visible(said).to_string()]
    };
    let rows: Vec<_> = findings.iter().map(row).collect();
    output.value(&table(&["CHECK", "", "DETAIL"], &rows), &Value::Null)
}
