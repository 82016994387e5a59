//! One connection of the store's own, on which messages arrive.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{AsyncMessage, Client, Config, Error, NoTls, Socket};

use super::failure::unavailable;
use super::message;
use crate::store::feed::FeedHub;
use crate::store::{StoreError, StoreErrorKind};

pub(super) const LISTENING: &str = "listening for changes";

/// How long opening a connection may take, and how long the server may take to
/// answer on it.
const PATIENCE: Duration = Duration::from_secs(2);

/// The pause between two questions whether the server is still there. The
/// operating system would notice a cut connection after minutes only.
const PAUSE: Duration = Duration::from_secs(1);

/// A way to open connections.
pub(super) trait Connect: Send + Sync {
    fn connect(&self) -> Pin<Box<dyn Future<Output = Result<Opened, Error>> + Send + '_>>;
}

/// A connection whose messages wait to be polled.
pub(super) struct Opened {
    client: Client,
    messages: Messages,
}

type Messages =
    Box<dyn FnMut(&mut Context<'_>) -> Poll<Option<Result<AsyncMessage, Error>>> + Send>;

/// Opens connections as the host has said.
pub(super) struct ByConfig<T> {
    config: Config,
    tls: T,
}

impl<T> ByConfig<T> {
    pub(super) const fn new(config: Config, tls: T) -> Self {
        Self { config, tls }
    }
}

impl<T> Connect for ByConfig<T>
where
    T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    T::Stream: Send + 'static,
    T::TlsConnect: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    fn connect(&self) -> Pin<Box<dyn Future<Output = Result<Opened, Error>> + Send + '_>> {
        Box::pin(async {
            let (client, mut connection) = self.config.connect(self.tls.clone()).await?;
            Ok(Opened { client, messages: Box::new(move |cx| connection.poll_message(cx)) })
        })
    }
}

/// A connection that listens, and hands what it hears to a hub.
pub(super) struct Session {
    client: Client,
    ear: Ear,
}

impl Session {
    /// Opens a connection and listens: every change that commits from then on
    /// is heard.
    pub(super) async fn open(connect: &dyn Connect, hub: Arc<FeedHub>) -> Result<Self, StoreError> {
        let opened = timeout(PATIENCE, connect.connect()).await.map_err(late)?;
        let Opened { client, messages } = opened.map_err(|error| unavailable(LISTENING, error))?;
        let mut session = Self { client, ear: Ear { messages, hub } };
        session.ask(&format!("LISTEN {}", message::CHANNEL)).await?;
        Ok(session)
    }

    /// Hears what comes until the connection breaks.
    pub(super) async fn listen(mut self) -> StoreError {
        loop {
            if let Err(error) = self.ear.during(sleep(PAUSE)).await {
                return error;
            }
            if let Err(error) = self.ask("").await {
                return error;
            }
        }
    }

    async fn ask(&mut self, statement: &str) -> Result<(), StoreError> {
        let answer = timeout(PATIENCE, self.client.batch_execute(statement));
        let answer = self.ear.during(answer).await?.map_err(late)?;
        answer.map_err(|error| unavailable(LISTENING, error))
    }
}

fn late(error: tokio::time::error::Elapsed) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, LISTENING).with_source(error)
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
                Some(Err(error)) => return Poll::Ready(unavailable(LISTENING, error)),
                None => {
                    let closed = StoreError::new(StoreErrorKind::Unavailable, LISTENING);
                    return Poll::Ready(closed);
                }
            }
        }
    }
}

/// Keeps the bound of [`ByConfig`] honest: without TLS it must be one, too.
const _: fn(ByConfig<NoTls>) -> Box<dyn Connect> = |connect| Box::new(connect);
