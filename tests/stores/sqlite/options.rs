//! How a file is opened, and what is refused.

use std::time::Duration;

use tower_api_token::store::{SqliteError, SqliteOptions, SqliteStore};

use super::support::Place;

#[tokio::test]
async fn store_015_the_version_of_sqlite_is_free_of_the_defect_of_the_write_ahead_log() {
    let place = Place::new();
    let durability = place.store().await.durability().await.unwrap();
    let version = durability.sqlite_version.split('.').map(|part| part.parse().unwrap());
    assert!(version.collect::<Vec<u32>>() >= vec![3, 51, 3], "{}", durability.sqlite_version);
}

#[tokio::test]
async fn the_writer_waits_for_the_disk_and_enforces_references() {
    let place = Place::new();
    let durability = place.store().await.durability().await.unwrap();
    assert_eq!(durability.synchronous, "full");
    assert_eq!(durability.synchronous.to_string(), "full");
    assert_eq!(durability.journal_mode, "wal");
    assert!(durability.foreign_keys);
    assert!(durability.survives_a_crash());
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_file_and_its_log_are_its_owner_s_alone_and_an_old_one_stays_as_it_is() {
    use std::os::unix::fs::PermissionsExt;

    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let place = Place::new();
    let store = place.store().await;
    let files = std::fs::read_dir(place.directory()).unwrap().map(|file| file.unwrap().path());
    let files: Vec<_> = files.collect();
    assert!(files.len() > 1, "there is a log: {files:?}");
    for file in &files {
        assert_eq!(mode(file), 0o600, "{file:?}");
    }
    drop(store);
    std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o660)).unwrap();
    let _store = place.store().await;
    assert_eq!(mode(&place.path()), 0o660);
}

#[test]
fn only_a_regular_file_is_opened() {
    let place = Place::new();
    for path in ["".as_ref(), ":memory:".as_ref(), place.directory(), "/dev/null".as_ref()] {
        let error = SqliteStore::open(path).unwrap_err();
        assert!(matches!(error, SqliteError::NotAFile), "{path:?}: {error:?}");
    }
}

#[test]
fn a_name_is_never_taken_for_a_command() {
    let place = Place::new();
    let path = place.directory().join("file:x?mode=memory");
    SqliteStore::open(&path).unwrap();
    assert!(path.is_file());
}

#[test]
fn a_path_that_cannot_be_opened_keeps_its_cause() {
    let place = Place::new();
    let error = SqliteStore::open(place.directory().join("none").join("tokens.db")).unwrap_err();
    let not_found = std::io::ErrorKind::NotFound;
    assert!(matches!(&error, SqliteError::File(cause) if cause.kind() == not_found));
}

#[test]
fn each_option_out_of_range_names_its_rule() {
    let place = Place::new();
    let open = |options: SqliteOptions| options.open(place.path()).unwrap_err();
    let new = SqliteOptions::new;
    let hour = Duration::from_secs(3_600);
    let error = open(new().busy_timeout(hour + Duration::from_millis(1)));
    assert!(matches!(error, SqliteError::BusyTimeout));
    for interval in [Duration::ZERO, Duration::from_micros(999), Duration::from_millis(1_001)] {
        assert!(matches!(open(new().poll_interval(interval)), SqliteError::PollInterval));
    }
    for readers in [0, SqliteOptions::MAX_READERS + 1] {
        assert!(matches!(open(new().readers(readers)), SqliteError::Readers));
    }
    assert!(!place.path().exists());
    let extremes = new().mmap_size(u64::MAX).max_size(u64::MAX).readers(1).busy_timeout(hour);
    extremes.open(place.path()).unwrap();
    new().mmap_size(0).max_size(0).busy_timeout(Duration::ZERO).open(place.path()).unwrap();
}
