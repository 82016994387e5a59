//! TLS is the host's choice: the example, against a server that accepts nothing
//! else.

use std::error::Error;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use tokio_postgres::NoTls;

use crate::build::example;
use crate::postgres::{Database, Server};
use crate::server::run;

/// An authority, and a certificate of it for this machine, made for this test.
fn certificates(directory: &Path) {
    let openssl = |arguments: &str| {
        run(Command::new("openssl").args(arguments.split(' ')).current_dir(directory));
    };
    let key = "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    for authority in ["authority", "stranger"] {
        let files = format!("-keyout {authority}.key -out {authority}.pem");
        openssl(&format!("{key} -x509 -days 2 -subj /CN={authority} {files}"));
    }
    openssl(&format!("{key} -subj /CN=server -keyout server.key -out server.csr"));
    fs::write(directory.join("names"), "subjectAltName=IP:127.0.0.1").unwrap();
    let sign = "x509 -req -days 2 -in server.csr -out server.crt -extfile names";
    openssl(&format!("{sign} -CA authority.pem -CAkey authority.key -CAcreateserial"));
}

/// A server with the certificate, which nobody reaches without TLS.
fn start(certificates: &Path) -> Server {
    Server::start_prepared(&["fsync=off", "ssl=on"], |data, owner| {
        for file in ["server.crt", "server.key"] {
            fs::copy(certificates.join(file), data.join(file)).unwrap();
            fs::set_permissions(data.join(file), Permissions::from_mode(0o600)).unwrap();
            if let Some(owner) = owner {
                run(Command::new("chown").arg(owner).arg(data.join(file)));
            }
        }
        fs::write(data.join("pg_hba.conf"), "hostssl all all 127.0.0.1/32 trust\n").unwrap();
    })
}

fn example_run(server: &Server, host: &str, authority: &Path) -> Output {
    let port = server.address().port();
    let database = format!("host={host} port={port} user=postgres dbname=postgres");
    Command::new(example("postgres_tls")).arg(database).arg(authority).output().unwrap()
}

#[tokio::test]
async fn the_example_talks_tls_and_checks_the_server() {
    let directory = tempfile::tempdir().unwrap();
    certificates(directory.path());
    let server = start(directory.path());

    let output = example_run(&server, "127.0.0.1", &directory.path().join("authority.pem"));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(printed, "connected by TLSv1.3\nchanged: example\n");

    let output = example_run(&server, "127.0.0.1", &directory.path().join("stranger.pem"));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && told.contains("UnknownIssuer"), "{told}");

    // The certificate is for the address, and not for the name.
    let output = example_run(&server, "localhost", &directory.path().join("authority.pem"));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && told.contains("NotValidForName"), "{told}");

    let plain = Database::at(server.address(), "postgres").config;
    let plain = plain.connect(NoTls).await.map(drop).unwrap_err();
    let refusal = plain.source().unwrap().to_string();
    assert!(refusal.contains("no encryption"), "{refusal}");
}
