//! Without the feature `reveal` no token is kept.

use std::error::Error;

use tower_api_token::manage::TokenManagerBuilder;

use crate::Options;

pub(crate) fn kept(
    builder: TokenManagerBuilder,
    options: &Options,
) -> Result<TokenManagerBuilder, Box<dyn Error>> {
    match options.sealing_key {
        Some(_) => Err("--sealing-key needs the feature reveal".into()),
        None => Ok(builder),
    }
}
