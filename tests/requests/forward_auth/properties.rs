//! Whatever a gateway or its client sends, only a clear and granted method
//! passes.

use http::{HeaderName, HeaderValue, Request};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tower_api_token::forward_auth::Profile;

use crate::forward_auth::world::*;

/// What alice may do and some gateway could name.
const GRANTED: [&str; 3] = ["GET", "HEAD", "PURGE"];

fn name() -> impl Strategy<Value = &'static str> {
    select(vec![
        "x-original-method",
        "x-original-method",
        "x-forwarded-method",
        "x-forwarded-method",
        "method",
        "method",
        "x_original_method",
        "x.forwarded-method",
        "x-http-method-override",
        "authorization",
        "content-type",
        "x-auth-user",
    ])
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let methods =
        select(vec!["GET", "GET", "HEAD", "PURGE", "POST", "get", "GET, GET", "", "GETX"]);
    prop_oneof![
        6 => methods.prop_map(|method| method.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..40),
    ]
}

proptest! {
    #[test]
    fn only_a_clear_and_granted_method_passes(
        profile in select(PROFILES.to_vec()),
        own in select(vec!["GET", "POST", "PURGE", "get", "HEAD"]),
        lines in vec((name(), value()), 0..5),
        token in select(vec![ALICE, ALICE_BACKUP, BOB, "junk"]),
    ) {
        let mut request = Request::builder().method(own).header("authorization", bearer(token));
        let mut stated = Vec::new();
        for (name, value) in lines {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                stated.push((name.replace(['_', '.'], "-"), name, value.clone()));
                request = request.header(HeaderName::from_static(name), value);
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let request = request.body(String::new()).unwrap();
        let answer = runtime.block_on(ask(&verify(store(), profile), request));
        if answer.status != 200 {
            let status = answer.status.as_u16();
            prop_assert!([400, 401, 403].contains(&status), "{:?}", answer);
            answer.denies(status);
            return Ok(());
        }
        prop_assert!([ALICE, ALICE_BACKUP].contains(&token));
        let said = |wanted: &str| stated.iter().filter(|(_, name, _)| *name == wanted).count();
        let source = match profile {
            Profile::OriginalMethod => Some("x-original-method"),
            Profile::ForwardedMethod => Some("x-forwarded-method"),
            Profile::MethodHeader => Some("method"),
            _ => None,
        };
        prop_assert!(source.is_none_or(|source| said(source) == 1));
        let naming = ["x-original-method", "x-forwarded-method", "method"];
        let method = source.map_or(own.as_bytes(), |source| {
            stated.iter().find(|(_, name, _)| *name == source).unwrap().2.as_bytes()
        });
        prop_assert!(GRANTED.iter().any(|granted| granted.as_bytes() == method));
        for (read_as, _, value) in &stated {
            let contradicts = naming.contains(&read_as.as_str()) && value.as_bytes() != method;
            prop_assert!(!contradicts, "{:?}", stated);
        }
        for name in naming {
            prop_assert!(stated.iter().filter(|line| line.0 == name).count() < 2, "{:?}", stated);
        }
    }
}
