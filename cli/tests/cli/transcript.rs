//! A whole session, compared with its recording line by line.

use crate::program::Place;

/// The recording: commands behind `$ `, what they print behind them with `! `
/// before lines of the standard error, and `= ` before an exit code that is
/// not 0.
const RECORDED: &str = include_str!("session.txt");

#[test]
fn a_session_prints_what_was_recorded() {
    let place = Place::without_store();
    let mut played = String::new();
    for command in RECORDED.lines().filter_map(|line| line.strip_prefix("$ ")) {
        played += &format!("$ {command}\n");
        let mut shell = std::process::Command::new("sh");
        let program = env!("CARGO_BIN_EXE_tower-api-token");
        let function = format!("tower_api_token() {{ '{program}' \"$@\"; }}");
        let spelled = command.replace("tower-api-token ", "tower_api_token ");
        shell.args(["-c", &format!("{function}\n{spelled}")]).current_dir(place.directory());
        shell.env("TOWER_API_TOKEN_STORE", &place.store);
        let ran = crate::program::finish(&mut shell, "");
        played.extend(ran.out.lines().map(|line| format!("{}\n", normalised(line))));
        played.extend(ran.err.lines().map(|line| format!("! {}\n", normalised(line))));
        if ran.code != Some(0) {
            played += &format!("= {}\n", ran.code.expect("an exit code"));
        }
    }
    assert_eq!(played, RECORDED, "\n--- played:\n{played}\n--- recorded:\n{RECORDED}");
}

/// The line with its secrets, hints and times replaced by words of the same
/// length.
fn normalised(line: &str) -> String {
    let mut line = replaced(line, "tat_...", 4, '*');
    line = replaced(&line, "tat_", 42, '*');
    line = replaced(&line, "tac_", 32, '*');
    let mut found = 0;
    while let Some(place) = line[found..].find("20") {
        let start = found + place;
        found = start + 2;
        if line.get(start..start + 24).is_some_and(is_time) {
            line.replace_range(start..start + 24, "YYYY-MM-DDThh:mm:ss.mmmZ");
        }
    }
    line
}

/// What follows `start`, `length` letters and digits, is made of `with`.
fn replaced(line: &str, start: &str, length: usize, with: char) -> String {
    let mut parts = line.split(start);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text += start;
        let secret = part.get(..length).filter(|it| it.bytes().all(|b| b.is_ascii_alphanumeric()));
        match secret {
            Some(_) => {
                text.extend(std::iter::repeat_n(with, length));
                text += &part[length..];
            }
            None => text += part,
        }
    }
    text
}

fn is_time(text: &str) -> bool {
    let form = "0000-00-00T00:00:00.000Z";
    text.bytes().zip(form.bytes()).all(|(byte, form)| match form {
        b'0' => byte.is_ascii_digit(),
        _ => byte == form,
    })
}
