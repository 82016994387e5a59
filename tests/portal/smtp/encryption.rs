//! Who the mail is handed to, and what others can read of it.

use std::path::Path;
use std::process::Command;

use tower_api_token::manage::Delivery;
use tower_api_token::notify::{SmtpErrorKind, SmtpServer};
use tower_api_token::user::Actor;

use crate::smtp::server::MailServer;
use crate::smtp::world::{World, alice, cause, code, notifier};

/// An authority of its own, and a certificate that it has signed.
pub(crate) struct Certificates {
    directory: tempfile::TempDir,
}

impl Certificates {
    /// For a server of that name or address.
    pub(crate) fn of(name: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let authority = ["req", "-x509", "-subj", "/CN=test authority", "-days", "2"];
        let files = ["-keyout", "authority.key", "-out", "authority.pem"];
        openssl(path, &[&authority[..], &key, &files].concat());
        let request = ["req", "-new", "-subj", "/CN=mail"];
        openssl(path, &[&request[..], &key, &["-keyout", "key.pem", "-out", "mail.csr"]].concat());
        std::fs::write(path.join("names"), format!("subjectAltName={name}\n")).unwrap();
        let sign = ["x509", "-req", "-in", "mail.csr", "-days", "2", "-CAcreateserial"];
        let with = ["-CA", "authority.pem", "-CAkey", "authority.key", "-extfile", "names"];
        openssl(path, &[&sign[..], &with, &["-out", "certificate.pem"]].concat());
        Self { directory }
    }

    pub(crate) fn authority(&self) -> Vec<u8> {
        std::fs::read(self.directory.path().join("authority.pem")).unwrap()
    }

    pub(crate) fn server(&self, how: &str, more: &[&str]) -> MailServer {
        let file = |name| self.directory.path().join(name).to_str().unwrap().to_owned();
        let (certificate, key) = (file("certificate.pem"), file("key.pem"));
        MailServer::with(&[&[how, &*certificate, &*key], more].concat())
    }
}

fn openssl(directory: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(directory).output();
    let output = output.expect("tests/run.sh has installed openssl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub(crate) fn tls(server: &MailServer) -> SmtpServer {
    SmtpServer::tls("localhost").unwrap().port(server.port())
}

fn starttls(server: &MailServer) -> SmtpServer {
    SmtpServer::starttls("localhost").unwrap().port(server.port())
}

async fn arrives(server: &MailServer, how: SmtpServer) {
    let world = World::new(notifier(how)).await;
    let generated = world.manager.generate_primary(&Actor::User, &alice()).await.unwrap();
    assert!(matches!(generated.delivery, Delivery::Sent), "{:?}", generated.delivery);
    let mail = server.message();
    assert!(mail.encrypted());
    world.manager.confirm(&Actor::User, &alice(), &code(&mail)).await.unwrap();
    server.message();
}

async fn fails(server: &MailServer, how: SmtpServer, kind: SmtpErrorKind) {
    let error = World::new(notifier(how)).await.failure().await;
    assert_eq!(cause(&error).kind(), kind, "{error:?}");
    assert!(server.is_empty());
}

#[tokio::test]
async fn mail_is_encrypted_from_the_first_byte_or_from_the_start_on() {
    let certificates = Certificates::of("DNS:localhost");
    let authority = certificates.authority();
    let server = certificates.server("--tls", &[]);
    arrives(&server, tls(&server).trust_authorities(&authority).unwrap()).await;
    let server = certificates.server("--starttls", &[]);
    arrives(&server, starttls(&server).trust_authorities(&authority).unwrap()).await;
}

#[tokio::test]
async fn web_016_a_certificate_of_another_host_is_refused() {
    for name in ["DNS:mail.example.com", "DNS:*.localhost", "IP:127.0.0.1"] {
        let certificates = Certificates::of(name);
        let authority = certificates.authority();
        let server = certificates.server("--tls", &[]);
        let how = tls(&server).trust_authorities(&authority).unwrap();
        fails(&server, how, SmtpErrorKind::Encryption).await;
        let server = certificates.server("--starttls", &[]);
        let how = starttls(&server).trust_authorities(&authority).unwrap();
        fails(&server, how, SmtpErrorKind::Encryption).await;
    }
}

#[tokio::test]
async fn web_016_a_certificate_of_an_unknown_authority_is_refused() {
    let certificates = Certificates::of("DNS:localhost");
    let other = Certificates::of("DNS:localhost").authority();
    let server = certificates.server("--tls", &[]);
    fails(&server, tls(&server), SmtpErrorKind::Encryption).await;
    let how = tls(&server).trust_authorities(&other).unwrap();
    fails(&server, how, SmtpErrorKind::Encryption).await;
    let server = certificates.server("--starttls", &[]);
    fails(&server, starttls(&server), SmtpErrorKind::Encryption).await;
}

#[tokio::test]
async fn a_server_that_does_not_encrypt_gets_neither_mail_nor_password() {
    let server = MailServer::start();
    let how = starttls(&server).credentials("api", "hunter2hunter2");
    fails(&server, how, SmtpErrorKind::Encryption).await;
}

#[tokio::test]
async fn a_password_is_sent_and_a_wrong_one_told_without_it() {
    let certificates = Certificates::of("DNS:localhost");
    let authority = certificates.authority();
    let password = ["--password", "api", "hunter2hunter2"];
    for how in ["--tls", "--starttls"] {
        let server = certificates.server(how, &password);
        let base = if how == "--tls" { tls(&server) } else { starttls(&server) };
        let base = base.trust_authorities(&authority).unwrap();
        arrives(&server, base.clone().credentials("api", "hunter2hunter2")).await;
        let wrong = notifier(base.clone().credentials("api", "wrongwrongwrong"));
        let error = World::new(wrong).await.failure().await;
        let cause = cause(&error);
        assert_eq!((cause.kind(), cause.reply()), (SmtpErrorKind::Authentication, Some(535)));
        assert!(!format!("{error:?} {cause}").contains("wrongwrong"), "{error:?}");
        fails(&server, base, SmtpErrorKind::Sender).await;
    }
}
