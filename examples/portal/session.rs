//! The application's own sign-in: passwords, a session cookie, and the word to
//! the pages about tokens who it is.
//!
//! Small on purpose. A real host brings its own, with hashed passwords, a
//! `Secure` cookie, sessions that end and a limit on guesses.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Query, Request, State};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Form, Router};
use serde::Deserialize;
use tower_api_token::portal::PortalUser;
use tower_api_token::user::UserId;

const COOKIE_NAME: &str = "fruit_session";

/// Everybody who may sign in, and who has.
#[derive(Clone)]
pub(crate) struct Sessions(Arc<Inner>);

struct Inner {
    people: Vec<(PortalUser, String)>,
    open: Mutex<HashMap<String, PortalUser>>,
}

impl Sessions {
    pub(crate) fn with_new_passwords() -> Result<Self, Box<dyn std::error::Error>> {
        let people = vec![
            (PortalUser::new(UserId::new("alice")?), random(6)?),
            (PortalUser::new(UserId::new("bob")?), random(6)?),
            (PortalUser::administrator(UserId::new("root")?), random(6)?),
        ];
        Ok(Self(Arc::new(Inner { people, open: Mutex::default() })))
    }

    pub(crate) fn passwords(&self) -> impl Iterator<Item = (&UserId, &str)> {
        self.0.people.iter().map(|(user, password)| (user.user(), password.as_str()))
    }

    /// The pages, the sign-in, and the session around both.
    pub(crate) fn around(self, pages: Router) -> Router {
        let own = Router::new()
            .route("/", get(home))
            .route("/sign-in", get(ask).post(sign_in))
            .route("/sign-out", post(sign_out))
            .with_state(self.clone());
        pages.merge(own).layer(from_fn_with_state(self, signed_in))
    }
}

/// Says who it is, to everything inside.
async fn signed_in(State(sessions): State<Sessions>, mut request: Request, next: Next) -> Response {
    let open = cookie(request.headers()).and_then(|session| {
        let open = sessions.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(session).cloned()
    });
    if let Some(user) = open {
        request.extensions_mut().insert(user);
    }
    next.run(request).await
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split("; "));
    pairs.find_map(|pair| pair.strip_prefix(COOKIE_NAME)?.strip_prefix('='))
}

async fn home(user: Option<Extension<PortalUser>>) -> Response {
    let Some(Extension(user)) = user else { return Redirect::to("/sign-in").into_response() };
    let hello = escaped(user.user().as_str());
    page(
        "Fruit",
        &format!(
            "<p>Hello, {hello}.</p><p><a href=\"/tokens\">Your API tokens</a></p>\
             <form method=\"post\" action=\"/sign-out\"><button>Sign out</button></form>"
        ),
    )
    .into_response()
}

#[derive(Deserialize)]
struct Wish {
    return_to: Option<String>,
}

async fn ask(Query(wish): Query<Wish>) -> Html<String> {
    sign_in_page("", wish.return_to.as_deref())
}

fn sign_in_page(problem: &str, return_to: Option<&str>) -> Html<String> {
    let return_to = escaped(return_to.unwrap_or("/"));
    page(
        "Sign in",
        &format!(
            "{problem}<form method=\"post\" action=\"/sign-in\">\
             <input type=\"hidden\" name=\"return_to\" value=\"{return_to}\">\
             <p><label>User <input name=\"user\" autocomplete=\"username\" required></label></p>\
             <p><label>Password <input name=\"password\" type=\"password\" \
             autocomplete=\"current-password\" required></label></p>\
             <button>Sign in</button></form>"
        ),
    )
}

#[derive(Deserialize)]
struct Credentials {
    user: String,
    password: String,
    return_to: String,
}

async fn sign_in(State(sessions): State<Sessions>, Form(form): Form<Credentials>) -> Response {
    let mut people = sessions.0.people.iter();
    let known = people
        .find(|(user, password)| user.user().as_str() == form.user && *password == form.password);
    let (Some((user, _)), Ok(session)) = (known, random(24)) else {
        let problem = "<p role=\"alert\">That is not the password of this user.</p>";
        let page = sign_in_page(problem, Some(&form.return_to));
        return (StatusCode::UNAUTHORIZED, page).into_response();
    };
    let mut open = sessions.0.open.lock().unwrap_or_else(PoisonError::into_inner);
    open.insert(session.clone(), user.clone());
    drop(open);
    let to = if is_own_page(&form.return_to) { form.return_to.as_str() } else { "/" };
    let cookie = format!("{COOKIE_NAME}={session}; Path=/; HttpOnly; SameSite=Lax");
    ([(SET_COOKIE, cookie)], Redirect::to(to)).into_response()
}

/// Whether an address leads to a page of this application. Browsers take `\` for
/// `/`, and leave tabs and line breaks out.
fn is_own_page(address: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    address.starts_with('/') && !address.starts_with("//") && address.bytes().all(plain)
}

async fn sign_out(State(sessions): State<Sessions>, headers: HeaderMap) -> Response {
    if let Some(session) = cookie(&headers) {
        let mut open = sessions.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(session);
    }
    let cookie = format!("{COOKIE_NAME}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    ([(SET_COOKIE, cookie)], Redirect::to("/sign-in")).into_response()
}

fn page(title: &str, content: &str) -> Html<String> {
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <main><h1>{title}</h1>{content}</main></html>"
    ))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// `bytes` random bytes in hexadecimal.
fn random(bytes: usize) -> Result<String, getrandom::Error> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random)?;
    Ok(random.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
