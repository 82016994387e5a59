//! Without the feature `reveal` no token is kept.

use std::error::Error;

use tower_api_token::TokensBuilder;

use crate::Options;

pub(crate) fn kept(
    builder: TokensBuilder,
    options: &Options,
) -> Result<TokensBuilder, Box<dyn Error>> {
    match options.sealing_key {
        Some(_) => Err("--sealing-key needs the feature reveal".into()),
        None => Ok(builder),
    }
}
