//! Connections that are counted, and that the companion closes.

use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::client;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::ads::client::tests::{Authority, settings};
use crate::ads::listener;

const DEADLINE: Duration = Duration::from_secs(30);

/// Returns both ends of a connection of a client with this name.
async fn connected(name: &str) -> (TlsStream<TcpStream>, client::TlsStream<TcpStream>) {
    let authority = Authority::new();
    let acceptor = TlsAcceptor::from(listener::tls(&settings(&[&authority], &[name])).unwrap());
    let connector = TlsConnector::from(authority.connector(name));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = async { acceptor.accept(listener.accept().await.unwrap().0).await };
    let client = async {
        let name = ServerName::try_from("companion").unwrap();
        connector.connect(name, TcpStream::connect(address).await.unwrap()).await
    };
    tokio::try_join!(server, client).unwrap()
}

#[test]
fn clients_without_an_allowed_name_take_no_connection_of_others() {
    let slots = Slots::new(3);
    let mut clients: Vec<_> = (0..6).map(|_| slots.take(true)).collect();
    assert!(clients.iter().all(Option::is_some) && slots.take(true).is_none());
    let strangers: Vec<_> = (0..STRANGERS).map(|_| slots.take(false)).collect();
    assert!(strangers.iter().all(Option::is_some) && slots.take(false).is_none());
    clients.pop();
    assert!(slots.take(true).is_some());
}

#[tokio::test]
async fn a_connection_counts_until_it_is_closed() {
    let (server, mut client) = connected("envoy").await;
    let slots = Slots::new(1);
    let (own, _other) = (slots.take(true).unwrap(), slots.take(true).unwrap());
    let mut connection = Connection::new(server, Client::default(), own);
    client.write_all(b"hello").await.unwrap();
    let mut text = [0; 5];
    connection.read_exact(&mut text).await.unwrap();
    assert_eq!(&text, b"hello");
    assert!(slots.take(true).is_none());
    drop(connection);
    assert!(slots.take(true).is_some());
}

#[tokio::test]
async fn a_client_that_neither_reads_nor_writes_is_hung_up() {
    let (server, client) = connected("envoy").await;
    let slots = Slots::new(1);
    let connection = Connection::new(server, Client::default(), slots.take(true).unwrap());
    let peer = connection.connect_info();
    let (mut read, mut write) = tokio::io::split(connection);
    let (sent, mut progress) = tokio::sync::watch::channel(0);
    // One task does both, as HTTP/2 does.
    let ended = tokio::spawn(async move {
        let write = async {
            loop {
                if let Err(error) = write.write_all(&[0; 1 << 16]).await {
                    return error;
                }
                sent.send_modify(|sent| *sent += 1);
            }
        };
        tokio::join!(read.read_u8(), write)
    });
    // Until every buffer is full.
    while timeout(Duration::from_millis(200), progress.changed()).await.is_ok() {}
    assert!(*progress.borrow() > 0 && !ended.is_finished());
    peer.hang_up();
    let (read, write) = timeout(DEADLINE, ended).await.unwrap().unwrap();
    for error in [read.unwrap_err(), write] {
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }
    drop(client);
}
