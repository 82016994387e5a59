//! What is written beside a fixture: its tokens, codes and accounts.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use http::{Request, Response};
use http_body_util::Empty;
use serde::Deserialize;
use tower::{Layer, ServiceExt, service_fn};
use tower_api_token::middleware::TokenAuthLayer;
use tower_api_token::token::{Pepper, TokenScheme};

use crate::upgrade::Store;

/// The status of the answer to a request with each method.
pub(crate) type Answers = BTreeMap<String, u16>;

#[derive(Deserialize)]
pub(crate) struct Fixture {
    pepper: Key,
    sealing: SealingText,
    pub(crate) codes: Vec<Code>,
    pub(crate) tokens: Vec<Written>,
    pub(crate) accounts: Vec<WrittenAccount>,
}

#[derive(Deserialize)]
struct Key {
    version: u16,
    key: String,
}

#[derive(Deserialize)]
struct SealingText {
    key: String,
}

#[derive(Deserialize)]
pub(crate) struct Code {
    pub(crate) user: String,
    pub(crate) id: u64,
    pub(crate) code: String,
}

#[derive(Deserialize)]
pub(crate) struct Written {
    pub(crate) user: String,
    pub(crate) place: String,
    pub(crate) id: u64,
    #[serde(rename = "token")]
    pub(crate) text: String,
    pub(crate) answers: Answers,
}

#[derive(Deserialize)]
pub(crate) struct WrittenAccount {
    pub(crate) user: String,
    pub(crate) revision: u64,
    pub(crate) methods: Vec<String>,
    pub(crate) history: Vec<String>,
}

/// The file of that name in the folder of that version.
pub(crate) fn path(version: &str, name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(version).join(name)
}

impl Fixture {
    /// What is written beside the store `name` of that version.
    pub(crate) fn read(version: &str, name: &str) -> Self {
        let text = fs::read_to_string(path(version, &format!("{name}.json"))).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Recognises every token that is in the store.
    pub(crate) fn scheme(&self) -> TokenScheme {
        self.scheme_with(self.pepper.key.as_bytes())
    }

    /// The same with this key in the place of the pepper's.
    pub(crate) fn scheme_with(&self, key: &[u8]) -> TokenScheme {
        let pepper = Pepper::new(self.pepper.version, key).unwrap();
        let scheme = TokenScheme::default().accept_foreign_tokens(true);
        scheme.pepper(pepper).unwrap().formerly_without_pepper().unwrap()
    }

    pub(crate) fn sealing_key(&self) -> &[u8] {
        self.sealing.key.as_bytes()
    }

    pub(crate) fn token(&self, user: &str, id: u64) -> &Written {
        self.tokens.iter().find(|token| token.user == user && token.id == id).unwrap()
    }
}

/// How a layer over the store answers to the token.
pub(crate) async fn answers(store: &Store, scheme: TokenScheme, token: &Written) -> Answers {
    let inner = service_fn(|_: Request<Empty<bytes::Bytes>>| async {
        Ok::<_, Infallible>(Response::new(Empty::<bytes::Bytes>::new()))
    });
    let service = TokenAuthLayer::new(Arc::clone(store)).scheme(scheme).layer(inner);
    let mut answers = Answers::new();
    for method in token.answers.keys() {
        let request = Request::builder().method(method.as_str());
        let request = request.header("authorization", format!("Bearer {}", token.text));
        let response = service.clone().oneshot(request.body(Empty::new()).unwrap()).await.unwrap();
        answers.insert(method.clone(), response.status().as_u16());
    }
    answers
}
