//! One portal, the host's session around it, and what it mailed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt;
use tower_api_token::TokenManager;
use tower_api_token::account::{LastUse, Slot};
use tower_api_token::authenticate::Authenticator;
use tower_api_token::manage::{AccountView, Confirmation};
use tower_api_token::method::MethodSet;
use tower_api_token::notify::ConfirmationMessage;
use tower_api_token::portal::{Portal, PortalUser};
use tower_api_token::rotation::Policy;
use tower_api_token::store::{AccountStore, LastUses, MemoryStore};
use tower_api_token::test_util::ManualClock;
use tower_api_token::time::Timestamp;
use tower_api_token::token::TokenId;
use tower_api_token::user::{Actor, ClientLabel, UserId};

use crate::web::described;

/// Who is signed in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Session {
    Nobody,
    User(&'static str),
    Admin(&'static str),
}

pub(crate) const ALICE: Session = Session::User("alice");
pub(crate) const BOB: Session = Session::User("bob");
pub(crate) const ROOT: Session = Session::Admin("root");

pub(crate) struct World {
    pub(crate) router: Router,
    pub(crate) manager: TokenManager,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) clock: Arc<ManualClock>,
    codes: Arc<Mutex<Vec<String>>>,
}

impl World {
    /// alice and bob have access, carol has none; nobody has a token.
    pub(crate) async fn new() -> Self {
        Self::with(|portal| portal).await
    }

    /// With tokens that live as the policy says.
    pub(crate) async fn under(policy: Policy) -> Self {
        let mut world = Self::new().await;
        let builder = TokenManager::builder(Arc::clone(&world.store)).policy(policy);
        let manager = builder.confirmation(Confirmation::ByCaller).build().await.unwrap();
        world.router = Portal::new(manager.clone()).into_router();
        world.manager = manager;
        world
    }

    pub(crate) async fn with(configure: impl FnOnce(Portal) -> Portal) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(1_767_225_600_000)));
        let store = Arc::new(MemoryStore::with_clock(Arc::clone(&clock)));
        let codes = Arc::new(Mutex::new(Vec::new()));
        let mailed = Arc::clone(&codes);
        let post = move |message: ConfirmationMessage| {
            mailed.lock().unwrap().push(message.code.expose_secret().to_owned());
            async { Ok(()) }
        };
        let manager =
            TokenManager::builder(Arc::clone(&store)).notifier(post).build().await.unwrap();
        let root = Actor::administrator("root").unwrap();
        for name in ["alice", "bob"] {
            manager.grant(&root, &user(name), MethodSet::new(["GET"]).unwrap()).await.unwrap();
        }
        let router = configure(Portal::new(manager.clone())).into_router();
        Self { router, manager, store, clock, codes }
    }

    /// Sends a request as a browser or program would.
    pub(crate) async fn send(
        &self,
        session: Session,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.uri(path).body(body.into()).unwrap();
        match session {
            Session::Nobody => {}
            Session::User(name) => {
                request.extensions_mut().insert(PortalUser::new(user(name)));
            }
            Session::Admin(name) => {
                request.extensions_mut().insert(PortalUser::administrator(user(name)));
            }
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let answer = Answer { status: parts.status, headers: parts.headers, text };
        if let Some(operation) = path.strip_prefix("/tokens/api") {
            described::hold(&self.description().await, method, operation, &answer);
        }
        answer
    }

    /// The OpenAPI document; none of a portal at another path.
    async fn description(&self) -> Value {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = "/tokens/api/openapi.json".parse().unwrap();
        request.extensions_mut().insert(PortalUser::new(user("alice")));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        serde_json::from_slice(&body).unwrap_or_default()
    }

    pub(crate) async fn get(&self, session: Session, path: &str) -> Answer {
        self.send(session, "GET", path, &[], "").await
    }

    /// Opens the page of a form and sends its hidden fields with those given,
    /// as a browser does when its button is pressed.
    pub(crate) async fn submit(
        &self,
        session: Session,
        page: &str,
        fields: &[(&str, &str)],
    ) -> Answer {
        let opened = self.get(session, page).await;
        assert_eq!(opened.status, 200, "{page}: {}", opened.text);
        self.send_form(session, &opened, fields).await
    }

    /// Sends the first form of a page that was opened before.
    pub(crate) async fn send_form(
        &self,
        session: Session,
        opened: &Answer,
        fields: &[(&str, &str)],
    ) -> Answer {
        let action = opened.between("<form", "</form>").between_text("action=\"", "\"");
        self.post(session, &action, &form(&opened.hidden(), fields)).await
    }

    /// Sends a form that somebody has put together.
    pub(crate) async fn post(&self, session: Session, path: &str, body: &str) -> Answer {
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("sec-fetch-site", "same-origin"),
        ];
        self.send(session, "POST", path, &headers, body.to_owned()).await
    }

    /// Asks for a JSON operation.
    pub(crate) async fn api(&self, session: Session, name: &str, body: &str) -> Answer {
        let headers = [("content-type", "application/json"), ("sec-fetch-site", "same-origin")];
        self.send(session, "POST", &format!("/tokens/api/{name}"), &headers, body.to_owned()).await
    }

    /// A form token of this session.
    pub(crate) async fn form_token(&self, session: Session) -> String {
        let page = self.get(session, "/tokens/edit/generate").await;
        page.hidden().into_iter().find(|(name, _)| name == "form_token").expect("a form").1
    }

    /// A form token of a user who has no form, as an old page would hold.
    pub(crate) async fn form_token_of(&self, name: &'static str) -> String {
        self.get(Session::Admin(name), "/tokens/admin").await.hidden().remove(0).1
    }

    /// Generates by the page, and gives the token and the code that was mailed.
    pub(crate) async fn generate(&self, session: Session) -> (String, String) {
        let answer = self.submit(session, "/tokens/edit/generate", &[("agree", "yes")]).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        (answer.between_text("<code id=\"token\">", "</code>"), self.last_code())
    }

    /// Generates and confirms.
    pub(crate) async fn rotate(&self, session: Session) -> String {
        let (token, code) = self.generate(session).await;
        let answer = self.submit(session, &format!("/tokens/verify?code={code}"), &[]).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        token
    }

    pub(crate) fn last_code(&self) -> String {
        self.codes.lock().unwrap().last().expect("a mail").clone()
    }

    pub(crate) fn mails(&self) -> usize {
        self.codes.lock().unwrap().len()
    }

    pub(crate) async fn view(&self, name: &str) -> AccountView {
        self.manager.view(&user(name)).await.unwrap()
    }

    /// Everything that a change of alice's account would show in.
    pub(crate) async fn state(&self) -> String {
        format!("{:?}", self.store.load(&user("alice")).await.unwrap())
    }

    /// Which slot a request with this token is let in by.
    pub(crate) async fn slot(&self, token: &str) -> Option<Slot> {
        let request = Request::get("/").header("authorization", format!("Bearer {token}"));
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let authenticator = Authenticator::new(Arc::clone(&self.store));
        let identity = authenticator.authenticate(&mut parts).await.ok().flatten();
        identity.map(|identity| identity.slot())
    }

    /// Notes a use of a token, as the layer would.
    pub(crate) async fn used(&self, name: &str, id: TokenId, client: &str) {
        let client = Some(ClientLabel::new(client).unwrap());
        let usage = LastUse::new(id, self.view(name).await.now, client);
        self.store.record_usage(&[(user(name), usage)]).await.unwrap();
    }

    pub(crate) fn wait(&self, time: Duration) {
        self.clock.advance(time);
    }
}

pub(crate) fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// Fields as a form sends them; later ones win.
pub(crate) fn form(hidden: &[(String, String)], fields: &[(&str, &str)]) -> String {
    let given = |name: &str| fields.iter().any(|(field, _)| *field == name);
    let hidden = hidden.iter().filter(|(name, _)| !given(name));
    let hidden = hidden.map(|(name, value)| (name.as_str(), value.as_str()));
    let encode = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let all = hidden.chain(fields.iter().copied());
    let pairs = all.map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The hidden fields of the first form.
    pub(crate) fn hidden(&self) -> Vec<(String, String)> {
        let form = self.between("<form", "</form>").text;
        let inputs = form.split("<input type=\"hidden\"").skip(1);
        let field = |input: &str| {
            let part = |name: &str| {
                let start = input.split_once(&format!("{name}=\"")).expect("an attribute").1;
                unescape(start.split('"').next().unwrap())
            };
            (part("name"), part("value"))
        };
        inputs.map(field).collect()
    }

    pub(crate) fn between(&self, start: &str, end: &str) -> Self {
        let rest = self.text.split_once(start).unwrap_or_else(|| panic!("{start}: {}", self.text));
        let text = rest.1.split_once(end).expect("its end").0.to_owned();
        Self { status: self.status, headers: self.headers.clone(), text }
    }

    pub(crate) fn between_text(&self, start: &str, end: &str) -> String {
        self.between(start, end).text
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The last part of a problem's type.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text);
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        let kind = problem["type"].as_str().unwrap().to_owned();
        kind.strip_prefix("urn:problem-type:tower-api-token:").unwrap().to_owned()
    }
}

/// What the templates escape.
fn unescape(text: &str) -> String {
    let entities =
        [("&#34;", "\""), ("&#39;", "'"), ("&#60;", "<"), ("&#62;", ">"), ("&#38;", "&")];
    entities.iter().fold(text.to_owned(), |text, (entity, plain)| text.replace(entity, plain))
}
