//! The life of a token by commands: recorded as a transcript, and each refusal.

use crate::program::Place;

#[test]
fn a_backup_is_deleted_and_a_primary_given_up_by_their_ids() {
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    rotate(&place);
    place.run(&["token", "delete-backup", "alice", "2", "--even-if-in-use"]).exited(3);
    place.run(&["token", "roll-back", "alice", "2", "--even-if-in-use"]).succeeded();
    place.run(&["token", "roll-back", "alice", "2", "--even-if-in-use"]).exited(4);
    rotate(&place);
    place.run(&["token", "delete-backup", "alice", "1"]).exited(3).says("--even-if-in-use");
    place.run(&["token", "delete-backup", "alice", "1", "--even-if-in-use"]).succeeded();
    place.run(&["token", "delete-backup", "alice", "1", "--even-if-in-use"]).exited(4);
    let view = place.run(&["user", "show", "alice", "--json"]).succeeded().json();
    assert_eq!((&view[0]["primary"]["id"], view[0]["backup"].is_null()), (&3.into(), true));
}

#[test]
fn a_pending_token_is_resent_cancelled_and_replaces_a_backup_that_is_named() {
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    rotate(&place);
    place.run(&["token", "generate", "alice"]).exited(3).says("--replacing-backup 1");
    place.run(&["token", "generate", "alice", "--replacing-backup", "1"]).succeeded();
    place.run(&["token", "resend", "alice", "3"]).exited(3).says("try again in");
    place.run(&["token", "cancel-pending", "alice", "3"]).succeeded();
    place.run(&["token", "cancel-pending", "alice", "3"]).exited(4);
    place.run(&["token", "revoke-all", "alice"]).succeeded();
    place.run(&["token", "revoke-all", "alice"]).exited(4);
    place.run(&["token", "issue", "alice"]).succeeded();
    place.run(&["token", "issue", "alice"]).exited(3).says("token generate");
}

/// Generates and confirms.
fn rotate(place: &Place) {
    let generated = place.run(&["token", "generate", "alice", "--json"]).succeeded().json();
    let code = generated[0]["code"].as_str().unwrap();
    place.run_with(&["token", "confirm", "alice"], code).succeeded();
}

#[test]
fn a_code_is_sent_where_the_settings_say_so_and_printed_nowhere() {
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    place.run(&["token", "generate", "alice", "--send"]).exited(2).says("no notifier");
    std::fs::create_dir(place.path("mail")).unwrap();
    place.write("config.toml", "[notify]\ndirectory = \"mail\"\n");
    let with = ["--config", "config.toml"];
    let ran = place.run(&[&["token", "generate", "alice", "--send"][..], &with].concat());
    let ran = ran.succeeded().says("the code was sent");
    assert!(ran.out.starts_with("tat_") && !ran.err.contains("tac_"), "{ran:?}");
    let message = |kind: &str| {
        let files = std::fs::read_dir(place.path("mail")).unwrap().map(|file| file.unwrap().path());
        let of_kind = |path: &std::path::PathBuf| path.to_string_lossy().contains(kind);
        files.filter(of_kind).map(|path| std::fs::read_to_string(path).unwrap()).next()
    };
    let code = message("confirmation-").expect("a message");
    let code = code.lines().find_map(|line| line.strip_prefix("code=")).unwrap().to_owned();
    place.run_with(&[&["token", "confirm", "alice"][..], &with].concat(), &code).succeeded();
    assert!(message("notice-").expect("a notice").contains("primary_confirmed"));
    std::fs::remove_dir_all(place.path("mail")).unwrap();
    std::fs::write(place.path("mail"), "").unwrap();
    place.run(&[&["user", "list"][..], &with].concat()).exited(2).says("notify.directory");
}

#[test]
fn a_code_goes_by_mail_to_the_address_under_the_domain() {
    use std::io::{BufRead, BufReader, Write};
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mail = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let (mut answers, lines) = (stream.try_clone().unwrap(), BufReader::new(stream));
        let (mut said, mut in_text) = (String::new(), false);
        answers.write_all(b"220 test\r\n").unwrap();
        for line in lines.lines().map_while(Result::ok) {
            said += &format!("{line}\n");
            let answer: &[u8] = match &*line {
                "." if in_text => b"250 taken\r\n",
                _ if in_text => continue,
                "DATA" => b"354 go on\r\n",
                "QUIT" => b"221 bye\r\n",
                _ => b"250 fine\r\n",
            };
            in_text = line == "DATA";
            if answers.write_all(answer).is_err() || line == "QUIT" {
                break;
            }
        }
        said
    });
    place.write(
        "config.toml",
        &format!(
            "[notify]\nsmtp = \"loopback:{port}\"\nfrom = \"api@example.com\"\n\
             mail-domain = \"example.com\"\nlink-base = \"https://example.com/tokens/verify\"\n\
             hello-name = \"node1.example.net\"\n"
        ),
    );
    let ran = place.run(&["token", "generate", "alice", "--send", "--config", "config.toml"]);
    ran.succeeded().says("the code was sent");
    let said = mail.join().unwrap();
    assert!(said.starts_with("EHLO node1.example.net\n"), "{said}");
    assert!(said.contains("RCPT TO:<alice@example.com>"), "{said}");
    // The link is whole on one line.
    let link = said.lines().find(|line| line.starts_with("https://example.com/tokens/verify?code"));
    assert!(link.is_some_and(|line| line.contains("=tac_") && line.len() > 70), "{said}");
}

#[test]
fn an_address_that_is_not_supported_is_told_apart_from_none() {
    let place = Place::new();
    place.write(
        "config.toml",
        "[notify]\nsmtp = \"loopback:1\"\nfrom = \"api@example.com\"\n\
         link-base = \"https://example.com/tokens/verify\"\n",
    );
    for (user, why) in [
        ("user@m\u{fc}ller.de", "not supported: only plain addresses in ASCII"),
        ("\u{fc}ser@example.com", "not supported: only plain addresses in ASCII"),
        ("alice", "the user has no mail address"),
    ] {
        place.user_with_token(user, &["GET"]);
        let ran = place.run(&["token", "generate", user, "--send", "--config", "config.toml"]);
        let ran = ran.exited(1).says(why).says("without --send");
        assert!(!ran.err.contains("send another code"), "{ran:?}");
    }
}
