//! What is different on a terminal: a prompt that shows nothing, a bar, colours.

use std::process::Command;

use crate::program::{Place, Ran, finish};

/// Runs the program on a terminal of its own, by Python's `pty`, and types
/// `typed` once it has printed `prompt`.
///
/// The terminal shows nothing until its echo is off: a prompt that came before
/// would let the answer of whoever is quick be seen, and waits here for ever.
fn on_a_terminal(place: &Place, arguments: &[&str], prompt: &str, typed: &str) -> Ran {
    let script = r#"
import fcntl, os, pty, sys, termios, time
prompt, typed, command = sys.argv[1].encode(), sys.argv[2].encode(), sys.argv[3:]
terminal, inner = pty.openpty()
before = termios.tcgetattr(inner)
if prompt:
    termios.tcflow(inner, termios.TCOOFF)
pid = os.fork()
if pid == 0:
    os.setsid()
    fcntl.ioctl(inner, termios.TIOCSCTTY, 0)
    for number in range(3):
        os.dup2(inner, number)
    os.execv(command[0], command)
if prompt:
    end = time.monotonic() + 20
    while termios.tcgetattr(inner)[3] & termios.ECHO:
        if time.monotonic() > end:
            os.kill(pid, 9)
            sys.exit("the terminal echoes what is typed")
        time.sleep(0.005)
    termios.tcflow(inner, termios.TCOON)
os.close(inner)
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
        os.write(terminal, typed)
        typed = b""
os.write(1, seen)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
if termios.tcgetattr(terminal) != before:
    sys.exit(f"the terminal is left as {termios.tcgetattr(terminal)}, was {before}, exit {code}")
sys.exit(code)
"#;
    let mut python = Command::new("python3");
    python.args(["-c", script, prompt, typed, env!("CARGO_BIN_EXE_tower-api-token")]);
    python.args(arguments).current_dir(place.directory()).env("TERM", "xterm");
    python.env("TOWER_API_TOKEN_STORE", &place.store).envs(place.variables.iter().copied());
    finish(&mut python, "")
}

/// A user whose token waits for its confirmation: the code.
fn waiting(place: &Place) -> String {
    place.user_with_token("alice", &["GET"]);
    let generated = place.run(&["token", "generate", "alice", "--json"]).succeeded().json();
    generated[0]["code"].as_str().unwrap().to_owned()
}

const CONFIRM: &[&str] = &["token", "confirm", "alice"];

#[test]
fn a_code_is_asked_for_and_not_shown() {
    let place = Place::new();
    let code = waiting(&place);
    let ran = on_a_terminal(&place, CONFIRM, "confirmation code: ", &format!("{code}\n"));
    let ran = ran.succeeded();
    assert!(ran.out.contains("confirmation code: ") && !ran.out.contains(&code), "{ran:?}");
    assert!(ran.out.contains("Token 2 confirmed"), "{ran:?}");
}

#[test]
fn what_is_typed_at_a_prompt_can_be_mended() {
    let place = Place::new();
    let code = waiting(&place);
    // Ctrl-U takes back the line, DEL a character.
    let typed = format!("nonsense\u{15}{code}x\u{7f}\n");
    on_a_terminal(&place, CONFIRM, "confirmation code: ", &typed).succeeded();
}

#[test]
fn a_prompt_can_be_left() {
    let place = Place::new();
    let code = waiting(&place);
    let left = on_a_terminal(&place, CONFIRM, "confirmation code: ", &format!("{code}\u{3}"));
    assert!(!left.out.contains(&code), "{left:?}");
    left.exited(130);
    // Ctrl-D on an empty line.
    let ended = on_a_terminal(&place, CONFIRM, "confirmation code: ", "\u{4}").exited(2);
    assert!(ended.out.contains("no confirmation code was given"), "{ended:?}");
    place.run_with(CONFIRM, &code).succeeded();
}

#[test]
fn an_import_shows_a_bar_on_a_terminal_alone() {
    let place = Place::new().accepting_foreign();
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

#[test]
fn on_a_terminal_an_erasure_is_asked_about() {
    let place = Place::new();
    place.run(&["user", "grant", "alice", "GET"]).succeeded();
    let erase = ["user", "erase", "alice"];
    for no in ["\n", "y\n", "no\n", "yes, but not now, please\n", "\u{4}"] {
        let ran = on_a_terminal(&place, &erase, "", no).exited(130);
        assert!(ran.out.contains("Erase alice") && ran.out.contains("not yes"), "{ran:?}");
        place.run(&["user", "show", "alice"]).succeeded();
    }
    let ran = on_a_terminal(&place, &erase, "", "yes\n").succeeded();
    assert!(ran.out.contains("alice: erased"), "{ran:?}");
    place.run(&["user", "show", "alice"]).exited(5);
}
