//! What is written reads back, and nothing else does.

use std::error::Error;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::ValueError;
use crate::method::{MAX_EXTENSION_METHODS, MAX_METHOD_LENGTH};
use crate::rotation::Policy;
use crate::token::SealedToken;

/// Those of [`full_account`], which programs of every version read.
const ENDINGS: [Ending; 7] = [
    Ending::Superseded,
    Ending::Cancelled,
    Ending::Replaced,
    Ending::Deleted,
    Ending::RolledBack,
    Ending::Revoked,
    Ending::AccessRevoked,
];

const EVERY_ENDING: [Ending; 8] = {
    let [a, b, c, d, e, f, g] = ENDINGS;
    [a, b, c, d, e, f, g, Ending::Expired]
};

fn any_time() -> impl Strategy<Value = Timestamp> {
    any::<u64>().prop_map(Timestamp::from_unix_millis)
}

/// The token number `id`, with a digest that no other number has.
fn any_token(id: u64) -> impl Strategy<Value = TokenRecord> {
    let times = (any_time(), any_time(), proptest::option::of(any_time()));
    let sealed = proptest::option::weighted(0.3, vec(any::<u8>(), 0..100));
    let parts = (any::<u16>(), ".{0,12}", times, sealed);
    parts.prop_map(move |(pepper, hint, (made_at, since, end), sealed)| {
        let digest = any_digest(id, pepper);
        TokenRecord {
            active_since: since,
            expires_at: end,
            sealed: sealed.map(SealedToken::from_bytes),
            ..TokenRecord::new(
                TokenId::from_u64(id),
                digest,
                TokenHint::from_stored(&hint),
                made_at,
            )
        }
    })
}

fn any_digest(id: u64, pepper: u16) -> StoredDigest {
    let mut bytes = [0xa5; 32];
    bytes[..8].copy_from_slice(&id.to_be_bytes());
    StoredDigest::new(TokenDigest::from_bytes(bytes), PepperVersion::from_u16(pepper))
}

fn any_code() -> impl Strategy<Value = CodeDigest> {
    any::<[u8; 32]>().prop_map(CodeDigest::from_bytes)
}

fn any_pending(id: u64) -> impl Strategy<Value = Pending> {
    let times = (any_time(), any_time(), any_time());
    let backup = proptest::option::of(any::<u64>().prop_map(TokenId::from_u64));
    (any_token(id), any_code(), times, backup).prop_map(|(token, code, times, backup)| Pending {
        token,
        expires_at: times.0,
        code,
        code_made_at: times.1,
        code_expires_at: times.2,
        replacing_backup: backup,
    })
}

fn any_retired() -> impl Strategy<Value = Vec<Retired>> {
    vec((any::<u16>(), any_time(), 0..EVERY_ENDING.len()), 0..20).prop_map(|retired| {
        let numbered = (100..).zip(retired);
        let retired = numbered.map(|(id, (pepper, at, ending))| {
            let digest = any_digest(id, pepper);
            Retired::new(TokenId::from_u64(id), digest, at, EVERY_ENDING[ending])
        });
        retired.collect()
    })
}

fn any_methods() -> impl Strategy<Value = MethodSet> {
    let names = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PURGE", "A", "b!"];
    proptest::sample::subsequence(names.to_vec(), 0..=names.len())
        .prop_map(|methods| MethodSet::new(methods).unwrap())
}

fn any_account() -> impl Strategy<Value = Account> {
    let slots = (proptest::option::of(any_token(1)), proptest::option::of(any_token(2)));
    let pending = proptest::option::of(any_pending(3));
    let confirmed = proptest::option::of((any::<u64>(), any_code()));
    let head = ("\\PC{1,60}", 1_u64..1 << 62, any_methods(), 200_u64..1 << 62);
    (head, slots, pending, any_retired(), confirmed).prop_map(
        |((user, revision, methods, next), (primary, backup), pending, retired, confirmed)| {
            let mut account = Account::absent(UserId::new(user).unwrap());
            account.revision = Revision::from_u64(revision);
            account.methods = methods;
            account.backup = backup.filter(|_| primary.is_some()).map(Box::new);
            account.primary = primary;
            account.pending = pending.map(Box::new);
            account.retired = retired.into();
            account.confirmed =
                confirmed.map(|(id, code)| Box::new(Confirmed::new(TokenId::from_u64(id), code)));
            account.next_token = next;
            account
        },
    )
}

fn full_account() -> Account {
    let (id, digest) = (TokenId::from_u64, |id| any_digest(id, 1));
    let at = Timestamp::from_unix_millis(1_700_000_000_000);
    let token = |number| TokenRecord::new(id(number), digest(number), TokenHint::unknown(), at);
    let endings = (10..).zip(ENDINGS);
    Account::builder(UserId::new("alice").unwrap())
        .methods(MethodSet::new(["GET", "PURGE"]).unwrap())
        .primary(token(2))
        .backup(token(1))
        .pending(Pending {
            token: token(3),
            expires_at: at,
            code: CodeDigest::from_bytes([7; 32]),
            code_made_at: at,
            code_expires_at: at,
            replacing_backup: Some(id(1)),
        })
        .retired(
            endings.map(|(number, ending)| Retired::new(id(number), digest(number), at, ending)),
        )
        .confirmed(Confirmed::new(id(2), CodeDigest::from_bytes([8; 32])))
        .build()
        .unwrap()
}

/// [`full_account`] with a sealed token in every place.
fn sealed_account() -> Account {
    let mut account = full_account();
    let seal = |token: &mut TokenRecord| {
        token.sealed = Some(SealedToken::from_bytes([token.id.as_u64() as u8; 90]));
    };
    account.primary.iter_mut().chain(account.backup.as_deref_mut()).for_each(seal);
    account.pending.iter_mut().for_each(|pending| seal(&mut pending.token));
    account
}

/// What the program wrote of [`full_account`] before tokens could be sealed.
const WRITTEN_BEFORE_SEALING: &str = "\
    0105616c6963650101010550555247450102200000000000000002a5a5a5a5a5a5a5a5a5a5a5a5a5\
    a5a5a5a5a5a5a5a5a5a5a5010080d095ffbc3100000101200000000000000001a5a5a5a5a5a5a5a5\
    a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5010080d095ffbc3100000103200000000000000003a5a5a5\
    a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5010080d095ffbc31000080d095ffbc31200707\
    07070707070707070707070707070707070707070707070707070707070780d095ffbc3180d095ff\
    bc310101070a20000000000000000aa5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a501\
    80d095ffbc31000b20000000000000000ba5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5\
    a50180d095ffbc31010c20000000000000000ca5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5\
    a5a5a50180d095ffbc31020d20000000000000000da5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5\
    a5a5a5a5a50180d095ffbc31030e20000000000000000ea5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5\
    a5a5a5a5a5a5a50180d095ffbc31040f20000000000000000fa5a5a5a5a5a5a5a5a5a5a5a5a5a5a5\
    a5a5a5a5a5a5a5a5a50180d095ffbc310510200000000000000010a5a5a5a5a5a5a5a5a5a5a5a5a5\
    a5a5a5a5a5a5a5a5a5a5a50180d095ffbc3106010220080808080808080808080808080808080808\
    080808080808080808080808080811\
";

fn assert_corrupt(bytes: &[u8]) {
    let error = decode(bytes).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    assert!(error.source().is_some());
}

proptest! {
    #[test]
    fn any_account_reads_back(account in any_account()) {
        prop_assert_eq!(decode(&encode(&account)).unwrap(), account);
    }

    #[test]
    fn garbage_is_corrupt_or_an_account_and_never_a_panic(mut bytes in vec(any::<u8>(), 0..400)) {
        if let Some(version) = bytes.first_mut() {
            *version = if *version % 2 == 0 { PLAIN } else { SEALED };
        }
        match decode(&bytes) {
            Ok(account) => prop_assert_eq!(decode(&encode(&account)).unwrap(), account),
            Err(error) => prop_assert_eq!(error.kind(), StoreErrorKind::Corrupt),
        }
    }

    #[test]
    fn a_changed_byte_is_never_a_panic(account in any_account(), at in any::<usize>(), to: u8) {
        let mut bytes = encode(&account);
        let at = at % bytes.len();
        bytes[at] = to;
        let _ = decode(&bytes);
    }
}

#[test]
fn an_account_with_every_part_reads_back() {
    let account = full_account();
    assert_eq!(decode(&encode(&account)).unwrap(), account);
}

#[test]
fn a_record_of_the_time_before_sealing_reads_back_and_is_still_written() {
    let bytes: Vec<u8> = (0..WRITTEN_BEFORE_SEALING.len() / 2)
        .map(|place| &WRITTEN_BEFORE_SEALING[2 * place..2 * place + 2])
        .map(|digits| u8::from_str_radix(digits, 16).unwrap())
        .collect();
    assert_eq!(decode(&bytes).unwrap(), full_account());
    assert_eq!(encode(&full_account()), bytes);
}

#[test]
fn an_account_with_an_expired_token_has_a_version_of_its_own_and_reads_back() {
    for account in [full_account(), sealed_account()] {
        let mut expired = account.clone();
        expired.retired[0].ending = Ending::Expired;
        let bytes = encode(&expired);
        assert_eq!(bytes[0], EXPIRED);
        assert_ne!(encode(&account)[0], EXPIRED);
        assert_eq!(decode(&bytes).unwrap(), expired);
    }
}

/// As many tokens of each kind as an account remembers, the longest name,
/// methods, peppers and sealed tokens, and numbers that no account reaches.
#[test]
fn no_account_is_larger_than_16_kib() {
    let at = Timestamp::from_unix_millis(u64::MAX);
    let (first, pepper) = (1_u64 << 62, u16::MAX);
    let token = |number| TokenRecord {
        active_since: Timestamp::from_unix_millis(u64::MAX >> 1),
        expires_at: Some(at),
        sealed: Some(SealedToken::from_bytes([7; SealedToken::MAX_LENGTH])),
        ..TokenRecord::new(
            TokenId::from_u64(first + number),
            any_digest(number, pepper),
            TokenHint::from_stored("prefix12_...zzzz"),
            Timestamp::from_unix_millis(u64::MAX >> 2),
        )
    };
    let kept =
        [(Ending::Expired, Policy::LIVED_KEPT), (Ending::Superseded, Policy::NEVER_LIVED_KEPT)];
    let retired = kept.iter().flat_map(|&(ending, count)| std::iter::repeat_n(ending, count));
    let retired = (10..).zip(retired).map(|(number, ending)| {
        Retired::new(TokenId::from_u64(first + number), any_digest(number, pepper), at, ending)
    });
    let extension = |number| format!("{number:A>MAX_METHOD_LENGTH$}");
    let extensions = (0..MAX_EXTENSION_METHODS).map(extension);
    let code = CodeDigest::from_bytes([7; 32]);
    let mut pending = Pending::new(token(3), at, code, at, at);
    pending.replacing_backup = Some(TokenId::from_u64(first));
    let account = Account::builder(UserId::new("\u{10ffff}".repeat(63)).unwrap())
        .methods(MethodSet::new(extensions.chain(USUAL_METHODS.map(String::from))).unwrap())
        .backup(token(1))
        .primary(token(2))
        .pending(pending)
        .retired(retired)
        .confirmed(Confirmed::new(TokenId::from_u64(first + 2), code))
        .revision(Revision::from_u64(first))
        .build()
        .unwrap();
    let bytes = encode(&account);
    assert!(bytes.len() > 8 << 10, "{} bytes: is it the greatest?", bytes.len());
    assert!(bytes.len() <= 16 << 10, "{} bytes", bytes.len());
    assert_eq!(decode(&bytes).unwrap(), account);
}

#[test]
fn sealed_tokens_read_back_in_their_places() {
    let account = sealed_account();
    let read = decode(&encode(&account)).unwrap();
    assert_eq!(read, account);
    assert_ne!(read, full_account());
    let of = |token: Option<&TokenRecord>| token.unwrap().sealed.clone().unwrap().as_bytes()[0];
    assert_eq!([of(read.primary()), of(read.backup())], [2, 1]);
    assert_eq!(read.pending().unwrap().token.sealed.as_ref().unwrap().as_bytes(), [3; 90]);
}

#[test]
fn a_sealed_token_without_its_token_is_corrupt() {
    let mut without = sealed_account();
    without.pending = None;
    let (bytes, without) = (encode(&sealed_account()), encode(&without));
    let body = encode(&Account { pending: None, ..full_account() });
    let sealed = &bytes[encode(&full_account()).len()..];
    assert_corrupt(&[&[SEALED], &body[1..], sealed].concat());
    assert!(decode(&without).is_ok());
}

#[test]
fn a_record_cut_short_anywhere_or_continued_is_corrupt() {
    for bytes in [encode(&full_account()), encode(&sealed_account())] {
        for length in 0..bytes.len() {
            assert_corrupt(&bytes[..length]);
        }
        assert_corrupt(&[&bytes[..], &[0]].concat());
    }
}

#[test]
fn an_unknown_version_is_corrupt() {
    let mut bytes = encode(&full_account());
    for version in (0..=u8::MAX).filter(|&version| version != PLAIN) {
        bytes[0] = version;
        assert_corrupt(&bytes);
    }
}

/// No machine could allocate what these lengths promise.
#[test]
fn a_huge_length_is_corrupt() {
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    let user = [&[PLAIN][..], &huge].concat();
    let methods = [&[PLAIN, 1, b'a', 1, 0][..], &huge].concat();
    let retired = [&[PLAIN, 1, b'a', 1, 0, 0, 0, 0, 0][..], &huge].concat();
    let sealed = [&[SEALED][..], &encode(&full_account())[1..], &[1], &huge].concat();
    for bytes in [user, methods, retired, sealed] {
        assert_corrupt(&bytes);
        assert_corrupt(&[&bytes[..], &[1; 300]].concat());
    }
}

#[test]
fn a_record_that_breaks_a_rule_names_the_rule_and_no_content() {
    let mut account = full_account();
    account.primary = None;
    let error = decode(&encode(&account)).unwrap_err();
    let cause = error.source().unwrap().source().unwrap();
    let cause = cause.downcast_ref::<ValueError>();
    assert_eq!(cause, Some(&ValueError::BackupWithoutPrimary));
    assert!(!format!("{error:?}").contains("alice"));
}
