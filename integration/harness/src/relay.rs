//! A TCP relay between a client and the test's servers, for clients whose
//! connections are not the test's own: it closes them, and lets the next ones
//! go elsewhere, as a load balancer in front of API servers does.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// A relay on 127.0.0.1; dropping it closes everything.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    state: Arc<Mutex<State>>,
    accepting: AbortHandle,
}

#[derive(Debug)]
struct State {
    target: SocketAddr,
    connections: JoinSet<()>,
    accepted: u64,
}

impl Relay {
    /// Starts a relay to `target`. Fails if no port is free.
    pub async fn start(target: SocketAddr) -> Result<Self> {
        Self::start_at(0, target).await
    }

    /// The same, at this port. Fails if it is not free.
    pub async fn start_at(port: u16, target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, port)).await?;
        let port = listener.local_addr()?.port();
        let connections = JoinSet::new();
        let state = Arc::new(Mutex::new(State { target, connections, accepted: 0 }));
        let accepting = tokio::spawn(accept(listener, Arc::clone(&state))).abort_handle();
        Ok(Self { port, state, accepting })
    }

    /// Returns where TLS clients reach the target.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// New connections go to `target`; those that there are stay.
    pub fn turn_to(&self, target: SocketAddr) {
        with(&self.state, |state| state.target = target);
    }

    /// Closes all connections; new ones go to `target`.
    pub fn move_to(&self, target: SocketAddr) {
        self.turn_to(target);
        self.cut();
    }

    /// Closes all connections.
    pub fn cut(&self) {
        with(&self.state, |state| state.connections.abort_all());
    }

    /// Returns the number of connections so far.
    pub fn accepted(&self) -> u64 {
        with(&self.state, |state| state.accepted)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>) {
    // An error of accept concerns one connection only.
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        with(&state, |state| {
            while state.connections.try_join_next().is_some() {}
            state.accepted += 1;
            state.connections.spawn(carry(client, state.target));
        });
    }
}

/// Carries bytes both ways until either side closes.
async fn carry(mut client: TcpStream, target: SocketAddr) {
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    let nodelay = client.set_nodelay(true).and_then(|()| server.set_nodelay(true));
    if nodelay.is_ok() {
        tokio::io::copy_bidirectional(&mut client, &mut server).await.ok();
    }
}

fn with<T>(state: &Mutex<State>, act: impl FnOnce(&mut State) -> T) -> T {
    act(&mut state.lock().unwrap_or_else(PoisonError::into_inner))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Starts a server that sends this to each client, and then nothing.
    async fn saying(word: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((mut client, _)) = listener.accept().await {
                client.write_all(word).await.unwrap();
                held.push(client);
            }
        });
        address
    }

    #[tokio::test]
    async fn a_move_closes_connections_and_new_ones_reach_the_new_address() {
        let relay = Relay::start(saying(b"one").await).await.unwrap();
        let mut word = [0; 3];
        let mut first = TcpStream::connect(("127.0.0.1", relay.port)).await.unwrap();
        first.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"one");

        relay.move_to(saying(b"two").await);
        assert!(matches!(first.read(&mut word).await, Ok(0) | Err(_)));
        let mut second = TcpStream::connect(("127.0.0.1", relay.port)).await.unwrap();
        second.read_exact(&mut word).await.unwrap();
        assert_eq!((&word, relay.accepted()), (b"two", 2));

        relay.turn_to(saying(b"six").await);
        let mut third = TcpStream::connect(("127.0.0.1", relay.port)).await.unwrap();
        third.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"six");
        let quiet =
            tokio::time::timeout(std::time::Duration::from_millis(50), second.read(&mut word));
        assert!(quiet.await.is_err(), "the second has ended");
    }
}
