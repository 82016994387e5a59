//! `export`.

use clap::Args;
use serde_json::{Value, json};
use tower_api_token::account::{Account, TokenRecord};
use tower_api_token::audit::Event;
use tower_api_token::rotation::{Facts, retire_expired};
use tower_api_token::store::{AccountStore, PageSize};
use tower_api_token::token::TokenId;

use super::import::Format;
use crate::failure::Failure;
use crate::output;
use crate::text::csv_field;
use crate::world::World;

/// Write every account out: its methods and what may be known of its tokens.
///
/// There is no secret in it, and no digest, so it can't be imported. In CSV a
/// field that a spreadsheet would take for a formula begins with a quotation
/// mark (').
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  tower-api-token export --format csv > accounts.csv")]
pub(crate) struct ExportArguments {
    /// csv or jsonl.
    #[arg(long, value_name = "FORMAT", default_value = "jsonl")]
    format: Format,
}

const COLUMNS: &str = "user,methods,revision,\
    primary,primary_hint,primary_made_at,primary_expires_at,\
    backup,backup_hint,backup_made_at,backup_expires_at,\
    pending,pending_expires_at,expired";

pub(crate) async fn run(arguments: &ExportArguments, world: &World) -> Result<(), Failure> {
    if matches!(arguments.format, Format::Csv) {
        output::print(COLUMNS).map_err(Failure::Output)?;
    }
    let mut after = None;
    loop {
        let page = world.store.list(after.as_ref(), PageSize::MAX).await?;
        let now = match page.items.first() {
            Some(first) => world.store.load(first.user()).await?.now,
            None => return Ok(()),
        };
        let facts = Facts::new(now, &world.policy);
        // A page at once: a write for each line would cost more than the store.
        let lines: Vec<_> = page
            .items
            .iter()
            .map(|account| {
                let (live, events) = retire_expired(account, &facts);
                let expired: Vec<_> = events.iter().filter_map(Event::token).collect();
                match arguments.format {
                    Format::Csv => line(&live, &expired),
                    Format::Jsonl => value(&live, &expired).to_string(),
                }
            })
            .collect();
        if !lines.is_empty() {
            output::print(&lines.join("\n")).map_err(Failure::Output)?;
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// An account as the next change will find it, and what has expired.
fn value(account: &Account, expired: &[TokenId]) -> Value {
    let token = |token: &TokenRecord| {
        json!({
            "id": token.id.as_u64(),
            "hint": token.hint.as_str(),
            "made_at": token.made_at.to_string(),
            "expires_at": token.expires_at.map(|at| at.to_string()),
        })
    };
    json!({
        "user": account.user().as_str(),
        "methods": account.methods().iter().collect::<Vec<_>>(),
        "revision": account.revision().as_u64(),
        "primary": account.primary().map(token),
        "backup": account.backup().map(token),
        "pending": account.pending().map(|pending| json!({
            "id": pending.token.id.as_u64(),
            "expires_at": pending.expires_at.to_string(),
        })),
        "expired": expired.iter().map(|id| id.as_u64()).collect::<Vec<_>>(),
    })
}

fn line(account: &Account, expired: &[TokenId]) -> String {
    let methods: Vec<_> = account.methods().iter().collect();
    let mut fields = vec![
        account.user().to_string(),
        methods.join(" "),
        account.revision().as_u64().to_string(),
    ];
    for slot in [account.primary(), account.backup()] {
        fields.extend(match slot {
            Some(token) => [
                token.id.to_string(),
                token.hint.to_string(),
                token.made_at.to_string(),
                token.expires_at.map(|at| at.to_string()).unwrap_or_default(),
            ],
            None => Default::default(),
        });
    }
    let pending = account.pending();
    fields.push(pending.map(|pending| pending.token.id.to_string()).unwrap_or_default());
    fields.push(pending.map(|pending| pending.expires_at.to_string()).unwrap_or_default());
    let expired: Vec<_> = expired.iter().map(ToString::to_string).collect();
    fields.push(expired.join(" "));
    let fields: Vec<_> = fields.iter().map(|field| csv_field(field)).collect();
    fields.join(",")
}
