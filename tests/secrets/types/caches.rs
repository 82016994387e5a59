//! Stores that stand around others.

use std::sync::Arc;

use tower_api_token::ConfigError;
use tower_api_token::store::{CacheOptions, CachedStore, TokenStore, WithMetrics, WithTimeout};

use super::List;
use crate::life::Life;

pub(super) async fn show(life: &Life, list: &mut List) {
    let options = CacheOptions::new();
    let cache = CachedStore::start(Arc::clone(&life.store), options.clone()).unwrap();
    for stored in life.account.digests() {
        while !cache.peek(&stored.digest, &mut |_| ()) {
            cache.find(&stored.digest).await.unwrap().expect("an account");
            tokio::task::yield_now().await;
        }
    }
    list.add("CacheOptions", &options);
    list.add("CacheStatistics", &cache.statistics());
    list.add("CachedStore", &cache);
    list.add("ConfigError", &ConfigError::CacheNoRoom);
    list.add("WithTimeout", &WithTimeout::new(Arc::clone(&life.store)));
    list.add("WithMetrics", &WithMetrics::new(Arc::clone(&life.store)));
}
