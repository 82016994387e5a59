//! Which accounts are remembered, in a bound, and whose they are.

use std::collections::HashMap;

use crate::token::TokenDigest;
use crate::user::UserId;

/// How many entries may be passed over because they were used lately. A bound,
/// so that no request waits for a walk through a whole large cache.
const CHANCES: usize = 256;

/// The places of a ring. When all are taken, a hand goes round it: an entry
/// that was used since the hand last passed gets a second chance.
pub(super) struct Ring {
    capacity: usize,
    places: Vec<Option<Holder>>,
    free: Vec<usize>,
    hand: usize,
    by_user: HashMap<UserId, Vec<usize>>,
}

struct Holder {
    digest: TokenDigest,
    user: UserId,
}

impl Ring {
    pub(super) fn new(capacity: usize) -> Self {
        let (places, free) = (Vec::new(), Vec::new());
        Self { capacity, places, free, hand: 0, by_user: HashMap::new() }
    }

    /// How many places are taken.
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Takes a place, and names the digest that had to leave it. `used` says
    /// whether an entry was used since it was last asked about it.
    pub(super) fn take(
        &mut self,
        digest: TokenDigest,
        user: UserId,
        used: impl FnMut(&TokenDigest) -> bool,
    ) -> (usize, Option<TokenDigest>) {
        let left = if self.is_full() {
            let place = self.pass(used);
            self.release(place)
        } else {
            None
        };
        let place = self.vacant();
        self.by_user.entry(user.clone()).or_default().push(place);
        self.places[place] = Some(Holder { digest, user });
        (place, left)
    }

    fn is_full(&self) -> bool {
        self.len() >= self.capacity
    }

    fn vacant(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        })
    }

    /// Moves the hand on to an entry that may leave.
    fn pass(&mut self, mut used: impl FnMut(&TokenDigest) -> bool) -> usize {
        for _ in 0..CHANCES {
            let place = self.advance();
            let holder = self.places[place].as_ref();
            if !holder.is_some_and(|holder| used(&holder.digest)) {
                return place;
            }
        }
        self.advance()
    }

    const fn advance(&mut self) -> usize {
        let place = self.hand;
        self.hand = (place + 1) % self.capacity;
        place
    }

    /// Frees a place, and names the digest that had it.
    pub(super) fn release(&mut self, place: usize) -> Option<TokenDigest> {
        let Holder { digest, user } = self.places.get_mut(place)?.take()?;
        self.free.push(place);
        if let Some(places) = self.by_user.get_mut(&user) {
            places.retain(|held| *held != place);
            if places.is_empty() {
                self.by_user.remove(&user);
            }
        }
        Some(digest)
    }

    /// Every digest under which an account of the user is remembered.
    pub(super) fn digests_of(&self, user: &UserId) -> Vec<TokenDigest> {
        let places = self.by_user.get(user).into_iter().flatten();
        let holders = places.filter_map(|place| self.places[*place].as_ref());
        holders.map(|holder| holder.digest).collect()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.capacity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u8) -> TokenDigest {
        TokenDigest::from_bytes([number; 32])
    }

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    #[test]
    fn a_place_is_given_up_in_turn_unless_it_was_used() {
        let mut ring = Ring::new(3);
        for number in 0..3 {
            assert_eq!(ring.take(digest(number), user("ann"), |_| false).1, None);
        }
        let (_, left) = ring.take(digest(3), user("bob"), |used| *used == digest(0));
        assert_eq!((left, ring.len()), (Some(digest(1)), 3));
        let (_, left) = ring.take(digest(4), user("bob"), |_| false);
        assert_eq!(left, Some(digest(2)));
        assert_eq!(ring.digests_of(&user("ann")), [digest(0)]);
        assert_eq!(ring.digests_of(&user("bob")), [digest(3), digest(4)]);
    }

    #[test]
    fn a_free_place_is_taken_before_anyone_has_to_leave() {
        let mut ring = Ring::new(2);
        let (first, _) = ring.take(digest(0), user("ann"), |_| false);
        ring.take(digest(1), user("ann"), |_| false);
        assert_eq!(ring.release(first), Some(digest(0)));
        assert_eq!((ring.release(first), ring.len()), (None, 1));
        assert_eq!(ring.take(digest(2), user("bob"), |_| false), (first, None));
    }

    #[test]
    fn where_all_are_used_the_walk_still_ends() {
        let mut ring = Ring::new(1_000);
        for number in 0..1_000_u32 {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&number.to_le_bytes());
            ring.take(TokenDigest::from_bytes(bytes), user("ann"), |_| true);
        }
        let mut asked = 0;
        let (_, left) = ring.take(digest(7), user("bob"), |_| {
            asked += 1;
            true
        });
        assert_eq!((asked, left.is_some(), ring.len()), (CHANCES, true, 1_000));
    }
}
