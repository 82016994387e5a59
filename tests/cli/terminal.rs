//! What is different on a terminal: a prompt that shows nothing, a bar, colours.

use std::process::Command;

use crate::program::{Place, Ran, finish};

/// Runs the program on a terminal of its own, by Python's `pty`, and types
/// `typed` once it has printed `prompt`.
fn on_a_terminal(place: &Place, arguments: &[&str], prompt: &str, typed: &str) -> Ran {
    let script = r#"
import os, pty, sys
prompt, typed, command = sys.argv[1].encode(), sys.argv[2].encode(), sys.argv[3:]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(command[0], command)
seen = b""
while True:
    try:
        chunk = os.read(terminal, 65536)
    except OSError:
        break
    if not chunk:
        break
    seen += chunk
    if typed and prompt in seen:
        os.write(terminal, typed + b"\n")
        typed = b""
os.write(1, seen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;
    let mut python = Command::new("python3");
    python.args(["-c", script, prompt, typed, env!("CARGO_BIN_EXE_tower-api-token")]);
    python.args(arguments).current_dir(place.directory()).env("TERM", "xterm");
    finish(python.env("TOWER_API_TOKEN_STORE", &place.store), "")
}

#[test]
fn a_code_is_asked_for_and_not_shown() {
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    let generated = place.run(&["token", "generate", "alice", "--json"]).succeeded().json();
    let code = generated[0]["code"].as_str().unwrap();
    let ran = on_a_terminal(&place, &["token", "confirm", "alice"], "confirmation code: ", code);
    let ran = ran.succeeded();
    assert!(ran.out.contains("confirmation code: ") && !ran.out.contains(code), "{ran:?}");
    assert!(ran.out.contains("token 2 confirmed"), "{ran:?}");
}

#[test]
fn an_import_shows_a_bar_on_a_terminal_alone() {
    let place = Place::new();
    let mut rows = "user,methods,sha256\n".to_owned();
    for number in 0..5_000 {
        rows += &format!("user{number},GET,{number:064x}\n");
    }
    rows += "user,GET,nonsense\n";
    place.write("tokens.csv", &rows);
    let shown = on_a_terminal(&place, &["import", "tokens.csv"], "", "").exited(8);
    assert!(shown.out.contains(" %") && shown.out.contains("line 5002: a SHA-256"), "{shown:?}");
    assert!(shown.out.contains("5000 imported, 0 already there, 1 refused"), "{shown:?}");
    let quiet = place.run(&["import", "tokens.csv"]).exited(8);
    assert!(!quiet.err.contains('%') && !quiet.err.contains('\u{1b}'), "{quiet:?}");
}

#[test]
fn a_token_on_a_terminal_is_shown_once() {
    let place = Place::new();
    place.run(&["user", "grant", "alice", "GET"]).succeeded();
    let ran = on_a_terminal(&place, &["token", "issue", "alice"], "", "").succeeded();
    assert_eq!(ran.out.matches("tat_").count(), 1, "{ran:?}");
}

#[test]
fn a_wrong_argument_cannot_write_to_a_terminal() {
    let place = Place::new();
    let ran = on_a_terminal(&place, &["user", "list", "\u{1b}]0;owned\u{7}"], "", "").exited(2);
    assert!(!ran.out.contains("\u{1b}]0;") && !ran.out.contains('\u{7}'), "{ran:?}");
}
