//! The folder's programs between a browser, a machine and an API.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fantoccini::Locator;
use tempfile::TempDir;

use crate::browser::driver::Browser;
use crate::browser::process::Process;

/// How long something may take to be there.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long is waited between two looks.
const MOMENT: Duration = Duration::from_millis(50);

/// Gateway, provider, `serve` and an API, until it is dropped.
pub(crate) struct Site {
    /// alice's.
    pub(crate) token: String,
    gateway: SocketAddr,
    portal: SocketAddr,
    issuer: String,
    reached: Arc<Mutex<String>>,
    /// In the order in which they end.
    _gateway: Ended,
    _server: Ended,
    _provider: Process,
    folder: TempDir,
}

/// What a request was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Site {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let reached = Arc::<Mutex<String>>::default();
        let [gateway, endpoint, portal] = free_addresses();
        let place = folder.path().join("sso");
        copy("sso/provider.mjs", folder.path(), &[]);
        copy("sso/tokens.toml", folder.path(), &[("9180", endpoint), ("9182", portal)]);
        run(&place, &blocks()[0]);
        let (provider, issuer) = provider(&place, gateway);
        let ports = [
            ("8080", gateway),
            ("9180", endpoint),
            ("9182", portal),
            ("3080", api(Arc::clone(&reached))),
            ("3000", issuer.strip_prefix("http://").unwrap().parse().unwrap()),
        ];
        for file in ["sso/httpd.conf", "gateways/apache/strip.conf", "gateways/apache/verify.lua"] {
            copy(file, folder.path(), &ports);
        }
        let token = fs::read_to_string(place.join("alice.token")).unwrap().trim().to_owned();
        let mut serve = Command::new(env!("CARGO_BIN_EXE_tower-api-token"));
        serve.arg("serve").env_clear().env("TOWER_API_TOKEN_CONFIG", "tokens.toml");
        let server = Ended::start(serve.current_dir(&place), &place, "serve.log", portal);
        let mut httpd = Command::new("/usr/sbin/apache2");
        let httpd = httpd.arg("-d").arg(&place).args(["-f", "httpd.conf", "-D", "FOREGROUND"]);
        let running = Ended::start(httpd.current_dir(&place), &place, "httpd.log", gateway);
        Self {
            token,
            gateway,
            portal,
            issuer,
            reached,
            _gateway: running,
            _server: server,
            _provider: provider,
            folder,
        }
    }

    /// As browsers see it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.gateway.port())
    }

    /// Opens the profile, is led to the provider, signs in there and comes back.
    pub(crate) async fn sign_in(&self, browser: &Browser, user: &str) {
        browser.client.goto(&self.url("/tokens")).await.unwrap();
        let led = browser.client.current_url().await.unwrap().to_string();
        assert!(led.starts_with(&self.issuer), "{led}");
        for (field, text) in [("login", user), ("password", "any")] {
            let field = format!("input[name='{field}']");
            let field = browser.client.find(Locator::Css(&field)).await.expect("a field");
            field.send_keys(text).await.unwrap();
        }
        click(browser, "//button[@type='submit']").await;
        // What the client may be told.
        click(browser, "//button[@type='submit']").await;
        let back = browser.client.current_url().await.unwrap().to_string();
        assert!(back.starts_with(&self.url("/tokens")), "{back}: {}", self.logs());
    }

    /// Asks through the gateway, as a program does.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        ask(self.gateway, method, path, headers)
    }

    /// Runs the README's request of a machine: what it prints.
    pub(crate) fn ask_as_the_readme_says(&self) -> String {
        let port = format!("localhost:{}", self.gateway.port());
        let commands = blocks()[2].replace("localhost:8080", &port);
        run(&self.folder.path().join("sso"), &commands)
    }

    /// Asks the portal itself, past the gateway.
    pub(crate) fn ask_the_portal(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        ask(self.portal, "GET", path, headers)
    }

    pub(crate) fn leads_to_the_sign_in(&self, answer: &Answer) {
        assert_eq!(answer.status, 302, "{answer:?}");
        let to = format!("location: {}/auth?", self.issuer);
        assert!(answer.head.contains(&to), "{answer:?}");
        assert!(!answer.body.contains("alice") && !answer.body.contains("carol"), "{answer:?}");
    }

    /// The heads that have reached the API since the last call.
    pub(crate) fn reached(&self) -> String {
        std::mem::take(&mut self.reached.lock().unwrap())
    }

    fn logs(&self) -> String {
        let log = |name| fs::read_to_string(self.folder.path().join("sso").join(name));
        ["httpd.log", "serve.log"].map(|name| log(name).unwrap_or_default()).concat()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
    }
}

/// The session as a browser has it, as the header of another client.
pub(crate) async fn cookies(browser: &Browser) -> String {
    let cookies = browser.client.get_all_cookies().await.unwrap();
    let pairs: Vec<_> =
        cookies.iter().map(|cookie| format!("{}={}", cookie.name(), cookie.value())).collect();
    assert!(pairs.iter().any(|pair| pair.starts_with("mod_auth_openidc_session=")), "{pairs:?}");
    pairs.join("; ")
}

/// Clicks on what is there, and waits for the page that it leads to, if it does.
pub(crate) async fn click(browser: &Browser, path: &str) {
    let page = browser.client.find(Locator::Css("html")).await.unwrap();
    let found = browser.client.find(Locator::XPath(path)).await;
    let leads = path.starts_with("//button");
    match found {
        Ok(found) => found.click().await.unwrap(),
        Err(error) => panic!("{path}: {error}: {}", browser.client.source().await.unwrap()),
    }
    let end = Instant::now() + PATIENCE;
    while leads && page.tag_name().await.is_ok() {
        assert!(Instant::now() < end, "{path} leads nowhere");
        tokio::time::sleep(MOMENT).await;
    }
}

fn ask(to: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut stream = TcpStream::connect(to).unwrap();
    let host = format!("localhost:{}", to.port());
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n");
    // A browser's; whatever else asks is told 401 and led nowhere.
    request += "accept: text/html, */*\r\ncontent-length: 0\r\nconnection: close\r\n";
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    stream.write_all((request + "\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.expect("a status");
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

/// An API that answers 200 to everything, and notes the heads.
fn api(reached: Arc<Mutex<String>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut head = String::new();
            let mut lines = BufReader::new(&stream);
            while lines.read_line(&mut head).is_ok_and(|read| read > 2) {}
            reached.lock().unwrap().push_str(&head);
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
            drop((&stream).write_all(answer.as_bytes()));
        }
    });
    address
}

/// Addresses that nobody is given by chance before a program listens there: below the
/// ports of outgoing connections.
fn free_addresses() -> [SocketAddr; 3] {
    static TRIED: Mutex<u16> = Mutex::new(0);
    [(); 3].map(|()| {
        let mut tried = TRIED.lock().unwrap();
        let start = u16::try_from(std::process::id() % 100 * 17).unwrap();
        loop {
            *tried += 1;
            let port = 31_000 + (start + *tried) % 1_700;
            if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
                return listener.local_addr().unwrap();
            }
        }
    })
}

/// The provider for that gateway, and its address.
fn provider(place: &Path, gateway: SocketAddr) -> (Process, String) {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/oidc/node_modules");
    let installed = installed.canonicalize();
    let installed = installed.expect("run tests/run.sh once: it installs oidc-provider");
    std::os::unix::fs::symlink(installed, place.join("node_modules")).unwrap();
    let secret = fs::read_to_string(place.join("client.secret")).unwrap();
    let redirect = format!("http://localhost:{}/tokens/signed-in", gateway.port());
    let mut node = Command::new("node");
    let node = node.args(["provider.mjs", "0", &redirect, secret.trim()]).current_dir(place);
    let provider = Process::start(node);
    let issuer = provider.said("issuer ");
    (provider, issuer)
}

/// The commands of the README.
fn blocks() -> Vec<String> {
    let readme = fs::read_to_string(example("sso/README.md")).unwrap();
    let blocks = readme.split("```sh\n").skip(1);
    blocks.map(|rest| rest.split_once("```").expect("its end").0.to_owned()).collect()
}

fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(file)
}

/// Copies a file of the examples, with other ports in it.
fn copy(file: &str, to: &Path, ports: &[(&str, SocketAddr)]) {
    let mut text = fs::read_to_string(example(file)).unwrap();
    for (port, other) in ports {
        text = text.replace(&format!(":{port}"), &format!(":{}", other.port()));
    }
    let to = to.join(file);
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::write(to, text).unwrap();
}

/// Runs the commands as they stand, up to the first that fails: what they print.
fn run(place: &Path, commands: &str) -> String {
    let bin = Path::new(env!("CARGO_BIN_EXE_tower-api-token")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", commands]).current_dir(place);
    let ran = shell.env("PATH", format!("{}:{path}", bin.display())).output().unwrap();
    let error = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success(), "{commands}: {error}");
    String::from_utf8(ran.stdout).unwrap()
}

/// A program that is asked to end when it is dropped, so that it ends its own.
struct Ended(Child);

impl Ended {
    /// Starts it, and waits until it listens.
    fn start(command: &mut Command, place: &Path, log: &str, address: SocketAddr) -> Self {
        let log = place.join(log);
        let file = fs::File::create(&log).unwrap();
        let command = command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let mut started = Self(command.spawn().expect("it starts: is it installed?"));
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            let said = || fs::read_to_string(&log).unwrap_or_default();
            assert!(started.0.try_wait().unwrap().is_none(), "{command:?} has ended: {}", said());
            assert!(Instant::now() < end, "{command:?} does not listen: {}", said());
            std::thread::sleep(MOMENT);
        }
        started
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        let asked = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let end = Instant::now() + Duration::from_secs(10);
        while asked.is_ok() && Instant::now() < end {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
