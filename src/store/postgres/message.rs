//! What goes through the channel that nodes listen on.
//!
//! A message is `h` and a heartbeat's number, or `c`, a revision, the digests
//! in one Base64 string and the user, with spaces between, or `u`, a revision, a
//! space and the user where the digests would not fit. Whatever else comes (the
//! message of a later version) means that changes were missed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::account::Revision;
use crate::store::{Change, FeedItem, HeartbeatId};
use crate::token::TokenDigest;
use crate::user::UserId;

/// The channel, and the schema of the tables.
pub(super) const CHANNEL: &str = "tower_api_token";

/// The message that carries a heartbeat.
pub(super) fn heartbeat(id: HeartbeatId) -> String {
    format!("h{}", id.as_u64())
}

/// The longest message that the server takes.
const LONGEST: usize = 7_999;

/// The message that carries a change; its user alone where the digests do not fit.
pub(super) fn change(change: &Change) -> String {
    let digests: Vec<u8> = change.digests.iter().flat_map(TokenDigest::as_bytes).copied().collect();
    let message = format!("c{} {} {}", change.revision, STANDARD.encode(digests), change.user);
    if message.len() > LONGEST {
        return format!("u{} {}", change.revision, change.user);
    }
    message
}

/// What a message says.
pub(super) fn read(message: &str) -> FeedItem {
    let item = match message.split_at_checked(1) {
        Some(("h", number)) => {
            number.parse().ok().map(HeartbeatId::from_u64).map(FeedItem::Heartbeat)
        }
        Some(("c", change)) => read_change(change).map(FeedItem::Change),
        Some(("u", change)) => read_user(change).map(FeedItem::Change),
        _ => None,
    };
    item.unwrap_or(FeedItem::Lost)
}

fn read_change(change: &str) -> Option<Change> {
    let (revision, rest) = change.split_once(' ')?;
    let (digests, user) = rest.split_once(' ')?;
    let revision = Revision::from_u64(revision.parse().ok()?);
    Some(Change::new(UserId::new(user).ok()?, revision, read_digests(digests)?))
}

fn read_user(change: &str) -> Option<Change> {
    let (revision, user) = change.split_once(' ')?;
    let revision = Revision::from_u64(revision.parse().ok()?);
    Some(Change::of_user(UserId::new(user).ok()?, revision))
}

fn read_digests(digests: &str) -> Option<Vec<TokenDigest>> {
    let bytes = STANDARD.decode(digests).ok()?;
    match bytes.as_chunks::<32>() {
        (digests, []) => Some(digests.iter().copied().map(TokenDigest::from_bytes).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_read_with_its_digests_and_its_user() {
        let digests = [1, 2].map(|byte| TokenDigest::from_bytes([byte; 32]));
        let bytes: Vec<u8> = digests.iter().flat_map(|digest| *digest.as_bytes()).collect();
        let message = format!("c7 {} alice in chains", STANDARD.encode(bytes));
        let user = UserId::new("alice in chains").unwrap();
        let change = Change::new(user, Revision::from_u64(7), digests.to_vec());
        assert_eq!(super::change(&change), message);
        assert_eq!(read(&message), FeedItem::Change(change));
    }

    #[test]
    fn a_change_may_have_no_digest() {
        let change = Change::new(UserId::new("alice").unwrap(), Revision::from_u64(1), []);
        assert_eq!(read("c1  alice"), FeedItem::Change(change));
    }

    #[test]
    fn a_change_may_name_its_user_alone() {
        let user = UserId::new("alice in chains").unwrap();
        let change = Change::of_user(user, Revision::from_u64(7));
        assert_eq!(read("u7 alice in chains"), FeedItem::Change(change));
    }

    #[test]
    fn a_heartbeat_keeps_its_number() {
        for number in [0, 1, u64::MAX] {
            let id = HeartbeatId::from_u64(number);
            assert_eq!(read(&heartbeat(id)), FeedItem::Heartbeat(id));
        }
    }

    #[test]
    fn what_cannot_be_read_is_a_loss() {
        let other = ["", "l", "x1", "h", "h-1", "h1 ", "c", "c1", "c1 AA== alice", "c1 * alice"];
        let users = ["u", "u1", "u1 ", "ux alice", "u1 a\nb"];
        let changes = ["cx  alice", "c1  ", "c1  a\nb", "é"];
        for message in other.into_iter().chain(changes).chain(users) {
            assert_eq!(read(message), FeedItem::Lost, "{message:?}");
        }
    }
}
