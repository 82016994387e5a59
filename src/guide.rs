//! How things are done with this crate, a page for each.
//!
//! | page | what it shows |
//! |---|---|
//! | [`axum`] | an API under one layer: order of layers, nested routers, first administrator, errors of the manager |
//! | [`hyper`] | the layer without a web framework |
//! | [`tonic`] | gRPC: what a call counts as, and health without a token |
//! | [`own_tokens`] | tokens that you have already, in a table of your own |
//! | [`own_store`] | accounts in your own database, with everything that a manager does |
//! | [`rotation`] | new tokens without an outage, by people and by machines |
//! | [`delivery`] | who is told what happens: users, your code, other systems |
//! | [`pages`] | the portal in an application of your own |
//! | [`gateways`] | a gateway that asks about each request |
//! | [`operating`] | what runs in the background, measurements, settings, backups |
//! | [`security`] | what protects what, leaked tokens, and the threat model |
//!
//! A page is shown where the features that its code needs are on: docs.rs has all of them, and so has
//! `cargo doc --all-features`.

/// A page, where the features are on that its code needs.
macro_rules! page {
    ($name:ident, $title:literal, $needs:meta, $($text:expr),+ $(,)?) => {
        #[cfg_attr($needs, doc = concat!($($text),+))]
        #[cfg_attr(not($needs), doc = concat!($title, ": shown with all features."))]
        pub mod $name {}
    };
}

page!(
    axum,
    "An API with axum",
    all(feature = "axum", feature = "sqlite"),
    include_str!("guide/axum.md"),
    "\n```rust,no_run\n",
    include_str!("../examples/guide/axum_api.rs"),
    "```\n",
);

page!(
    hyper,
    "The layer without a framework",
    feature = "tokio",
    include_str!("guide/hyper.md"),
    "\n```rust,no_run\n",
    include_str!("../examples/hyper_service.rs"),
    "```\n",
);

page!(tonic, "gRPC with tonic", feature = "tokio", include_str!("guide/tonic.md"));

page!(
    own_tokens,
    "Tokens in a table of your own",
    feature = "axum",
    include_str!("guide/own_tokens.md"),
    "\n```rust,no_run\n",
    include_str!("../examples/guide/own_tokens.rs"),
    "```\n",
);

page!(
    own_store,
    "Accounts in your own database",
    all(feature = "conformance", feature = "serde", feature = "tokio"),
    include_str!("guide/own_store.md"),
    "\n```rust,no_run\n",
    include_str!("../examples/guide/own_store.rs"),
    "```\n",
);

page!(
    rotation,
    "Rotation without an outage",
    feature = "tokio",
    include_str!("guide/rotation.md"),
    "\n```rust,no_run\n",
    include_str!("../examples/rotate/nightly.rs"),
    "```\n",
);

page!(
    delivery,
    "Who is told what happens",
    all(feature = "smtp", feature = "sqlite", feature = "webhook"),
    include_str!("guide/delivery.md"),
);

page!(
    pages,
    "The portal in an application of your own",
    feature = "portal",
    include_str!("guide/pages.md"),
);

page!(
    gateways,
    "A gateway that asks about each request",
    all(feature = "axum", feature = "ext-authz"),
    include_str!("guide/gateways.md"),
);

page!(
    operating,
    "Operating",
    all(feature = "cache", feature = "metrics", feature = "postgres"),
    include_str!("guide/operating.md"),
    include_str!("../docs/operating.md"),
);

page!(
    security,
    "Security",
    all(feature = "holder", feature = "reveal"),
    include_str!("guide/security.md"),
    "\n",
    include_str!("../SECURITY.md"),
);
