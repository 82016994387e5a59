//! The portal.

use tower_api_token::ConfigError;
use tower_api_token::portal::{Portal, PortalUser};

use super::List;
use crate::life::Life;

pub(super) fn show(life: &Life, list: &mut List) {
    let key = life.issued.token.expose_secret();
    list.add("Portal", &Portal::new(life.manager.clone()).form_key(key).unwrap());
    list.add("PortalUser", &PortalUser::administrator(life.alice.clone()));
    list.add("ConfigError", &ConfigError::FormKeyTooShort);
}
