//! The program behind a gateway that has to show it a secret.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tower_api_token::forward_auth::Profile;

use crate::api::Api;
use crate::client::{Answer, Connection, request};
use crate::gateway::{Asks, Edits, Gateway, Running};

const SECRET: &str = "a-secret-that-only-the-gateway-knows";

/// A running `serve`; killed when it is dropped.
pub(crate) struct Program {
    child: Child,
    address: SocketAddr,
    pub(crate) token: String,
    _directory: TempDir,
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tower-api-token"));
    command.args(arguments).current_dir(directory).env_clear();
    command.env("TOWER_API_TOKEN_STORE", "sqlite:tokens.db");
    command
}

/// Runs a command of the program to its end: what it prints.
fn run(directory: &Path, arguments: &[&str]) -> String {
    let output = command(directory, arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Program {
    pub(crate) fn start(asks: Asks) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        run(path, &["migrate"]);
        run(path, &["user", "grant", "alice", "GET"]);
        let token = run(path, &["token", "issue", "alice"]);
        std::fs::write(path.join("secret"), SECRET).unwrap();
        let mode = Command::new("chmod").args(["600", "secret"]).current_dir(path).status();
        assert!(mode.unwrap().success());
        let (arguments, name) = match asks {
            Asks::Http(profile) => {
                let profile = match profile {
                    Profile::OriginalMethod => "original-method",
                    Profile::ForwardedMethod => "forwarded-method",
                    Profile::MethodHeader => "method-header",
                    _ => "own-request-line",
                };
                (vec!["serve", "--listen", "127.0.0.1:0", "--profile", profile], "FORWARD_AUTH")
            }
            Asks::Grpc => (vec!["serve", "--ext-authz", "127.0.0.1:0"], "EXT_AUTHZ"),
        };
        let mut serve = command(path, &arguments);
        serve.env(format!("TOWER_API_TOKEN_{name}_SECRET_FILE"), "secret");
        let mut child = serve.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let listening = lines.find(|line| line.contains(" listening")).expect("it listens");
        let address = listening.split("address=").nth(1).unwrap().split_whitespace().next();
        let address = address.unwrap().parse().unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address, token, _directory: directory }
    }

    /// The gateway in front of it and of an API, once it shows the secret and
    /// denies.
    pub(crate) async fn before(&self, gateway: Gateway) -> (Running, Api) {
        let (running, api) = self.started(told(gateway, SECRET)).await;
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while send(running.address, &[]).await.status != 401 {
            assert!(std::time::Instant::now() < deadline, "the gateway does not ask");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        (running, api)
    }

    async fn started(&self, gateway: Gateway) -> (Running, Api) {
        let api = Api::start().await;
        let (endpoint, behind) = (self.address, api.address);
        let start = move || gateway.start(endpoint, behind);
        (tokio::task::spawn_blocking(start).await.unwrap(), api)
    }

    /// What the gateway, with a configuration as it shows the secret, answers
    /// to a live token and to another, and how often the API is reached.
    async fn behind(&self, gateway: Gateway) -> (Answer, Answer, usize) {
        let (running, api) = self.started(gateway).await;
        let live = format!("Bearer {}", self.token);
        let mut answers = Vec::new();
        for credential in [live.as_str(), "Bearer junk"] {
            let headers = [("authorization", credential), ("x-gateway-secret", "a guess")];
            let mut answer = send(running.address, &headers).await;
            // Some gateways listen before they know their routes.
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
            while answer.status == 404 && std::time::Instant::now() < deadline {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                answer = send(running.address, &headers).await;
            }
            answers.push(answer);
        }
        let reached = api.reached();
        for reached in &reached {
            let values = || reached.headers.values().filter_map(|value| value.to_str().ok());
            assert!(!values().any(|value| value.contains(SECRET)), "the API is told: {reached:?}");
        }
        let [live, junk] = <[Answer; 2]>::try_from(answers).unwrap();
        (live, junk, reached.len())
    }
}

async fn send(gateway: SocketAddr, headers: &[(&str, &str)]) -> Answer {
    Connection::open(gateway).await.send(request("GET", headers)).await
}

/// How the secret gets into each configuration, as its comments say.
fn told(gateway: Gateway, secret: &'static str) -> Gateway {
    let right: Edits = match gateway.folder {
        "nginx" => &[
            ("#proxy_set_header X-Gateway-Secret", "proxy_set_header X-Gateway-Secret"),
            ("CONTENT-OF-SECRET-FILE", SECRET),
        ],
        "caddy" => &[
            ("#header_up X-Gateway-Secret", "header_up X-Gateway-Secret"),
            ("CONTENT-OF-SECRET-FILE", SECRET),
        ],
        "traefik" => &[(
            "X-Gateway-Secret: \"\"\n          # Who",
            "X-Gateway-Secret: \"a-secret-that-only-the-gateway-knows\"\n          # Who",
        )],
        "envoy-http" => &[
            ("#authorization_request", "authorization_request"),
            ("CONTENT-OF-SECRET-FILE", SECRET),
        ],
        "envoy-grpc" => {
            &[("#initial_metadata", "initial_metadata"), ("CONTENT-OF-SECRET-FILE", SECRET)]
        }
        "haproxy" | "apache" => &[
            ("--[\"x-gateway-secret\"]", "[\"x-gateway-secret\"]"),
            ("CONTENT-OF-SECRET-FILE", SECRET),
        ],
        other => panic!("{other}"),
    };
    let wrong: Edits = match gateway.folder {
        "nginx" => &[("#proxy_set_header X-Gateway-Secret", "proxy_set_header X-Gateway-Secret")],
        "caddy" => &[("#header_up X-Gateway-Secret", "header_up X-Gateway-Secret")],
        "traefik" => &[(
            "X-Gateway-Secret: \"\"\n          # Who",
            "X-Gateway-Secret: \"CONTENT-OF-SECRET-FILE\"\n          # Who",
        )],
        "envoy-http" => &[("#authorization_request", "authorization_request")],
        "envoy-grpc" => &[("#initial_metadata", "initial_metadata")],
        _ => &[("--[\"x-gateway-secret\"]", "[\"x-gateway-secret\"]")],
    };
    Gateway { edits: if secret == SECRET { right } else { wrong }, ..gateway }
}

pub(crate) async fn a_gateway_without_the_secret_is_an_outage_and_never_a_denial(gateway: Gateway) {
    let program = Program::start(gateway.asks);
    for without in [gateway, told(gateway, "wrong")] {
        let (live, junk, reached) = program.behind(without).await;
        for answer in [live, junk] {
            assert_eq!(answer.status, 503, "{answer:?}");
        }
        assert_eq!(reached, 0);
    }
    let (live, junk, reached) = program.behind(told(gateway, SECRET)).await;
    assert_eq!((live.status.as_u16(), junk.status.as_u16()), (200, 401), "{live:?} {junk:?}");
    assert_eq!(reached, 1);
}
