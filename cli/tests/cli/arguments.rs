//! Help, mistakes, and what a user's name may hold.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use crate::program::Place;

#[test]
fn help_goes_to_the_standard_output_and_shows_examples_and_exit_codes() {
    let place = Place::without_store();
    let help = place.run(&["--help"]).succeeded();
    for text in ["Example:", "Exit codes:", "Settings:", "tower-api-token user grant alice GET"] {
        assert!(help.out.contains(text), "{text}: {}", help.out);
    }
    assert_eq!(help.err, "");
    for command in [&["user", "grant"][..], &["token", "generate"], &["serve"], &["migrate"]] {
        let help = place.run(&[command, &["--help"]].concat()).succeeded();
        assert!(help.out.contains("Example:\n"), "{command:?}: {}", help.out);
    }
    place.run(&["--version"]).succeeded();
}

#[test]
fn a_wrong_command_says_what_was_meant() {
    let place = Place::without_store();
    let cases = [
        (&["grant", "alice", "GET"][..], "did you mean `tower-api-token user grant`?"),
        (&["issue", "alice"], "did you mean `tower-api-token token issue`?"),
        (&["user", "grnat", "alice"], "did you mean `tower-api-token user grant`?"),
        (&["token", "rollback", "alice"], "did you mean `tower-api-token token roll-back`?"),
        (&["histroy", "alice"], "did you mean `tower-api-token history`?"),
        (&["user", "list", "--jsn"], "'--json'"),
    ];
    for (arguments, meant) in cases {
        let ran = place.run(arguments).exited(2).says(meant);
        assert_eq!(ran.out, "");
    }
    place.run(&["user", "grant", "alice"]).exited(2).says("<METHOD>...");
    place.run::<&str>(&[]).exited(2).says("Usage:");
}

#[test]
fn cli_004_a_users_name_is_data_and_escapes_are_printed_safely() {
    let place = Place::new();
    for name in ["-rf", "--help", "--json", "grant", "$(id)", "a b'c\"d", "al\u{ed}ce", "a\\b"] {
        place.run(&["user", "grant", "--", name, "GET"]).succeeded();
        let shown = place.run(&["user", "show", "--json", "--", name]).succeeded();
        assert_eq!(shown.json()[0]["user"], name);
        place.run(&["user", "revoke", "--", name]).succeeded();
    }
    let long = "a".repeat(10_240);
    for name in ["a\nb", "\u{1b}[2J", "\u{9b}2J", "", "\u{7f}", &long] {
        let refused = place.run(&["user", "grant", "--", name, "GET"]).exited(2);
        assert_eq!(refused.out, "");
        assert!(refused.err.len() < 200 && is_safe(&refused.err), "{refused:?}");
    }
    let not_utf8 = OsString::from_vec(b"a\xff".to_vec());
    let refused = place.run(&["user".into(), "show".into(), not_utf8]).exited(2);
    assert!(is_safe(&refused.err), "{refused:?}");
}

#[test]
fn names_that_would_hide_or_reorder_text_are_shown_escaped() {
    let place = Place::new();
    let name = "evil\u{202e}nimda\u{200b}";
    place.run(&["user", "grant", name, "GET"]).succeeded().says("evil\\u{202e}nimda\\u{200b}");
    for command in [&["user", "list"][..], &["user", "show", name]] {
        let shown = place.run(command).succeeded();
        assert!(shown.out.contains("evil\\u{202e}nimda\\u{200b}"), "{shown:?}");
    }
    let listed = place.run(&["user", "list", "--json"]).succeeded().json();
    assert_eq!(listed[0]["user"], name);
}

#[test]
fn a_number_that_is_none_names_its_flag_and_a_right_form() {
    let place = Place::without_store();
    for (arguments, right) in [
        (&["history", "alice", "--before", "x"][..], "a number is whole and not negative"),
        (&["history", "alice", "--limit="], "--limit"),
        (&["user", "list", "--limit", "1.5"], "a number is whole and not negative"),
        (&["history", "alice", "--before", "99999999999999999999"], "the number is too great"),
        (&["token", "delete-backup", "alice", "one"], "a number is whole and not negative"),
    ] {
        let ran = place.run(arguments).exited(2).says(right);
        assert!(!ran.err.contains("digit"), "{ran:?}");
    }
    place.run(&["man", "--directory", "nowhere"]).exited(1).says("the directory nowhere");
}

#[test]
fn columns_stand_below_each_other_whatever_the_names_are_written_in() {
    let place = Place::new();
    let names = ["alice", "\u{65e5}\u{672c}\u{8a9e}", "e\u{301}ve", "\u{1f600}", "\u{301}x"];
    for name in names {
        place.run(&["user", "grant", name, "GET"]).succeeded();
    }
    let listed = place.run(&["user", "list"]).succeeded();
    let columns: Vec<_> = listed
        .out
        .lines()
        .skip(1)
        .map(|line| unicode_width::UnicodeWidthStr::width(line.split("GET").next().unwrap()))
        .collect();
    assert_eq!(columns, vec![columns[0]; names.len()], "{}", listed.out);
    assert!(listed.out.contains("\\u{301}x"), "a mark would stand on the blank before it");
}

#[test]
fn a_terminal_obeys_nothing_that_stands_in_a_wrong_argument() {
    let place = Place::without_store();
    let evil = "\u{1b}[2J\u{1b}]0;owned\u{7}\nerror: all is well";
    for arguments in [
        &[evil][..],
        &["user", evil],
        &["user", "list", evil],
        &["user", "list", &format!("--{evil}")],
        &["history", "alice", "--limit", evil],
        &["history", "alice", &format!("--limit={evil}")],
        &["completions", evil],
        &["user", "list", "--store", evil],
        &["serve", "--listen", evil],
        &["serve", "--profile", evil],
    ] {
        let refused = place.run(arguments).exited(2);
        assert!(is_safe(&refused.err), "{arguments:?}: {:?}", refused.err);
        let forged = refused.err.lines().any(|line| line == "error: all is well");
        assert!(!forged, "{arguments:?}: {:?}", refused.err);
    }
}

#[test]
fn completions_and_manual_pages_are_made_of_the_commands() {
    let place = Place::without_store();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.run(&["completions", shell]).succeeded();
        assert!(script.out.contains("delete-backup"), "{shell}");
    }
    let bash = place.run(&["completions", "bash"]).succeeded();
    let script = place.write("completions.bash", &bash.out);
    let loaded = std::process::Command::new("bash").arg("-n").arg(script).status().expect("bash");
    assert!(loaded.success());
    let page = place.run(&["man"]).succeeded();
    for of_a_key in ["cache.staleness\\-bound", "Default: 5s."] {
        assert!(page.out.contains(of_a_key), "{of_a_key}");
    }
    assert!(page.out.contains(".TH tower-api-token 1"), "{}", page.out);
    std::fs::create_dir(place.path("man")).unwrap();
    place.run(&["man", "--directory", "man"]).succeeded();
    let whole = std::fs::read_to_string(place.path("man/tower-api-token.1")).unwrap();
    assert_eq!(whole, page.out);
    let page = std::fs::read_to_string(place.path("man/tower-api-token-user-grant.1")).unwrap();
    assert!(page.contains("alice GET POST"), "{page}");
}

/// Nothing that a terminal obeys but the line break.
fn is_safe(text: &str) -> bool {
    !text.chars().any(|character| character.is_control() && character != '\n')
}
