//! Tokens that can be shown again, where the host has a key to keep them under.

use std::error::Error;

use tower_api_token::TokensBuilder;
use tower_api_token::sealing::SealingKey;

use crate::Options;

/// Makes the manager keep tokens under the key in the file, if one is named.
pub(crate) fn kept(
    builder: TokensBuilder,
    options: &Options,
) -> Result<TokensBuilder, Box<dyn Error>> {
    let Some(file) = &options.sealing_key else { return Ok(builder) };
    Ok(builder.sealer(SealingKey::new(1, &std::fs::read(file)?)?))
}
