//! The notifiers that come with the crate.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tower_api_token::manage::{Delivery, TokenManager};
use tower_api_token::method::MethodSet;
use tower_api_token::notify::{
    ConfirmationMessage, DirectoryNotifier, LinkBase, Notifier as _, NotifyError,
};
use tower_api_token::store::MemoryStore;
use tower_api_token::test_util::ManualClock;
use tower_api_token::token::ConfirmationCode;
use tower_api_token::user::{Actor, ClientLabel, UserId};

use crate::manager::world::root;

async fn manager(directory: &Path) -> TokenManager {
    let notifier = DirectoryNotifier::new(directory).unwrap();
    TokenManager::builder(MemoryStore::new()).notifier(notifier).build().await.unwrap()
}

async fn pending(manager: &TokenManager, user: &UserId) -> Delivery {
    manager.grant(root(), user, MethodSet::new(["GET"]).unwrap()).await.unwrap();
    manager.generate_primary(&Actor::User, user).await.unwrap().delivery
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_closure_gets_each_confirmation() {
    let (queue, messages) = mpsc::channel();
    let notifier = move |message: ConfirmationMessage| {
        let queued = queue.send(message).map_err(|_| NotifyError::new("the queue is gone"));
        async move { queued }
    };
    let manager =
        TokenManager::builder(MemoryStore::new()).notifier(notifier).build().await.unwrap();
    let user = UserId::new("alice").unwrap();
    assert!(matches!(pending(&manager, &user).await, Delivery::Sent));
    let code = messages.recv().unwrap().code;
    manager.confirm(&Actor::User, &user, &code).await.unwrap();
    drop(messages);
    manager.revoke_access(root(), &user).await.unwrap();
    let Delivery::NotSent(error) = pending(&manager, &user).await else { panic!() };
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the queue is gone");
}

#[tokio::test]
async fn a_shell_reads_the_code_from_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let manager = manager(directory.path()).await;
    let user = UserId::new("alice").unwrap();
    let _ = pending(&manager, &user).await;
    let take = r#"sed -n 's/^code=//p' "$(ls confirmation-*.txt | tail -n 1)""#;
    let code = shell(directory.path(), take);
    let code = ConfirmationCode::parse(code.trim_end()).unwrap();
    manager.confirm(&Actor::User, &user, &code).await.unwrap();
    let names = names(directory.path());
    assert_eq!(names.len(), 2, "{names:?}");
    let notice = fs::read_to_string(directory.path().join(&names[1])).unwrap();
    assert!(notice.starts_with("user=alice\nevent=primary_confirmed\ntoken=1\nactor=user\nat="));
}

#[tokio::test]
async fn a_shell_reads_the_link_from_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let base = LinkBase::new("https://example.com/~x/%C3%A9").unwrap();
    let notifier = DirectoryNotifier::new(directory.path()).unwrap().link_base(base);
    let manager =
        TokenManager::builder(MemoryStore::new()).notifier(notifier).build().await.unwrap();
    let _ = pending(&manager, &UserId::new("alice").unwrap()).await;
    let sourced = shell(directory.path(), r#". ./confirmation-*.txt; echo "$link"; echo "$code""#);
    let (link, code) = sourced.trim_end().split_once('\n').unwrap();
    assert!(ConfirmationCode::parse(code).is_some(), "{code}");
    assert_eq!(link, format!("https://example.com/~x/%C3%A9?code={code}"));
}

/// In the last minutes of a pending token its codes all end with it.
#[tokio::test]
async fn the_last_file_has_the_latest_code_to_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(crate::manager::world::START));
    let notifier = DirectoryNotifier::new(directory.path()).unwrap();
    let store = MemoryStore::with_clock(Arc::clone(&clock));
    let manager = TokenManager::builder(store).notifier(notifier).build().await.unwrap();
    let user = UserId::new("alice").unwrap();
    let _ = pending(&manager, &user).await;
    let id = manager.view(&user).await.unwrap().pending.unwrap().id;
    clock.advance(Duration::from_secs(24 * 3_600 - 9 * 60));
    for _ in 0..8 {
        let _ = manager.resend_confirmation(&Actor::User, &user, id).await.unwrap();
        clock.advance(Duration::from_secs(60));
    }
    let take = r#"sed -n 's/^code=//p' "$(ls confirmation-*.txt | tail -n 1)""#;
    let code = shell(directory.path(), take);
    let code = ConfirmationCode::parse(code.trim_end()).unwrap();
    manager.confirm(&Actor::User, &user, &code).await.unwrap();
}

#[tokio::test]
async fn a_file_names_the_client_if_it_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let manager = manager(directory.path()).await;
    let user = UserId::new("alice").unwrap();
    manager.grant(root(), &user, MethodSet::new(["GET"]).unwrap()).await.unwrap();
    let client = ClientLabel::new("Fire fox/128;x").unwrap();
    let _ = manager.from_client(client).generate_primary(&Actor::User, &user).await.unwrap();
    let sourced = shell(directory.path(), r#". ./confirmation-*.txt; echo "$actor $client""#);
    assert_eq!(sourced.trim_end(), "user Fire%20fox%2F128%3Bx");
}

fn shell(directory: &Path, script: &str) -> String {
    let output = Command::new("sh").args(["-c", script]).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn no_user_chooses_a_path_or_runs_a_command() {
    let outside = tempfile::tempdir().unwrap();
    let directory = outside.path().join("messages");
    fs::create_dir(&directory).unwrap();
    let manager = manager(&directory).await;
    let users = ["../../escaped", "/etc/passwd", "a/b", "..", "$(touch pwned)", "`id`;x", "é 'ü\""];
    for name in users {
        assert!(matches!(pending(&manager, &UserId::new(name).unwrap()).await, Delivery::Sent));
    }
    assert_eq!(names(outside.path()), ["messages"]);
    let names = names(&directory);
    assert_eq!(names.len(), users.len());
    let named = |name: &String| {
        let middle = name.strip_prefix("confirmation-").and_then(|n| n.strip_suffix(".txt"));
        middle.is_some_and(|middle| middle.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'))
    };
    assert!(names.iter().all(named), "{names:?}");
    let sourced = shell(&directory, r#"for f in *; do . "./$f"; echo "$user"; done"#);
    assert!(sourced.lines().any(|user| user == "%24%28touch%20pwned%29"), "{sourced}");
    assert!(!directory.join("pwned").exists());
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_reads_a_message() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let manager = manager(directory.path()).await;
    let _ = pending(&manager, &UserId::new("alice").unwrap()).await;
    let file = directory.path().join(&names(directory.path())[0]);
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_directory_that_is_none_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let missing = DirectoryNotifier::new(directory.path().join("missing")).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing}");
    assert_eq!(missing.to_string(), "the directory for messages does not exist");
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let no_directory = DirectoryNotifier::new(&file).unwrap_err();
    assert_eq!(no_directory.kind(), ErrorKind::NotADirectory, "{no_directory}");
    assert_eq!(no_directory.to_string(), "the path for messages is not a directory");
    let below = DirectoryNotifier::new(file.join("below")).unwrap_err();
    let unreadable = "the directory for messages cannot be read";
    assert!(below.to_string().starts_with(unreadable), "{below}");
    // Gone since.
    let gone = directory.path().join("gone");
    fs::create_dir(&gone).unwrap();
    let manager = manager(&gone).await;
    fs::remove_dir(&gone).unwrap();
    let Delivery::NotSent(error) = pending(&manager, &UserId::new("alice").unwrap()).await else {
        panic!("there is no such directory")
    };
    let source = std::error::Error::source(&error).unwrap();
    let source = source.downcast_ref::<std::io::Error>().unwrap();
    assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
}

#[tokio::test]
async fn a_notifier_without_notices_sends_none() {
    let silent = |_: ConfirmationMessage| async { Err(NotifyError::new("called")) };
    let notice = tower_api_token::audit::AuditEntry::new(
        UserId::new("alice").unwrap(),
        tower_api_token::account::Revision::from_u64(1),
        crate::manager::world::START,
        Actor::User,
        tower_api_token::audit::Event::AllRevoked,
    );
    silent.notice(&notice).await.unwrap();
}
