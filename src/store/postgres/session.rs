//! One connection of the store's own, on which messages arrive.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::{sleep, timeout};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{AsyncMessage, Client, Config, Error, Socket};

use super::failure::{late, not_connected, store_error};
use super::message;
use crate::store::feed::FeedHub;
use crate::store::listener::{LISTENING, Listen, PATIENCE, PAUSE};
use crate::store::{StoreError, StoreErrorKind};

/// A way to open connections.
pub(super) trait Connect: Send + Sync {
    fn connect(&self) -> Pin<Box<dyn Future<Output = Result<Opened, Error>> + Send + '_>>;
}

/// A connection whose messages wait to be polled.
pub(super) struct Opened {
    client: Client,
    messages: Messages,
}

/// What a store has been told of how to open connections.
pub(super) struct Connector(pub(super) Box<dyn Connect>);

type Messages =
    Box<dyn FnMut(&mut Context<'_>) -> Poll<Option<Result<AsyncMessage, Error>>> + Send>;

/// Opens connections as the host has said.
pub(super) struct ByConfig<C, T> {
    config: C,
    tls: T,
}

impl<C, T> ByConfig<C, T> {
    pub(super) const fn new(config: C, tls: T) -> Self {
        Self { config, tls }
    }
}

impl<C, T> Connect for ByConfig<C, T>
where
    C: Fn() -> Config + Send + Sync,
    T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    T::Stream: Send + 'static,
    T::TlsConnect: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    fn connect(&self) -> Pin<Box<dyn Future<Output = Result<Opened, Error>> + Send + '_>> {
        Box::pin(async {
            let (client, mut connection) = (self.config)().connect(self.tls.clone()).await?;
            Ok(Opened { client, messages: Box::new(move |cx| connection.poll_message(cx)) })
        })
    }
}

/// A connection that listens.
pub(super) struct Session {
    client: Client,
    ear: Ear,
}

impl Listen for Connector {
    type Session = Session;

    async fn open(&self, hub: Arc<FeedHub>) -> Result<Session, StoreError> {
        let opened = timeout(PATIENCE, self.0.connect())
            .await
            .map_err(|elapsed| late(LISTENING, elapsed))?;
        let Opened { client, messages } =
            opened.map_err(|error| not_connected(LISTENING, error))?;
        let mut session = Session { client, ear: Ear { messages, hub } };
        session.ask(&format!("LISTEN {}", message::CHANNEL)).await?;
        Ok(session)
    }

    async fn listen(mut session: Session) -> StoreError {
        loop {
            if let Err(error) = session.ear.during(sleep(PAUSE)).await {
                return error;
            }
            if let Err(error) = session.ask("").await {
                return error;
            }
        }
    }
}

impl Session {
    async fn ask(&mut self, statement: &str) -> Result<(), StoreError> {
        let answer = timeout(PATIENCE, self.client.batch_execute(statement));
        let answer = self.ear.during(answer).await?.map_err(|elapsed| late(LISTENING, elapsed))?;
        answer.map_err(|error| store_error(LISTENING, error))
    }
}

/// The receiving half of a session.
struct Ear {
    messages: Messages,
    hub: Arc<FeedHub>,
}

impl Ear {
    /// Hears what comes while `work` runs, which may need it to get on.
    async fn during<T>(&mut self, work: impl Future<Output = T>) -> Result<T, StoreError> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(error) = self.poll(cx) {
                return Poll::Ready(Err(error));
            }
            work.as_mut().poll(cx).map(Ok)
        })
        .await
    }

    /// Ready when the connection has broken.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<StoreError> {
        loop {
            match std::task::ready!((self.messages)(cx)) {
                Some(Ok(AsyncMessage::Notification(heard))) => {
                    self.hub.send(&message::read(heard.payload()));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(store_error(LISTENING, error)),
                None => {
                    let closed = StoreError::new(StoreErrorKind::Unavailable, LISTENING);
                    return Poll::Ready(closed);
                }
            }
        }
    }
}

pub(super) fn not_configured() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, LISTENING).with_source(NotConfigured)
}

/// Why a store has no feed.
#[derive(Debug, thiserror::Error)]
#[error("the store was not told how to open a connection to listen on")]
struct NotConfigured;
