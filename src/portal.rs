//! Profile and administration pages over a [`TokenManager`], and the same
//! operations as JSON: a router to merge into the host's own.
//!
//! ```
//! use tower_api_token::TokenManager;
//! use tower_api_token::manage::Confirmation;
//! use tower_api_token::portal::Portal;
//! use tower_api_token::store::MemoryStore;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let builder = TokenManager::builder(MemoryStore::new());
//! # let manager = builder.confirmation(Confirmation::ByCaller).build().await?;
//! let portal = Portal::new(manager).at("/tokens")?.sign_in("/sign-in")?.title("Acme API");
//! let host: axum::Router = axum::Router::new().merge(portal.into_router());
//! // ... and around it the host's own session layer, which puts a `PortalUser`
//! // into the extensions of every request of somebody who is signed in.
//! # let _ = host;
//! # Ok(())
//! # }
//! ```
//!
//! # Who is signed in
//!
//! The host decides, and puts a [`PortalUser`] into the request's extensions.
//! Without one every route answers 401, or a page redirects to
//! [`sign_in`](Portal::sign_in). Nothing else counts: no API token, no
//! [`Identity`](crate::Identity), no form field. The session's cookie should be
//! `Secure`, `HttpOnly` and `SameSite=Lax`.
//!
//! # Pages
//!
//! | path under [`at`](Portal::at) | what |
//! |---|---|
//! | (itself) | Profile: both tokens, what is pending, recent activity |
//! | `/reveal` | a token once more, where the host keeps tokens sealed |
//! | `/edit`, `/edit/{action}` | Edit: each change says what will happen, asks for confirmation and takes effect on Save |
//! | `/verify?code=` | where a mailed link leads; it has a button and does nothing by itself |
//! | `/advice` | how to keep tokens safe |
//! | `/admin` | Administration: find a user, or those of whom something holds, such as that a token ends soon |
//! | `/admin/user?user=` | one user: methods, lifetimes, suspend and resume, revoke, erase |
//! | `/admin/audit` | what has happened to all accounts, by user, event and day, where the store keeps a log |
//!
//! No page needs JavaScript. A link in a mail is
//! `https://<host><at>/verify?code=<code>`.
//!
//! # JSON
//!
//! The operations under `/api`, described by the OpenAPI document at
//! `/api/openapi.json`:
//!
//! | request | what |
//! |---|---|
//! | `GET /api/tokens`, `GET /api/history` | what the profile shows |
//! | `POST /api/generate`, `resend`, `confirm`, `cancel-pending`, `delete-backup`, `roll-back`, `revoke-all`, `reveal` | the user's own changes |
//! | `GET /api/admin/users`, `GET /api/admin/user` | for administrators: accounts, by the same filters, and one with its history |
//! | `GET /api/admin/audit` | for administrators: what has happened to all accounts, the earliest first |
//! | `POST /api/admin/suspend`, `POST /api/admin/resume` | for administrators: refuse a user's requests, and accept them again |
//! | `POST /api/admin/methods`, `POST /api/admin/revoke-all`, `POST /api/admin/erase` | for administrators: the granted methods and lifetimes (no method revokes), every token's end, an account's |
//!
//! A body is a JSON object of at most 16 KiB, without unknown or repeated
//! members, sent as `application/json`. A number is an integer whatever it is
//! written like: `5`, `5.0` and `5e0` are one. Denials are problem documents (RFC
//! 9457) whose `type` is `urn:problem-type:tower-api-token:` and a code; the
//! same confirmation code again is 410 `already_confirmed`.
//!
//! # What protects it
//!
//! * GET, HEAD and OPTIONS change nothing, however often and by whatever they
//!   are sent.
//! * A change needs a request of the same origin (`Sec-Fetch-Site`, else
//!   `Origin`), and from a form a token that only a page of this portal has for
//!   this user; from a program the content type `application/json`, which no
//!   form can send.
//! * Forms name the tokens that they are about: sent from a page that is out of
//!   date they change nothing and say so. Sent twice they have one effect.
//! * Every answer has `Content-Security-Policy` (no framing, no inline script or
//!   style), `Cache-Control: no-store`, `Referrer-Policy: no-referrer` and
//!   `X-Content-Type-Options: nosniff`.
//! * Generating, sending again and confirming are limited per user, in bounded
//!   memory; only the signed-in user's own requests count.
//! * Nothing here logs a request. A host's access log should leave out the query
//!   of `/verify`, which holds a code until it is used or ten minutes old.

mod act;
mod api;
mod fields;
mod form_key;
mod guard;
mod layout;
mod length;
mod limit;
mod pages;
mod refusal;
mod session;
mod show;

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use bytes::Bytes;
use http::HeaderValue;

use self::form_key::FormKey;
use self::layout::{Asset, Assets};
use self::limit::Limits;
pub use self::session::PortalUser;
use crate::ConfigError;
use crate::manage::TokenManager;

/// The greatest body of a request in bytes.
const BODY_LIMIT: u64 = 16 * 1_024;

/// Configures the pages; see the [module](self).
#[must_use]
pub struct Portal(Shared);

/// What every handler is given.
struct Shared {
    manager: TokenManager,
    /// Empty at the root, so that every other path can be written behind it.
    path: String,
    title: String,
    home: Option<String>,
    sign_in: Option<String>,
    key: FormKey,
    limits: Limits,
    assets: Assets,
}

impl Shared {
    /// Of a page below the portal's path; the profile page has none, and
    /// perhaps a query.
    fn address(&self, path_and_query: &str) -> String {
        let is_below = path_and_query.starts_with('/');
        let root = if self.path.is_empty() && !is_below { "/" } else { "" };
        format!("{}{root}{path_and_query}", self.path)
    }
}

impl Portal {
    /// Pages over `manager`, which sends confirmation codes as it was built to.
    pub fn new(manager: TokenManager) -> Self {
        Self(Shared {
            manager,
            path: "/tokens".to_owned(),
            title: "API tokens".to_owned(),
            home: None,
            sign_in: None,
            key: FormKey::random(),
            limits: Limits::default(),
            assets: Assets::default(),
        })
    }

    /// The path of the profile page, above all others, as browsers see it:
    /// [`merge`](Router::merge) the router, do not nest it. Default: `/tokens`.
    ///
    /// At the root, `/`, every path that the host has no route for is the
    /// portal's.
    ///
    /// # Errors
    ///
    /// [`ConfigError::PortalPath`] unless it is `/`, or one or more segments of
    /// letters, digits and `-._~`, each after a slash.
    pub fn at(mut self, path: &str) -> Result<Self, ConfigError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let good = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(plain);
        let mut parts = path.split('/');
        if path == "/" {
            self.0.path = String::new();
            return Ok(self);
        }
        if parts.next() != Some("") || path.len() < 2 || !parts.all(good) {
            return Err(ConfigError::PortalPath);
        }
        path.clone_into(&mut self.0.path);
        Ok(self)
    }

    /// What the pages are headed with. Default: `API tokens`.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.0.title = title.into();
        self
    }

    /// A stylesheet of the host's, which every page loads behind the portal's own. Default:
    /// none.
    ///
    /// The colours are custom properties: `--accent`, `--accent-strong` and `--on-accent`
    /// are those of links and buttons, in a light and in a dark scheme. The portal serves
    /// it, and the pages load nothing from elsewhere: no `@import`, no font, no image. Look
    /// whether your colours have enough contrast in both schemes.
    ///
    /// ```
    /// # use tower_api_token::portal::Portal;
    /// # fn style(portal: Portal) -> Portal {
    /// portal.stylesheet(
    ///     ":root { --accent: #5b2a86; --accent-strong: #43205f; }
    ///      @media (prefers-color-scheme: dark) {
    ///          :root { --accent: #c9a7e8; --accent-strong: #dfc8f3; }
    ///      }",
    /// )
    /// # }
    /// ```
    pub fn stylesheet(mut self, text: impl Into<String>) -> Self {
        self.0.assets.host_style = Some(Asset::stylesheet(text.into()));
        self
    }

    /// The image beside the title, 28 pixels high, and in the tabs of browsers: SVG, PNG,
    /// JPEG or WebP. Default: a key.
    ///
    /// The portal serves it to everybody, and no script in it runs.
    ///
    /// # Errors
    ///
    /// [`ConfigError::PortalLogo`] if it is none of these.
    pub fn logo(mut self, image: impl Into<Bytes>) -> Result<Self, ConfigError> {
        self.0.assets.icon = Asset::logo(image.into()).ok_or(ConfigError::PortalLogo)?;
        Ok(self)
    }

    /// Where the pages' link back to the host leads. Default: there is none.
    ///
    /// # Errors
    ///
    /// [`ConfigError::PortalAddress`] unless it begins with `/`, `https://` or
    /// `http://` and could stand in a header.
    pub fn home(mut self, address: &str) -> Result<Self, ConfigError> {
        self.0.home = Some(checked(address)?);
        Ok(self)
    }

    /// Where a page sends somebody who is not signed in, with the page's path
    /// in the query parameter `return_to`: never its query, which may hold a
    /// code. Default: nowhere, they are answered 401. The JSON operations
    /// always answer 401.
    ///
    /// # Errors
    ///
    /// [`ConfigError::PortalAddress`] unless it begins with `/`, `https://` or
    /// `http://`, has no query or fragment, and could stand in a header.
    pub fn sign_in(mut self, address: &str) -> Result<Self, ConfigError> {
        if address.contains(['?', '#']) {
            return Err(ConfigError::PortalAddress);
        }
        self.0.sign_in = Some(checked(address)?);
        Ok(self)
    }

    /// The key that form tokens are made with, the same on every node of a
    /// host, so that one node takes the forms of another. Default: a random
    /// one for each portal.
    ///
    /// # Errors
    ///
    /// [`ConfigError::FormKeyTooShort`] if it has fewer than 32 bytes.
    pub fn form_key(mut self, key: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        self.0.key = FormKey::new(key.as_ref()).ok_or(ConfigError::FormKeyTooShort)?;
        Ok(self)
    }

    /// The routes, to be merged into the host's router, whatever its state is,
    /// inside its session layer.
    pub fn into_router<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        let portal = Arc::new(self.0);
        let pages = pages::routes(&portal);
        let pages = pages.layer(from_fn_with_state(Arc::clone(&portal), guard::pages));
        let api = api::routes(&portal.path).layer(from_fn(guard::api));
        let limit = DefaultBodyLimit::max(BODY_LIMIT as usize);
        pages.merge(api).layer(limit).merge(assets(&portal)).with_state(portal)
    }
}

/// An address that a link and a header can carry.
fn checked(address: &str) -> Result<String, ConfigError> {
    let local = address.starts_with('/') && !address.starts_with("//");
    let known = local || ["https://", "http://"].iter().any(|start| address.starts_with(start));
    if known && HeaderValue::from_str(address).is_ok() {
        Ok(address.to_owned())
    } else {
        Err(ConfigError::PortalAddress)
    }
}

/// The same for everybody, so for those who have not signed in, too.
fn assets(portal: &Shared) -> Router<Arc<Shared>> {
    portal.assets.all().fold(Router::new(), |router, asset| {
        let served = asset.clone();
        let path = format!("{}{}", portal.path, asset.path);
        router.route(&path, get(async move || served.response()))
    })
}

impl fmt::Debug for Portal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Portal")
            .field("path", &self.0.path)
            .field("title", &self.0.title)
            .field("home", &self.0.home)
            .field("sign_in", &self.0.sign_in)
            .finish_non_exhaustive()
    }
}
