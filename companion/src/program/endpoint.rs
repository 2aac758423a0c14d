//! HTTP endpoints: one on loopback, and another one for other hosts if the configuration has it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::serve::ListenerExt;
use axum::{Router, middleware};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};

use super::host;
use super::tasks::Tasks;

/// How long a client may leave what was sent to it unread or unacknowledged. Then its connection is
/// closed: an answer that is not read would keep a stream of events, and its place, for good.
const PATIENCE: Duration = Duration::from_secs(30);

/// The system refuses an address.
#[derive(Debug, thiserror::Error)]
#[error("{field}: {source}")]
pub struct BindError {
    field: &'static str,
    source: io::Error,
}

/// Addresses that are bound.
pub struct Endpoints {
    listener: TcpListener,
    metrics: Option<TcpListener>,
}

impl Endpoints {
    /// Binds the addresses of the fields `listen` and `metricsListen`.
    ///
    /// # Errors
    /// The system refuses an address; the text names the field.
    pub async fn bind(
        listen: SocketAddr,
        metrics_listen: Option<SocketAddr>,
    ) -> Result<Self, BindError> {
        let listener = bind("listen", listen).await?;
        let metrics = match metrics_listen {
            Some(address) => Some(bind("metricsListen", address).await?),
            None => None,
        };
        Ok(Self { listener, metrics })
    }

    /// Serves everything on loopback, to requests that name this host, and health and metrics to other
    /// hosts, under whatever name.
    pub fn start(self, all: Router, health: Router, tasks: &mut Tasks) {
        let all = all.layer(middleware::from_fn(host::check));
        tasks.add_fallible("endpoint", serve(self.listener, all, PATIENCE));
        if let Some(listener) = self.metrics {
            tasks.add_fallible("metrics endpoint", serve(listener, health, PATIENCE));
        }
    }
}

async fn bind(field: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError { field, source })
}

async fn serve(listener: TcpListener, router: Router, patience: Duration) -> Result<(), String> {
    let listener = listener.tap_io(move |stream| limit(stream, patience));
    axum::serve(listener, router).await.map_err(|error| error.to_string())
}

/// Has the kernel close a connection whose client does not read (a zero window), or is away, for so
/// long: `TCP_USER_TIMEOUT` (tcp(7), RFC 5482).
fn limit(stream: &mut TcpStream, patience: Duration) {
    if let Err(error) = SockRef::from(&*stream).set_tcp_user_timeout(Some(patience)) {
        tracing::warn!(%error, "cannot limit how long a client may not read");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::{Body, Bytes};
    use axum::routing::get;
    use futures_util::{StreamExt, stream};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Semaphore;

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    /// An endpoint whose answers never end, and hold one of two places until they are dropped.
    async fn endpoint(patience: Duration) -> (SocketAddr, Arc<Semaphore>) {
        let places = Arc::new(Semaphore::new(2));
        let all = Arc::clone(&places);
        let answer = async move || {
            let place = Arc::clone(&all).acquire_owned().await.unwrap();
            let chunks = stream::repeat(Bytes::from_static(&[b'x'; 4096]));
            Body::from_stream(chunks.map(move |chunk| {
                let _held = &place;
                Ok::<_, io::Error>(chunk)
            }))
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, Router::new().route("/", get(answer)), patience));
        (address, places)
    }

    async fn ask(address: SocketAddr) -> TcpStream {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(REQUEST).await.unwrap();
        let mut head = [0; 12];
        client.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        client
    }

    #[tokio::test]
    async fn a_client_that_stops_reading_loses_its_place_and_one_that_reads_keeps_it() {
        let (address, places) = endpoint(Duration::from_secs(1)).await;
        let _stuck = ask(address).await;
        let mut reading = ask(address).await;
        assert_eq!(places.available_permits(), 0);
        let mut buffer = vec![0; 1 << 16];
        let read = async {
            while places.available_permits() == 0 {
                assert_ne!(reading.read(&mut buffer).await.unwrap(), 0, "the other one was closed");
            }
        };
        tokio::time::timeout(Duration::from_secs(60), read).await.unwrap();
        assert_eq!(places.available_permits(), 1);
        assert_ne!(reading.read(&mut buffer).await.unwrap(), 0);
    }
}
