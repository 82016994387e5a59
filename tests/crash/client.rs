//! A client that follows the procedure, and never stops making requests.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use http::Request;
use tower_api_token::authenticate::Authenticator;
use tower_api_token::denial::DenialKind;
use tower_api_token::store::SqliteStore;

/// What became of the client's requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests {
    pub(crate) served: usize,
    /// Refused with 401 or 403: must not happen.
    pub(crate) refused: Vec<String>,
    /// Answered 503 or 500: allowed while the store is down.
    pub(crate) unavailable: usize,
}

/// The tokens that the client has been shown.
struct Tokens {
    in_use: String,
    /// Not known to work yet.
    newest: Option<String>,
}

pub(crate) struct Client {
    authenticator: Authenticator,
    tokens: Arc<Mutex<Tokens>>,
    stopped: Arc<AtomicBool>,
    thread: JoinHandle<Requests>,
}

impl Client {
    pub(crate) fn start(store: Arc<SqliteStore>, token: String) -> Self {
        let authenticator = Authenticator::new(store);
        let tokens = Arc::new(Mutex::new(Tokens { in_use: token, newest: None }));
        let stopped = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (authenticator, tokens) = (authenticator.clone(), Arc::clone(&tokens));
            let stopped = Arc::clone(&stopped);
            move || request_until(&stopped, &authenticator, &tokens)
        });
        Self { authenticator, tokens, stopped, thread }
    }

    /// Is shown a new token, and keeps using the old one.
    pub(crate) fn learn(&self, token: &str) {
        self.tokens.lock().unwrap().newest = Some(token.to_owned());
    }

    /// Switches to the newest token if it works.
    pub(crate) fn try_newest(&self) {
        let Some(newest) = self.tokens.lock().unwrap().newest.clone() else { return };
        if attempt(&self.authenticator, &newest).is_ok() {
            let mut tokens = self.tokens.lock().unwrap();
            tokens.in_use = newest;
            tokens.newest = None;
        }
    }

    /// Must come to use the primary: the newest token, if it was confirmed.
    pub(crate) fn switch(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            self.try_newest();
            let in_use = self.tokens.lock().unwrap().in_use.clone();
            let slot = attempt(&self.authenticator, &in_use).ok();
            if slot == Some(tower_api_token::account::Slot::Primary) {
                return;
            }
            assert!(Instant::now() < deadline, "the client's token is not the primary: {slot:?}");
            std::thread::yield_now();
        }
    }

    pub(crate) fn stop(self) -> Requests {
        self.stopped.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn request_until(
    stopped: &AtomicBool,
    authenticator: &Authenticator,
    tokens: &Mutex<Tokens>,
) -> Requests {
    let mut requests = Requests::default();
    while !stopped.load(Ordering::Relaxed) {
        // Held over the request: the owner deletes a backup only after the
        // client has stopped using it.
        let tokens = tokens.lock().unwrap();
        match attempt(authenticator, &tokens.in_use) {
            Ok(_) => requests.served += 1,
            Err(DenialKind::StoreUnavailable | DenialKind::StoreCorrupt) => {
                requests.unavailable += 1;
            }
            Err(refused) => requests.refused.push(format!("{refused:?}")),
        }
        drop(tokens);
        std::thread::sleep(Duration::from_micros(200));
    }
    requests
}

/// One request with this token; the slot that it was accepted in.
fn attempt(
    authenticator: &Authenticator,
    token: &str,
) -> Result<tower_api_token::account::Slot, DenialKind> {
    let request = Request::get("/").header("authorization", format!("Bearer {token}"));
    let (mut head, ()) = request.body(()).unwrap().into_parts();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let decision = runtime.block_on(authenticator.authenticate(&mut head));
    let identity = decision.map_err(|denial| denial.kind())?;
    Ok(identity.expect("a token was sent").slot())
}
