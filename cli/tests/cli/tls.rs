//! TLS by files.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::program::{Place, finish};
use crate::serving::Serving;

/// A certificate for 127.0.0.1 that vouches for itself, and its key.
pub(crate) fn certificate(place: &Place, name: &str) {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    openssl.args(["-nodes", "-days", "2", "-subj", "/CN=test"]);
    openssl.args(["-addext", "subjectAltName=IP:127.0.0.1"]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    openssl.arg("-out").arg(place.path(&format!("{name}.crt")));
    openssl.arg("-keyout").arg(place.path(&format!("{name}.key")));
    finish(&mut openssl, "").succeeded();
    let private = Permissions::from_mode(0o600);
    std::fs::set_permissions(place.path(&format!("{name}.key")), private).unwrap();
}

pub(crate) fn serve(place: &Place, certificate: &str, key: &str) -> Command {
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--profile", "original-method"];
    let mut command = place.command(&arguments);
    command.env("TOWER_API_TOKEN_FORWARD_AUTH_TLS_CERTIFICATE", certificate);
    command.env("TOWER_API_TOKEN_FORWARD_AUTH_TLS_KEY", key);
    command
}

#[test]
fn the_endpoint_speaks_tls_with_http_1_and_2_and_nothing_without() {
    let place = Place::new();
    let token = place.user_with_token("alice", &["GET"]);
    certificate(&place, "a");
    let server = Serving::run(serve(&place, "a.crt", "a.key"));
    let address = server.address("forward-auth");
    for version in ["--http1.1", "--http2", "--tls-max=1.2"] {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--include", "--max-time", "20", "--cacert"])
            .arg(place.path("a.crt"));
        let version = version.split('=').collect::<Vec<_>>();
        curl.args(version).args(["--header", "x-original-method: GET", "--header", "@-"]);
        let ran = finish(
            curl.arg(format!("https://{address}/")),
            &format!("authorization: Bearer {token}"),
        );
        assert!(ran.out.contains(" 200"), "{ran:?}");
        assert!(ran.out.contains("x-auth-user: alice"), "{ran:?}");
    }
    let mut plain = Command::new("curl");
    plain.args(["--silent", "--max-time", "20"]).arg(format!("http://{address}/"));
    assert_ne!(finish(&mut plain, "").code, Some(0));
    server.stop();
}

#[test]
fn files_that_cannot_serve_are_refused_at_the_start() {
    let place = Place::new();
    certificate(&place, "a");
    certificate(&place, "b");
    place.write("empty", "");
    let refused = |certificate, key| finish(&mut serve(&place, certificate, key), "").exited(2);
    refused("a.crt", "b.key").says("a.crt");
    refused("empty", "a.key").says("no certificate");
    refused("a.crt", "empty").says("forward-auth.tls-key: the file empty");
    refused("a.key", "a.key").says("forward-auth.tls-certificate: the file a.key");
    place.write("c.key", &std::fs::read_to_string(place.path("a.crt")).unwrap());
    refused("a.crt", "c.key").says("no private key");
    place.write("binary", "\0\u{1}\u{2}");
    refused("binary", "a.key").says("no certificate");
    refused("a.crt", "binary").says("no private key");
    for (name, form) in [("pkcs8", &["-aes256"][..]), ("pkcs1", &["-aes256", "-traditional"])] {
        let mut openssl = Command::new("openssl");
        openssl.args(["pkey", "-passout", "pass:secret"]).args(form);
        openssl.arg("-in").arg(place.path("a.key")).arg("-out").arg(place.path(name));
        finish(&mut openssl, "").succeeded();
        std::fs::set_permissions(place.path(name), Permissions::from_mode(0o600)).unwrap();
        refused("a.crt", name).says("the key is encrypted").says("openssl pkey");
    }
    refused("nowhere", "a.key").says("nowhere");
    std::fs::set_permissions(place.path("a.key"), Permissions::from_mode(0o644)).unwrap();
    refused("a.crt", "a.key").says("chmod 600");
    let mut half = serve(&place, "a.crt", "a.key");
    finish(half.env_remove("TOWER_API_TOKEN_FORWARD_AUTH_TLS_KEY"), "").exited(2);
}
