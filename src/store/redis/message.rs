//! What goes through the channel that nodes listen on.
//!
//! A message is `h` and a heartbeat's number, or `c`, a revision, a space, the
//! number of digests, a space, the digests and the user. Whatever else comes
//! means that changes were missed.

use crate::account::Revision;
use crate::store::{Change, FeedItem, HeartbeatId};
use crate::token::TokenDigest;
use crate::user::UserId;

/// The message that carries a heartbeat.
pub(super) fn heartbeat(id: HeartbeatId) -> String {
    format!("h{}", id.as_u64())
}

/// What a message says.
pub(super) fn read(message: &[u8]) -> FeedItem {
    let item = match message.split_first() {
        Some((b'h', id)) => number(id).map(HeartbeatId::from_u64).map(FeedItem::Heartbeat),
        Some((b'c', change)) => read_change(change).map(FeedItem::Change),
        _ => None,
    };
    item.unwrap_or(FeedItem::Lost)
}

fn read_change(change: &[u8]) -> Option<Change> {
    let (revision, rest) = until_space(change)?;
    let (count, rest) = until_space(rest)?;
    let length = usize::try_from(number(count)?).ok()?.checked_mul(32)?;
    let (digests, user) = rest.split_at_checked(length)?;
    let mut digests = digests.as_chunks::<32>().0.to_vec();
    digests.sort_unstable();
    let digests: Vec<_> = digests.into_iter().map(TokenDigest::from_bytes).collect();
    let user = UserId::new(std::str::from_utf8(user).ok()?).ok()?;
    Some(Change::new(user, Revision::from_u64(number(revision)?), digests))
}

fn until_space(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = bytes.iter().position(|&byte| byte == b' ')?;
    Some((&bytes[..space], &bytes[space + 1..]))
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_read_with_its_digests_and_its_user() {
        let message = [b"c7 2 ", &[2; 32][..], &[1; 32][..], b"alice in chains"].concat();
        let digests = [1, 2].map(|byte| TokenDigest::from_bytes([byte; 32]));
        let user = UserId::new("alice in chains").unwrap();
        let change = Change::new(user, Revision::from_u64(7), digests.to_vec());
        assert_eq!(read(&message), FeedItem::Change(change));
    }

    #[test]
    fn a_heartbeat_keeps_its_number() {
        for number in [0, 1, u64::MAX] {
            let id = HeartbeatId::from_u64(number);
            assert_eq!(read(heartbeat(id).as_bytes()), FeedItem::Heartbeat(id));
        }
    }

    #[test]
    fn what_cannot_be_read_is_a_loss() {
        let short = [b"c1 2 ", &[1; 32][..], b"alice"].concat();
        let huge = format!("c1 {} alice", u64::MAX);
        let others: [&[u8]; 9] =
            [b"", b"l", b"h", b"h-1", b"c", b"c1", b"c1 0 ", b"c1 0 \xff", b"c1 x alice"];
        for message in others.into_iter().chain([&short[..], huge.as_bytes()]) {
            assert_eq!(read(message), FeedItem::Lost, "{message:?}");
        }
    }
}
