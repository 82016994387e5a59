//! Requests that no browser sends, to the real server, and where the mail leads.

use crate::browser::api::{get, send};
use crate::browser::host::Host;

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// A session of alice's, without a browser.
struct Session<'a> {
    host: &'a Host,
    cookie: String,
}

impl<'a> Session<'a> {
    fn of_alice(host: &'a Host) -> Self {
        let body = format!("user=alice&password={}&return_to=/", host.password("alice"));
        let answer = post(host, "/sign-in", FORM, &body);
        let cookie = part(&answer, "set-cookie: ", ";");
        Self { host, cookie: format!("Cookie: {cookie}\r\n") }
    }

    /// Generates by the form, with these headers in the request.
    fn generate(&self, headers: &str) -> String {
        let Self { host, cookie } = self;
        let address = host.address;
        let request = format!(
            "GET /tokens/edit/generate HTTP/1.1\r\nHost: {address}\r\n{cookie}\
             Connection: close\r\n\r\n"
        );
        let form_token = part(&send(address, &request), "name=\"form_token\" value=\"", "\"");
        let body = format!("form_token={form_token}&agree=yes&primary=&replacing_backup=");
        post(host, "/tokens/edit/generate", &format!("{FORM}{cookie}{headers}"), &body)
    }
}

fn post(host: &Host, path: &str, headers: &str, body: &str) -> String {
    let own = format!("Host: {}\r\n", host.address);
    let own = if headers.contains("Host: ") { "" } else { &own };
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\n{own}{headers}Content-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    );
    send(host.address, &request)
}

fn part(text: &str, start: &str, end: &str) -> String {
    let rest = text.split_once(start).unwrap_or_else(|| panic!("no {start}: {text}")).1;
    rest.split(end).next().expect("its end").to_owned()
}

#[test]
fn web_008_the_mailed_link_leads_to_the_configured_address() {
    let host = Host::start();
    let alice = Session::of_alice(&host);
    let forged = [
        "Host: evil.example\r\n",
        "Host: evil.example\r\nX-Forwarded-Host: evil.example\r\n",
        "X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\n",
        "Forwarded: host=evil.example;proto=https\r\n",
    ];
    for headers in forged {
        let answer = alice.generate(headers);
        assert!(answer.starts_with("HTTP/1.1 200"), "{headers}: {answer}");
        assert!(!answer.contains("evil.example"), "{headers}");
        let mail = host.mail.next();
        assert!(mail.link().starts_with(&host.url("/tokens/verify?code=tac_")), "{headers}");
        assert!(!mail.all().contains("evil.example"), "{headers}");
        assert_eq!(mail.to, ["alice@fruit.example"], "{headers}");
    }
}

#[test]
fn a_sign_in_leads_to_no_other_site() {
    let host = Host::with_files();
    let foreign =
        ["//evil.example", "/%5Cevil.example", "/%09/evil.example", "https://evil.example"];
    for to in foreign {
        let body = format!("user=alice&password={}&return_to={to}", host.password("alice"));
        let answer = post(&host, "/sign-in", FORM, &body);
        assert_eq!(part(&answer, "location: ", "\r\n"), "/", "{to}");
    }
    let body = format!("user=alice&password={}&return_to=/tokens/edit", host.password("alice"));
    let answer = post(&host, "/sign-in", FORM, &body);
    assert_eq!(part(&answer, "location: ", "\r\n"), "/tokens/edit");
}

#[test]
fn without_a_mail_server_the_link_is_in_a_file() {
    let host = Host::with_files();
    let alice = Session::of_alice(&host);
    let token = part(&alice.generate(""), "<code id=\"token\">", "</code>");
    let mail = host.newest_file();
    let link = part(&mail, "link=", "\n");
    assert!(link.starts_with(&host.url("/tokens/verify?code=tac_")), "{mail}");
    assert!(!mail.contains(&token));
    assert_eq!(get(host.address, &token), 401);
}
