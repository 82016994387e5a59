//! The form of a revocation (RFC 7009 section 2.1).

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use percent_encoding::percent_decode;
use zeroize::Zeroizing;

use super::BoxError;

/// The longest form, in bytes: a token and a hint fit many times.
const MOST_BYTES: usize = 4_096;

/// The field `token`, which stands there once. One without a value counts as one that
/// is missing (RFC 6749 section 3.1).
pub(super) async fn token<B>(headers: &HeaderMap, body: B) -> Option<Zeroizing<String>>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    if !is_form(headers) {
        return None;
    }
    let body = std::pin::pin!(Limited::new(body, MOST_BYTES));
    only_token(&body.collect().await.ok()?.to_bytes())
}

fn is_form(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else { return false };
    let media_type = only.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn only_token(form: &[u8]) -> Option<Zeroizing<String>> {
    let mut fields = form.split(|&byte| byte == b'&').map(|field| {
        let equals = field.iter().position(|&byte| byte == b'=').unwrap_or(field.len());
        (&field[..equals], field.get(equals + 1..).unwrap_or_default())
    });
    let mut tokens = fields.by_ref().filter(|(name, _)| decoded(name).as_str() == "token");
    let (_, token) = tokens.next()?;
    let is_repeated = tokens.next().is_some();
    (!is_repeated && !token.is_empty()).then(|| decoded(token))
}

/// The text of a name or value. A byte that is not UTF-8 becomes a character that no
/// token has.
fn decoded(text: &[u8]) -> Zeroizing<String> {
    let spaced: Zeroizing<Vec<u8>> =
        Zeroizing::new(text.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect());
    let decoded: Cow<'_, str> = percent_decode(&spaced).decode_utf8_lossy();
    Zeroizing::new(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_one_field_is_found_and_decoded() {
        for (form, token) in [
            ("token=tat_x", Some("tat_x")),
            ("token=a%2Bb+c%5f", Some("a+b c_")),
            ("tok%65n=a", Some("a")),
            ("token_type_hint=access_token&token=a", Some("a")),
            ("token=a&token_type_hint=x&token_type_hint=y", Some("a")),
            ("token=a=b", Some("a=b")),
            ("token=%ff", Some("\u{fffd}")),
            ("&token=a&", Some("a")),
            ("", None),
            ("token", None),
            ("token=", None),
            ("tokens=a", None),
            ("Token=a", None),
            ("token=a&token=a", None),
            ("token=a&t%6fken=b", None),
            ("token=&token=a", None),
        ] {
            let found = only_token(form.as_bytes());
            assert_eq!(found.as_deref().map(String::as_str), token, "{form}");
        }
    }

    #[test]
    fn a_form_says_so_once() {
        let types = |types: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in types {
                headers.append(CONTENT_TYPE, HeaderValue::from_static(value));
            }
            is_form(&headers)
        };
        let form = "application/x-www-form-urlencoded";
        assert!(types(&[form]));
        assert!(types(&["Application/X-WWW-Form-Urlencoded ; charset=UTF-8"]));
        for bad in [&[][..], &[form, form], &["application/json"], &["text/plain; a=b"]] {
            assert!(!types(bad), "{bad:?}");
        }
    }
}
