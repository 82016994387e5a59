//! Whatever a client sends, the check is not what makes an error of the server
//! of it: the gateway denies the request, or its own parser refuses it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

use crate::api::Api;
use crate::endpoint::ALICE;
use crate::gateway::Gateway;
use crate::scene::Scene;
use crate::secret::Program;

/// Longer than any gateway waits for the endpoint or for its client.
const PATIENCE: Duration = Duration::from_secs(60);

/// The status of the answer to these bytes; none where the gateway hangs up.
async fn status(gateway: SocketAddr, bytes: &[u8]) -> Option<u16> {
    let stream = TcpStream::connect(gateway).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let bytes = bytes.to_vec();
    // A gateway may answer, and hang up, before it has read all of it.
    let sent = tokio::spawn(async move {
        drop(writer.write_all(&bytes).await);
        // Not closed before the answer is here.
        std::future::pending::<()>().await;
    });
    let answer = tokio::time::timeout(PATIENCE, final_status(&mut reader)).await;
    sent.abort();
    answer.expect("an answer in time")
}

/// Reads the status of the answer behind all interim ones.
async fn final_status(reader: &mut OwnedReadHalf) -> Option<u16> {
    let mut answer = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&answer);
        let heads = text.split("\r\n\r\n").map(|head| head.split("\r\n").collect::<Vec<_>>());
        let lines = heads.filter(|lines| lines.len() > 1 && lines[0].starts_with("HTTP/"));
        let mut statuses = lines.filter_map(|lines| lines[0].split(' ').nth(1)?.parse().ok());
        if let Some(status) = statuses.find(|status| *status >= 200) {
            return Some(status);
        }
        let mut part = [0; 4_096];
        match reader.read(&mut part).await {
            Ok(length) if length > 0 => answer.extend(&part[..length]),
            _ => return None,
        }
    }
}

/// Requests in bytes, each with what is shown of it.
type Requests = Vec<(String, Vec<u8>)>;

/// A request in bytes.
fn bytes(method: &[u8], target: &[u8], lines: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = [method, b" ", target, b" HTTP/1.1\r\nHost: api.test\r\n"].concat();
    bytes.extend(b"Connection: close\r\n");
    for (name, value) in lines {
        bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    bytes.extend(b"\r\n");
    bytes
}

/// Holds that nothing of these requests is answered 5xx, but for what a
/// gateway's own parser says of a method or version, and that nothing passes.
async fn all_are_denied(gateway: SocketAddr, api: &Api, requests: Requests) {
    let mut wrong = Vec::new();
    for (shown, bytes) in requests {
        let status = status(gateway, &bytes).await;
        let reached = api.reached();
        let denied = match status {
            None | Some(400..=499 | 501 | 505) => true,
            // Some gateways answer `OPTIONS *` themselves.
            Some(200) => shown.contains("OPTIONS *") || shown.contains("HTTP/0.9"),
            _ => false,
        };
        if !denied || !reached.is_empty() {
            wrong.push((shown, status, reached.len()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn credentials() -> Vec<Vec<u8>> {
    let long = |length| [b"Bearer ".to_vec(), vec![b'a'; length]].concat();
    let mut values: Vec<Vec<u8>> = [
        &b""[..],
        b"Bearer",
        b"Bearer ",
        b"Bearer  ",
        b"bearer x",
        b"Bearer a b",
        b"Bearer a,b",
        b"Bearer a, Bearer b",
        b"Bearer\tx",
        b"Bearer \xff\xfe\x80",
        b"Bearer t\xc3\xb6ken",
        b"\xf0\x9f\x94\x91",
        b"Bearer \x01",
        b"Bearer \x7f",
        b"Basic",
        b"Basic YTpi",
        b"Basic !!!",
        b"Digest a=b, c=d",
        b"Negotiate",
        b"TOK:",
        b"TOK:x",
        b"=",
        b",",
        b"\"",
    ]
    .into_iter()
    .map(<[u8]>::to_vec)
    .collect();
    values.extend([512, 513, 4_000, 7_000, 8_100, 15_000, 64_000, 400_000].map(long));
    values
}

/// Requests with each of them, and with a token that is live.
fn with_credentials(live: &str) -> Requests {
    let mut requests = Vec::new();
    let live = format!("Bearer {live}");
    for value in credentials() {
        let shown = String::from_utf8_lossy(&value[..value.len().min(20)]).into_owned();
        let one = ("Authorization", value.as_slice());
        let other = ("authorization", live.as_bytes());
        let grpc = ("Content-Type", &b"application/grpc"[..]);
        for (how, lines) in [
            ("once", &[one][..]),
            ("twice", &[one, one]),
            ("before a live one", &[one, other]),
            ("after a live one", &[other, one]),
            ("many times", &[one; 30]),
            ("of a gRPC client", &[one, grpc]),
        ] {
            let shown = format!("{shown:?} ({} bytes) {how}", value.len());
            // Alone, these may be a live token's, or none: never one that may POST.
            requests.push((shown, bytes(b"POST", b"/items", lines)));
        }
    }
    requests
}

pub(crate) async fn no_credential_makes_an_error_of_the_server(gateway: Gateway) {
    let scene = Scene::set(gateway).await;
    all_are_denied(scene.gateway.address, &scene.api, with_credentials(ALICE)).await;
}

/// Many headers, and long ones, with a token that is live.
fn with_headers(live: &str) -> Requests {
    let live = format!("Bearer {live}").into_bytes();
    let mut requests = Vec::new();
    let mut add = |shown: String, credential: &[u8], lines: &[(&str, &[u8])]| {
        let lines = [&[("Authorization", credential)], lines].concat();
        for method in [&b"POST"[..], b"HEAD"] {
            if method != b"HEAD" || credential == b"Bearer junk" {
                requests.push((shown.clone(), bytes(method, b"/items", &lines)));
            }
        }
    };
    for credential in [&live[..], b"Bearer junk"] {
        for count in [50, 98, 101, 150, 1_000, 1_100, 5_000] {
            let names: Vec<_> = (0..count).map(|number| format!("x-{number}")).collect();
            let lines: Vec<_> = names.iter().map(|name| (name.as_str(), &b"v"[..])).collect();
            add(format!("{count} headers"), credential, &lines);
            let same = vec![("x-same", &b"v"[..]); count];
            add(format!("{count} lines of one header"), credential, &same);
            let grpc = [&lines[..], &[("Content-Type", &b"application/grpc"[..])]].concat();
            add(format!("{count} headers of a gRPC client"), credential, &grpc);
        }
        for length in [4_000, 8_000, 12_000, 15_000, 16_500, 31_000, 64_000, 200_000, 900_000] {
            let long = vec![b'a'; length];
            for name in
                ["X-Long", "User-Agent", "Origin", "Cookie", "X-Forwarded-For", "Accept", "Referer"]
            {
                add(format!("{length} bytes of {name}"), credential, &[(name, &long)]);
            }
            let agents = [("User-Agent", long.as_slice()), ("Origin", &long), ("Cookie", &long)];
            add(format!("{length} bytes three times"), credential, &agents);
        }
    }
    for length in [6_000, 7_500, 9_000, 14_000, 60_000, 70_000, 500_000] {
        let target = [b"/".to_vec(), vec![b'a'; length]].concat();
        let agent = vec![b'a'; 6_000];
        for lines in [&[][..], &[("User-Agent", agent.as_slice())]] {
            let lines = [&[("Authorization", &live[..])], lines].concat();
            requests.push((format!("{length} bytes of path"), bytes(b"POST", &target, &lines)));
            let query = [b"/?".to_vec(), vec![b'a'; length]].concat();
            requests.push((format!("{length} bytes of query"), bytes(b"POST", &query, &lines)));
        }
    }
    requests
}

pub(crate) async fn no_number_or_size_of_headers_makes_an_error_of_the_server(gateway: Gateway) {
    let scene = Scene::set(gateway).await;
    all_are_denied(scene.gateway.address, &scene.api, with_headers(ALICE)).await;
}

/// The program has limits of its own.
pub(crate) async fn no_length_of_a_head_makes_an_error_of_the_program(gateway: Gateway) {
    let program = Program::start(gateway.asks);
    let (running, api) = program.before(gateway).await;
    for requests in [with_credentials(&program.token), with_headers(&program.token)] {
        all_are_denied(running.address, &api, requests).await;
    }
}

pub(crate) async fn no_method_or_target_makes_an_error_of_the_server(gateway: Gateway) {
    let scene = Scene::set(gateway).await;
    let live = format!("Bearer {ALICE}").into_bytes();
    let (long, longer) = (vec![b'A'; 33], vec![b'A'; 7_000]);
    let methods: [&[u8]; 18] = [
        b"POST",
        b"PUT",
        b"get",
        b"Get",
        b"BREW",
        b"PURGE",
        b"PROPFIND",
        b"M-SEARCH",
        b"QUERY",
        b"TRACE",
        b"CONNECT",
        b"OPTIONS",
        b"PRI",
        b"*",
        b"!#$%&'*+-.^_`|~",
        b"G\xc3\x89T",
        &long,
        &longer,
    ];
    let targets: [&[u8]; 12] = [
        b"/items",
        b"*",
        b"/",
        b"//",
        b"/%ff",
        b"/\xff",
        b"/%00",
        b"/a/../b",
        b"http://api.test/x",
        b"api.test:443",
        b"/?\xc3\xb6",
        b"/a b",
    ];
    let mut requests = Vec::new();
    for method in methods {
        for target in targets {
            for credential in [Some(&live[..]), Some(b"Bearer junk"), None] {
                let lines: Vec<_> =
                    credential.map(|it| ("Authorization", it)).into_iter().collect();
                let short = &method[..method.len().min(40)];
                let shown = [short, b" ", target].concat();
                let shown = String::from_utf8_lossy(&shown).into_owned();
                requests.push((shown, bytes(method, target, &lines)));
            }
        }
    }
    for (name, value) in [
        ("X-HTTP-Method-Override", &b"DELETE"[..]),
        ("X-HTTP-Method-Override", b""),
        ("X-HTTP-Method", b"not a method"),
        ("X-Method-Override", b"\xff"),
        ("X-Original-Method", b"GET"),
        ("X-Forwarded-Method", b"\xff"),
        ("X-Original-URI", b"\xff"),
        ("X-Gateway-Secret", b"a guess"),
        ("Host", b"other.test"),
        ("Host", b"\xff"),
        ("Expect", b"100-continue"),
        ("Expect", b"nonsense"),
        ("TE", b"trailers"),
        ("Upgrade", b"websocket"),
        ("Content-Length", b"5"),
        ("Content-Length", b"x"),
        ("Transfer-Encoding", b"nonsense"),
        ("Connection", b"Authorization"),
    ] {
        let live = ("Authorization", live.as_slice());
        // A body that is announced and never comes is the client's business.
        let end = if value == b"5" { &b"abcde"[..] } else { b"" };
        for lines in
            [&[(name, value)][..], &[live, (name, value)], &[live, (name, value), (name, value)]]
        {
            let shown = format!("{name}: {}", String::from_utf8_lossy(value));
            requests.push((shown, [&bytes(b"POST", b"/items", lines), end].concat()));
        }
    }
    for version in ["HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/9.9", "HTTP", ""] {
        let text = format!("POST /items {version}\r\nHost: api.test\r\nConnection: close\r\n\r\n");
        requests.push((format!("version {version}"), text.into_bytes()));
    }
    all_are_denied(scene.gateway.address, &scene.api, requests).await;
}
