//! The portal, for users whom a reverse proxy has signed in.

use std::process::Command;

use serde_json::Value;

use crate::program::{Place, finish};
use crate::serving::{Answer, Serving, request};

const CONFIGURATION: &str = r#"
[portal]
listen = "127.0.0.1:0"
user-header = "x-remote-user"
administrators = ["root"]
show-codes = true
"#;

fn serve(place: &Place, configuration: &str) -> Command {
    place.write("portal.toml", configuration);
    place.command(&["serve", "--config", "portal.toml"])
}

fn call(server: &Serving, user: &[&str], method: &str, path: &str, body: &str) -> Answer {
    let mut headers: Vec<_> =
        user.iter().map(|user| ("x-remote-user", (*user).to_owned())).collect();
    headers.push(("content-type", "application/json".to_owned()));
    request(&server.address("portal"), method, path, &headers, body)
}

#[test]
fn whom_the_proxy_names_is_signed_in_and_nobody_else() {
    let place = Place::new();
    let token = place.user_with_token("alice", &["GET"]);
    let server = Serving::run(serve(&place, CONFIGURATION));
    let tokens = |user: &[&str]| call(&server, user, "GET", "/tokens/api/tokens", "");
    let mine = tokens(&["alice"]);
    assert_eq!(mine.status, 200, "{mine:?}");
    assert!(mine.body.contains("alice") && !mine.body.contains(&token), "{mine:?}");
    for nobody in [&[][..], &[""], &["alice", "alice"], &["alice", "root"]] {
        assert_eq!(tokens(nobody).status, 401, "{nobody:?}");
    }
    let bearer = [("authorization", format!("Bearer {token}"))];
    let address = server.address("portal");
    let by_token = request(&address, "GET", "/tokens/api/tokens", &bearer, "");
    assert_eq!(by_token.status, 401, "a token signs nobody in");
    let users = |user: &str| call(&server, &[user], "GET", "/tokens/api/admin/users", "").status;
    assert_eq!((users("alice"), users("root")), (403, 200));
    assert_eq!(call(&server, &["alice"], "GET", "/tokens", "").status, 200);
    assert_eq!(call(&server, &["alice"], "GET", "/metrics", "").status, 404);
}

#[test]
fn a_member_of_a_group_that_the_proxy_names_is_an_administrator() {
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    let groups = "groups-header = \"Remote-Groups\"\nadministrator-groups = [\"admins\"]\n";
    let server = Serving::run(serve(&place, &format!("{CONFIGURATION}{groups}")));
    let ask = |headers: &[(&str, &str)]| {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        request(&server.address("portal"), "GET", "/tokens/api/admin/users", &headers, "").status
    };
    let alice = ("x-remote-user", "alice");
    for members in ["admins", "users,admins", "users, admins"] {
        assert_eq!(ask(&[alice, ("remote-groups", members)]), 200, "{members}");
    }
    for others in ["", "users", "Admins", "administrators", "admins|users"] {
        assert_eq!(ask(&[alice, ("remote-groups", others)]), 403, "{others}");
    }
    assert_eq!(ask(&[alice]), 403);
    assert_eq!(ask(&[("x-remote-user", "root")]), 200, "by name, still");
    // Other spellings are other headers.
    for other in ["remote_groups", "x-remote-groups", "groups"] {
        assert_eq!(ask(&[alice, (other, "admins")]), 403, "{other}");
    }
    assert_eq!(ask(&[("remote-groups", "admins")]), 401, "a group is nobody");
    let twice = [alice, ("remote-groups", "users"), ("remote-groups", "admins")];
    assert_eq!(ask(&twice), 403, "one of them may be the client's");
    let said = server.logged("groups header");
    assert!(said.contains("WARN") && said.contains("remote-groups"), "{said}");
    let refused = |text: &str| finish(&mut serve(&place, text), "").exited(2);
    refused(&format!("{CONFIGURATION}groups-header = \"Remote-Groups\"\n"))
        .says("administrator-groups");
    refused(&format!("{CONFIGURATION}administrator-groups = [\"admins\"]\n")).says("groups-header");
}

#[test]
fn a_user_generates_and_confirms_by_json_while_a_gateway_asks() {
    let place = Place::new();
    let first = place.user_with_token("alice", &["GET"]);
    place.write("portal.toml", CONFIGURATION);
    let server = Serving::start(&place, &["--config", "portal.toml"]);
    let post = |operation: &str, body: &str| {
        call(&server, &["alice"], "POST", &format!("/tokens/api/{operation}"), body)
    };
    let generated = post("generate", "{\"primary\":1}");
    assert_eq!(generated.status, 201, "{generated:?}");
    let generated: Value = serde_json::from_str(&generated.body).unwrap();
    let second = generated["token"].as_str().unwrap();
    assert_eq!(server.ask(Some(second), "GET").status, 401);
    let code = generated["code"].as_str().unwrap_or_else(|| panic!("no code"));
    let confirmed = post("confirm", &format!("{{\"code\":\"{code}\"}}"));
    assert_eq!(confirmed.status, 204, "{confirmed:?}");
    assert_eq!(server.ask(Some(second), "GET").header("x-auth-slot"), Some("primary"));
    assert_eq!(server.ask(Some(&first), "GET").header("x-auth-slot"), Some("backup"));
    let history = place.run(&["history", "alice", "--json"]).succeeded().json();
    assert_eq!(
        (&history[0]["event"], &history[0]["by"]),
        (&"primary_confirmed".into(), &"user".into())
    );
    assert!(!server.log().contains(code) && !server.log().contains(second));
}

#[test]
fn what_would_believe_anybody_is_refused_at_the_start() {
    let place = Place::new();
    let without = |line: &str| CONFIGURATION.replace(line, "");
    let refused = |text: &str| finish(&mut serve(&place, text), "").exited(2);
    refused(&without("user-header = \"x-remote-user\"")).says("portal.user-header");
    refused(&without("show-codes = true")).says("nobody to send confirmation codes");
    refused(&CONFIGURATION.replace("127.0.0.1", "0.0.0.0")).says("secret-file");
    refused(&CONFIGURATION.replace("[\"root\"]", "[\"\"]")).says("must not be empty");
    refused(&format!("{CONFIGURATION}path = \"tokens\"\n")).says("portal");
}

#[test]
fn a_shared_secret_keeps_the_users_header_to_the_proxy() {
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    place.write("secret", "only the proxy knows this");
    let server = Serving::run(serve(&place, &format!("{CONFIGURATION}secret-file = \"secret\"\n")));
    let ask = |secret: Option<&str>| {
        let mut headers = vec![("x-remote-user", "alice".to_owned())];
        headers.extend(secret.map(|secret| ("x-gateway-secret", secret.to_owned())));
        request(&server.address("portal"), "GET", "/tokens/api/tokens", &headers, "")
    };
    for wrong in [None, Some("guess"), Some("")] {
        let refused = ask(wrong);
        assert_eq!(refused.status, 503, "the operator's fault is not the user's");
        assert!(refused.body.contains("tower-api-token:gateway-not-recognised"), "{refused:?}");
        assert!(!refused.body.contains("alice"), "{refused:?}");
    }
    let log = server.logged("X-Gateway-Secret is missing");
    assert!(log.contains("portal"), "{log}");
    assert_eq!(ask(Some("only the proxy knows this")).status, 200);
}

#[test]
fn codes_are_sent_where_somebody_sends_them() {
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    std::fs::create_dir(place.path("mail")).unwrap();
    let configuration = CONFIGURATION.replace("show-codes = true", "")
        + "[notify]\ndirectory = \"mail\"\nlink-base = \"https://api.example.com/tokens/verify\"\n";
    let server = Serving::run(serve(&place, &configuration));
    let generated = call(&server, &["alice"], "POST", "/tokens/api/generate", "{\"primary\":1}");
    assert_eq!(generated.status, 201, "{generated:?}");
    assert!(!generated.body.contains("tac_"), "{generated:?}");
    let mail = std::fs::read_dir(place.path("mail")).unwrap().next().expect("a message").unwrap();
    let mail = std::fs::read_to_string(mail.path()).unwrap();
    let code = mail.lines().find_map(|line| line.strip_prefix("code=")).expect("a code");
    let confirmed = format!("{{\"code\":\"{code}\"}}");
    let confirmed = call(&server, &["alice"], "POST", "/tokens/api/confirm", &confirmed);
    assert_eq!(confirmed.status, 204, "{confirmed:?}");
}

#[test]
fn a_name_that_is_not_utf_8_signs_nobody_in_and_the_log_says_why() {
    use std::io::{Read, Write};
    let place = Place::new();
    place.user_with_token("j\u{f6}rn", &["GET"]);
    let server = Serving::run(serve(&place, CONFIGURATION));
    let ask = |name: &[u8]| {
        let mut stream = std::net::TcpStream::connect(server.address("portal")).unwrap();
        let start = b"GET /tokens/api/tokens HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n";
        let request = [&start[..], b"x-remote-user: ", name, b"\r\n\r\n"].concat();
        stream.write_all(&request).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer[9..12].to_vec()).unwrap()
    };
    assert_eq!(ask("j\u{f6}rn".as_bytes()), "200");
    assert!(!server.log().contains("user header"), "{}", server.log());
    assert_eq!(ask(b"j\xf6rn"), "401");
    let said = server.logged("not UTF-8");
    assert!(said.contains("WARN") && said.contains("x-remote-user"), "{said}");
    // The name is taken as it is, so this is another user, who has no access.
    assert_eq!(ask(b"j%C3%B6rn"), "403");
    assert_eq!(ask(b"alice\r\nx-remote-user: root"), "401");
    server.logged("more than once");
}

#[test]
fn the_pages_have_the_title_the_logo_and_the_stylesheet_of_the_settings() {
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    let logo = "<svg xmlns=\"http://www.w3.org/2000/svg\"/>";
    place.write("logo.svg", logo);
    place.write("own.css", ":root { --accent: #5b2a86; }");
    let look = "title = \"Fruit\"\nlogo-file = \"logo.svg\"\nstylesheet-file = \"own.css\"\n";
    let server = Serving::run(serve(&place, &format!("{CONFIGURATION}{look}")));
    let profile = call(&server, &["alice"], "GET", "/tokens", "").body;
    assert!(profile.contains("<span>Fruit</span>"), "{profile}");
    for (start, content) in [("logo", logo), ("host", ":root { --accent: #5b2a86; }")] {
        let rest = profile.split_once(&format!("/tokens/assets/{start}-")).expect("its address").1;
        let path = format!("/tokens/assets/{start}-{}", rest.split('"').next().unwrap());
        let file = call(&server, &[], "GET", &path, "");
        assert_eq!((file.status, &*file.body), (200, content));
    }
    let refused = |line: &str| {
        let text = format!("{CONFIGURATION}{line}\n");
        finish(&mut serve(&place, &text), "").exited(2)
    };
    place.write("page.html", "<html></html>");
    let large = " ".repeat(1_024 * 1_024 + 1);
    place.write("large.css", &large);
    refused("logo-file = \"page.html\"").says("portal.logo-file").says("SVG, PNG, JPEG or WebP");
    refused("logo-file = \"none.svg\"").says("portal.logo-file").says("none.svg");
    refused("stylesheet-file = \"large.css\"").says("portal.stylesheet-file").says("1 MiB");
    std::fs::write(place.path("latin.css"), b"/* \xe9 */").unwrap();
    refused("stylesheet-file = \"latin.css\"").says("UTF-8");
}

#[test]
fn the_portal_may_be_at_the_root() {
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    let server = Serving::run(serve(&place, &format!("{CONFIGURATION}path = \"/\"\n")));
    let profile = call(&server, &["alice"], "GET", "/", "");
    assert!(profile.status == 200 && profile.body.contains("href=\"/edit\""), "{profile:?}");
    assert_eq!(call(&server, &["alice"], "GET", "/api/tokens", "").status, 200);
}

#[test]
fn a_name_that_a_stranger_made_lead_here_is_not_answered_to() {
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    let ask = |server: &Serving, host: &str, path: &str| {
        let headers = [("x-remote-user", "alice".to_owned()), ("host", host.to_owned())];
        request(&server.address("portal"), "GET", path, &headers, "")
    };
    let server = Serving::run(serve(&place, CONFIGURATION));
    for own in ["localhost", "LOCALHOST:9182", "127.0.0.1", "[::1]:80"] {
        assert_eq!(ask(&server, own, "/tokens/api/tokens").status, 200, "{own}");
    }
    for other in ["evil.example", "evil.example:9182", "localhost.evil.example", "10.0.0.1"] {
        let refused = ask(&server, other, "/tokens/api/tokens");
        assert_eq!(refused.status, 421, "{other}");
        assert!(refused.body.contains("`portal.hosts`"), "{refused:?}");
        assert!(!refused.body.contains("alice") && !refused.body.contains(other), "{refused:?}");
    }
    for bad in ["", "user@localhost", "localhost:x"] {
        assert_eq!(ask(&server, bad, "/tokens").status, 400, "{bad}");
    }
    assert_eq!(ask(&server, "localhost", "http://evil.example/tokens").status, 421);
    let log = server.stop();
    assert!(log.contains("portal.hosts") && !log.contains("evil.example"), "{log}");

    let named = format!("{CONFIGURATION}hosts = [\"Tokens.example.com\", \"10.0.0.1\"]\n");
    let server = Serving::run(serve(&place, &named));
    for own in ["tokens.example.com:443", "TOKENS.EXAMPLE.COM.", "10.0.0.1", "localhost"] {
        assert_eq!(ask(&server, own, "/tokens").status, 200, "{own}");
    }
    assert_eq!(ask(&server, "example.com", "/tokens").status, 421);
    let address = server.address("portal");
    let port = address.rsplit(':').next().unwrap();
    for (name, status) in [("tokens.example.com", "200"), ("evil.example", "421")] {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--http2-prior-knowledge", "--write-out", "%{http_code}"]);
        curl.args(["--output", "/dev/null", "--header", "x-remote-user: alice"]);
        curl.args(["--max-time", "20", "--resolve", &format!("{name}:{port}:127.0.0.1")]);
        curl.arg(format!("http://{name}:{port}/tokens"));
        assert_eq!(finish(&mut curl, "").succeeded().out, status, "{name}");
    }
}

#[test]
fn a_portal_that_others_reach_answers_to_the_host_of_its_mailed_links_and_needs_one() {
    let place = Place::new();
    place.write("secret", "only the proxy knows this");
    let public = CONFIGURATION.replace("127.0.0.1", "0.0.0.0") + "secret-file = \"secret\"\n";
    let refused = finish(&mut serve(&place, &public), "").exited(2);
    refused.says("portal.hosts").says("notify.link-base");
    std::fs::create_dir(place.path("mail")).unwrap();
    let linked = public.replace("show-codes = true\n", "")
        + "[notify]\ndirectory = \"mail\"\nlink-base = \"https://api.example.com/tokens/verify\"\n";
    let server = Serving::run(serve(&place, &linked));
    let port = server.address("portal").rsplit(':').next().unwrap().to_owned();
    let ask = |host: &str| {
        let headers = [
            ("x-gateway-secret", "only the proxy knows this".to_owned()),
            ("x-remote-user", "alice".to_owned()),
            ("host", host.to_owned()),
        ];
        request(&format!("127.0.0.1:{port}"), "GET", "/tokens", &headers, "").status
    };
    assert_eq!(ask("api.example.com"), 200);
    assert_eq!(ask("localhost"), 421);
    assert_eq!(ask("evil.example"), 421);
}
