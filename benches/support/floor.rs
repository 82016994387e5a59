//! The floor: the least that a request must cost, written by hand.
//!
//! It does what the layer's default configuration does to a live token, and
//! nothing else: one pass over the headers that sees a repeated credential and
//! the method overrides and marks the credential as sensitive, Bearer in any
//! case, SHA-256 in one block, a look-up, a comparison with both slots in
//! constant time, the method, the last-use mark and the identity in the
//! extensions. No trait, no error type, no setting, no other store.
//!
//! The floor of a cache looks at the clock, too, and marks what it has used.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use compact_str::CompactString;
use http::header::AUTHORIZATION;
use http::{Method, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use rustix::time::{ClockId, clock_gettime};
use subtle::ConstantTimeEq;
use tower::Service;

use super::population::{BACKUP, Sequence, digest, token, user};

const GET: u8 = 1;
const POST: u8 = 2;
const PUT: u8 = 4;

/// One user as the floor keeps them; a slot that is empty holds zeros.
struct User {
    slots: [[u64; 4]; 2],
    marks: [AtomicU32; 2],
    name: CompactString,
    methods: u8,
    /// For the cache.
    until: u64,
    used: AtomicBool,
}

/// What the floor puts into the extensions.
#[derive(Clone)]
#[expect(dead_code, reason = "a handler would read it")]
pub(crate) struct FloorIdentity {
    pub(crate) name: CompactString,
    pub(crate) methods: u8,
    pub(crate) token: u64,
    pub(crate) slot: u8,
}

/// The users by the digests of their tokens.
pub(crate) struct FloorTable {
    users: HashMap<[u8; 32], Arc<User>, FirstWord>,
    interval: AtomicU32,
    /// For the cache.
    lease: AtomicU64,
}

impl FloorTable {
    pub(crate) fn new(users: u64, with_backups: bool) -> Self {
        let mut table = HashMap::with_hasher(FirstWord(Sequence::new(users).next()));
        for number in 0..users {
            let primary = *digest(&token(number)).digest.as_bytes();
            let backup = with_backups.then(|| *digest(&token(number + BACKUP)).digest.as_bytes());
            let user = Arc::new(User {
                slots: [words(&primary), backup.map_or([0; 4], |backup| words(&backup))],
                marks: [const { AtomicU32::new(0) }; 2],
                name: user(number).into(),
                methods: GET | POST | PUT,
                until: u64::MAX,
                used: AtomicBool::new(false),
            });
            table.extend(backup.map(|backup| (backup, Arc::clone(&user))));
            table.insert(primary, user);
        }
        Self { users: table, interval: AtomicU32::new(1), lease: AtomicU64::new(u64::MAX) }
    }
}

/// A service behind the floor.
#[derive(Clone)]
pub(crate) struct Floor<S, const CACHE: bool> {
    inner: S,
    table: Arc<FloorTable>,
}

impl<S, const CACHE: bool> Floor<S, CACHE> {
    pub(crate) const fn new(inner: S, table: Arc<FloorTable>) -> Self {
        Self { inner, table }
    }
}

pin_project! {
    #[project = FloorFutureProjection]
    pub(crate) enum FloorFuture<F> {
        Passed { #[pin] future: F },
        Denied { status: StatusCode },
    }
}

impl<F, E> Future for FloorFuture<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.project() {
            FloorFutureProjection::Passed { future } => future.poll(cx),
            FloorFutureProjection::Denied { status } => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = *status;
                Poll::Ready(Ok(response))
            }
        }
    }
}

impl<S, const CACHE: bool> Service<Request<Body>> for Floor<S, CACHE>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = FloorFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match authenticate::<CACHE>(&self.table, &mut request) {
            Ok(identity) => {
                request.extensions_mut().insert(identity);
                FloorFuture::Passed { future: self.inner.call(request) }
            }
            Err(status) => FloorFuture::Denied { status },
        }
    }
}

#[inline]
fn authenticate<const CACHE: bool>(
    table: &FloorTable,
    request: &mut Request<Body>,
) -> Result<FloorIdentity, StatusCode> {
    let method = method_bit(request.method());
    let (mut credential, mut overridden) = (None, 0);
    for (name, value) in request.headers_mut() {
        if *name == AUTHORIZATION {
            value.set_sensitive(true);
            if credential.replace(value).is_some() {
                return Err(StatusCode::BAD_REQUEST);
            }
        } else if is_override(name.as_str()) {
            overridden |= match value.as_bytes() {
                b"GET" => GET,
                b"POST" => POST,
                b"PUT" => PUT,
                _ => return Err(StatusCode::BAD_REQUEST),
            };
        }
    }
    let credential = credential.ok_or(StatusCode::UNAUTHORIZED)?;
    let credential = credential.as_bytes();
    let start = credential.first_chunk().ok_or(StatusCode::UNAUTHORIZED)?;
    let token = &credential[7..];
    if !is_bearer(*start) || token.len() > 55 {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let digest = sha256(token);
    let user = table.users.get(&digest).ok_or(StatusCode::UNAUTHORIZED)?;
    if CACHE {
        let until = table.lease.load(Ordering::Acquire).min(user.until);
        if boot_time() >= until {
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        if !user.used.load(Ordering::Relaxed) {
            user.used.store(true, Ordering::Relaxed);
        }
    }
    let digest = words(&digest);
    let slot = match (is_same(&user.slots[0], &digest), is_same(&user.slots[1], &digest)) {
        (true, _) => 0,
        (false, true) => 1,
        (false, false) => return Err(StatusCode::UNAUTHORIZED),
    };
    if (method | overridden) & !user.methods != 0 {
        return Err(StatusCode::FORBIDDEN);
    }
    let interval = table.interval.load(Ordering::Relaxed);
    if user.marks[slot].load(Ordering::Relaxed) != interval {
        user.marks[slot].store(interval, Ordering::Relaxed);
    }
    let (name, methods) = (user.name.clone(), user.methods);
    Ok(FloorIdentity { name, methods, token: 2 - slot as u64, slot: slot as u8 })
}

/// In nanoseconds.
#[inline]
fn boot_time() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A bit that nobody has been granted stands for every other method.
fn method_bit(method: &Method) -> u8 {
    match *method {
        Method::GET => GET,
        Method::POST => POST,
        Method::PUT => PUT,
        _ => 1 << 7,
    }
}

fn is_override(name: &str) -> bool {
    matches!(name, "x-http-method-override" | "x-http-method" | "x-method-override")
}

/// Whether a credential begins with `bearer` in any case, and a space.
#[inline]
fn is_bearer(start: [u8; 8]) -> bool {
    let cases = u64::from_le_bytes([0x20; 8]);
    (u64::from_le_bytes(start) | cases) << 8 == u64::from_le_bytes(*b"bearer \0") << 8
}

/// In constant time: an optimiser turns anything plainer into four branches.
#[inline]
fn is_same(slot: &[u64; 4], digest: &[u64; 4]) -> bool {
    let ([a, b, c, d], [e, f, g, h]) = (slot, digest);
    ((a ^ e) | (b ^ f) | (c ^ g) | (d ^ h)).ct_eq(&0).into()
}

#[inline]
fn words(digest: &[u8; 32]) -> [u64; 4] {
    let (words, _) = digest.as_chunks::<8>();
    [words[0], words[1], words[2], words[3]].map(u64::from_ne_bytes)
}

/// SHA-256 of at most 55 bytes.
#[inline]
pub(crate) fn sha256(message: &[u8]) -> [u8; 32] {
    let mut state = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    let mut blocks = [[0; 64]];
    let block = &mut blocks[0];
    block[..message.len()].copy_from_slice(message);
    block[message.len()] = 0x80;
    block[56..].copy_from_slice(&(message.len() as u64 * 8).to_be_bytes());
    sha2::block_api::compress256(&mut state, &blocks);
    let mut digest = [0; 32];
    for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    digest
}

/// One keyed multiply-fold of 64 bits of the digest.
struct FirstWord(u64);

struct Folded(u64);

impl BuildHasher for FirstWord {
    type Hasher = Folded;

    fn build_hasher(&self) -> Folded {
        Folded(self.0)
    }
}

impl Hasher for Folded {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        if let Some(word) = bytes.first_chunk::<8>() {
            let product = u128::from(u64::from_ne_bytes(*word) ^ self.0) * 0x9e37_79b9_7f4a_7c15;
            self.0 = (product >> 64) as u64 ^ product as u64;
        }
    }

    /// The length of an array, which is always the same.
    #[inline]
    fn write_usize(&mut self, _: usize) {}

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}
