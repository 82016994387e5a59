//! Odd requests: well-formed ones with something wrong, and plain noise.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Method, Request};

use crate::no_panic::target::Tokens;

/// One request, before it is one.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) method: Method,
    pub(crate) lines: Vec<(&'static str, HeaderValue)>,
}

impl Sample {
    pub(crate) fn request(&self) -> Request<String> {
        let mut request = Request::new(String::new());
        *request.method_mut() = self.method.clone();
        for (name, value) in &self.lines {
            request.headers_mut().append(*name, value.clone());
        }
        request
    }
}

/// Bytes that often stand where a parser decides.
const EDGES: &[u8] = b" \t:,;=\"'\\/._-~+%\0\x01\x7f\x80\xff\r\nAaZz09";

const NAMES: &[&str] = &[
    "authorization",
    "authorization",
    "authorization",
    "x-api-key",
    "x_api_key",
    "proxy-authorization",
    "cookie",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x_http_method",
    "x.method.override",
    "origin",
    "access-control-request-method",
    "content-type",
    "user-agent",
];

const METHODS: &[&str] =
    &["GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PURGE", "TRACE", "CONNECT"];

const SCHEMES: &[&str] =
    &["Bearer ", "bearer ", "BEARER  ", "Bearer", "TOK:", "tok: ", "Basic ", ""];

/// Splitmix64: the same cases from the same seed.
pub(crate) struct Generator<'a> {
    state: u64,
    tokens: &'a Tokens,
}

impl<'a> Generator<'a> {
    pub(crate) fn new(seed: u64, tokens: &'a Tokens) -> Self {
        Self { state: seed, tokens }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub(crate) fn sample(&mut self) -> Sample {
        let mut lines = vec![self.credential()];
        while self.one_in(3) && lines.len() < 70 {
            let line = if self.one_in(4) { self.credential() } else { self.any_line() };
            lines.push(line);
        }
        if self.one_in(200) {
            lines = vec![lines[0].clone(); 60];
        }
        let start = self.below(lines.len());
        lines.rotate_left(start);
        Sample { method: self.method(), lines }
    }

    fn method(&mut self) -> Method {
        let mut name = self.pick(METHODS).as_bytes().to_vec();
        if self.one_in(10) {
            self.mutate(&mut name);
        } else if self.one_in(50) {
            name = vec![b'M'; self.below(6_000) + 1];
        }
        Method::from_bytes(&name).unwrap_or(Method::GET)
    }

    /// A line in which a token might stand.
    fn credential(&mut self) -> (&'static str, HeaderValue) {
        let mut token = self.token();
        if self.one_in(6) {
            self.mutate(&mut token);
        }
        if self.one_in(5) {
            return ("x-api-key", value(token));
        }
        let scheme = self.pick(SCHEMES);
        let mut text = scheme.as_bytes().to_vec();
        if scheme == "Basic " {
            text.extend(self.basic(&token));
        } else {
            text.extend(token);
        }
        if self.one_in(8) {
            self.mutate(&mut text);
        }
        ("authorization", value(text))
    }

    fn basic(&mut self, token: &[u8]) -> Vec<u8> {
        let user = self.pick(&["alice", "alice", "carol", "carol", "bob", "", "al:ice", "\u{e9}"]);
        let mut credential = [user.as_bytes(), b":", token].concat();
        if self.one_in(8) {
            self.mutate(&mut credential);
        }
        STANDARD.encode(credential).into_bytes()
    }

    fn token(&mut self) -> Vec<u8> {
        let tokens = self.tokens;
        let Tokens { alice, backup, foreign, retired, unknown } = tokens;
        let known = [alice, alice, backup, foreign, foreign, retired, unknown];
        match self.below(12) {
            0 => self.noise(40),
            1 => vec![b'x'; 510 + self.below(5)],
            _ => self.pick(&known).clone().into_bytes(),
        }
    }

    fn any_line(&mut self) -> (&'static str, HeaderValue) {
        let name = self.pick(NAMES);
        let mut text = match self.below(4) {
            0 => self.noise(60),
            1 => self.token(),
            _ if name == "content-type" => b"application/grpc+proto".to_vec(),
            _ => self.pick(METHODS).as_bytes().to_vec(),
        };
        if self.one_in(6) {
            self.mutate(&mut text);
        }
        (name, value(text))
    }

    fn noise(&mut self, longest: usize) -> Vec<u8> {
        let length = self.below(longest);
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// One to three small changes.
    fn mutate(&mut self, text: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let place = self.below(text.len() + 1);
            let edge = if self.one_in(3) { self.next() as u8 } else { self.pick(EDGES) };
            match self.below(6) {
                0 => text.insert(place, edge),
                1 => text.truncate(place),
                2 => text.extend_from_within(..place),
                3 if place < text.len() => text[place] ^= 0x20,
                4 if place < text.len() => drop(text.remove(place)),
                _ if place < text.len() => text[place] = edge,
                _ => text.push(edge),
            }
        }
    }
}

/// The text, or what is left of it without the bytes that no header can hold.
fn value(mut text: Vec<u8>) -> HeaderValue {
    text.retain(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f));
    HeaderValue::from_bytes(&text).expect("only bytes that may stand in a header")
}
