//! Statement parameters that the driver must not log.

use std::error::Error;
use std::fmt;

use bytes::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type};

/// A parameter that holds digests. The driver writes every parameter's `Debug`
/// to its log at level `debug`; that of this one shows nothing.
pub(super) struct Hidden<T>(pub(super) T);

impl<T> fmt::Debug for Hidden<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(..)")
    }
}

impl<T: ToSql> ToSql for Hidden<T> {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.0.to_sql(kind, out)
    }

    fn accepts(kind: &Type) -> bool {
        T::accepts(kind)
    }

    tokio_postgres::types::to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_parameter_is_sent_and_not_shown() {
        let parameter: &dyn ToSql = &Hidden(&[0x5a_u8; 32][..]);
        let mut sent = BytesMut::new();
        parameter.to_sql_checked(&Type::BYTEA, &mut sent).unwrap();
        assert_eq!(sent[..], [0x5a; 32]);
        assert_eq!(format!("{parameter:?}"), "(..)");
    }
}
