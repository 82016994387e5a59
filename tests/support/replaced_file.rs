//! Every way in which a path comes to lead to another file.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A way to replace a file.
pub(crate) struct Way {
    pub(crate) name: &'static str,
    /// The path by which a store opens it, in the directory of the test.
    pub(crate) path: &'static str,
    /// Where the other file is made before.
    pub(crate) other: &'static str,
    prepare: fn(&Path),
    replace: fn(&Path),
}

impl Way {
    /// Makes directories and links: the path and the other file.
    pub(crate) fn prepare(&self, directory: &Path) -> (PathBuf, PathBuf) {
        (self.prepare)(directory);
        (directory.join(self.path), directory.join(self.other))
    }

    /// Makes the path lead to the other file.
    pub(crate) fn replace(&self, directory: &Path) {
        (self.replace)(directory);
    }
}

pub(crate) const WAYS: &[Way] = &[
    Way {
        name: "moved over, its log left behind",
        path: "tokens.db",
        other: "other.db",
        prepare: |_| {},
        replace: |directory| rename(directory, "other.db", "tokens.db"),
    },
    Way {
        name: "moved over, its log removed",
        path: "tokens.db",
        other: "other.db",
        prepare: |_| {},
        replace: |directory| {
            rename(directory, "other.db", "tokens.db");
            remove_log(directory, "tokens.db");
        },
    },
    Way {
        name: "removed with its log, and another put there",
        path: "tokens.db",
        other: "other.db",
        prepare: |_| {},
        replace: |directory| {
            fs::remove_file(directory.join("tokens.db")).unwrap();
            remove_log(directory, "tokens.db");
            fs::copy(directory.join("other.db"), directory.join("new.db")).unwrap();
            rename(directory, "new.db", "tokens.db");
        },
    },
    Way {
        name: "removed without its log, and another put there",
        path: "tokens.db",
        other: "other.db",
        prepare: |_| {},
        replace: |directory| {
            fs::remove_file(directory.join("tokens.db")).unwrap();
            rename(directory, "other.db", "tokens.db");
        },
    },
    Way {
        name: "moved away, and another moved there",
        path: "tokens.db",
        other: "other.db",
        prepare: |_| {},
        replace: |directory| {
            rename(directory, "tokens.db", "former.db");
            rename(directory, "other.db", "tokens.db");
        },
    },
    Way {
        name: "a hard link to another put over it",
        path: "tokens.db",
        other: "other.db",
        prepare: |_| {},
        replace: |directory| {
            fs::hard_link(directory.join("other.db"), directory.join("link.db")).unwrap();
            rename(directory, "link.db", "tokens.db");
        },
    },
    Way {
        name: "a symbolic link put over it",
        path: "tokens.db",
        other: "other.db",
        prepare: |_| {},
        replace: |directory| turn(directory, "other.db", "tokens.db"),
    },
    Way {
        name: "a symbolic link turned",
        path: "tokens.db",
        other: "two.db",
        prepare: |directory| symlink("one.db", directory.join("tokens.db")).unwrap(),
        replace: |directory| turn(directory, "two.db", "tokens.db"),
    },
    Way {
        name: "a symbolic link to its directory turned",
        path: "current/tokens.db",
        other: "two/tokens.db",
        prepare: |directory| {
            fs::create_dir(directory.join("one")).unwrap();
            fs::create_dir(directory.join("two")).unwrap();
            symlink("one", directory.join("current")).unwrap();
        },
        replace: |directory| turn(directory, "two", "current"),
    },
    Way {
        name: "its directory renamed, and another in its place",
        path: "data/tokens.db",
        other: "other/tokens.db",
        prepare: |directory| {
            fs::create_dir(directory.join("data")).unwrap();
            fs::create_dir(directory.join("other")).unwrap();
        },
        replace: |directory| {
            rename(directory, "data", "former");
            rename(directory, "other", "data");
        },
    },
];

fn rename(directory: &Path, from: &str, to: &str) {
    fs::rename(directory.join(from), directory.join(to)).unwrap();
}

/// A link of that name to that place, over what is there.
fn turn(directory: &Path, place: &str, name: &str) {
    symlink(place, directory.join("turned")).unwrap();
    rename(directory, "turned", name);
}

/// Removes what is left of a file that was moved.
pub(crate) fn remove_log(directory: &Path, name: &str) {
    for end in ["-wal", "-shm"] {
        drop(fs::remove_file(directory.join(format!("{name}{end}"))));
    }
}
