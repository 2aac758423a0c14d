//! A DNS server on loopback, whose answers a test chooses.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, SRV};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use pki::ports::free_port;

/// What it says of each name; nothing else exists.
type Zone = BTreeMap<String, Vec<RData>>;

/// Answers until it is stopped or dropped. The TTL of its answers is 1 s.
pub struct DnsServer {
    pub address: SocketAddr,
    zone: Arc<Mutex<Option<Zone>>>,
    running: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl DnsServer {
    /// Starts it on a port outside the range from which the system gives ports, so that it can start
    /// there again.
    pub fn start() -> Self {
        Self::start_at(&format!("127.0.0.1:{}", free_port().unwrap()))
    }

    pub fn start_at(address: &str) -> Self {
        let (address, zone) = (address.parse().unwrap(), Arc::new(Mutex::new(Some(Zone::new()))));
        let mut server = Self { address, zone, running: None };
        server.start_again();
        server
    }

    /// Replaces what it says.
    pub fn set<'n>(&self, names: impl IntoIterator<Item = (&'n str, Vec<RData>)>) {
        let zone = names.into_iter().map(|(name, data)| (name.to_owned(), data)).collect();
        *self.zone.lock().unwrap() = Some(zone);
    }

    /// Makes it answer that it fails (SERVFAIL).
    pub fn fail(&self) {
        *self.zone.lock().unwrap() = None;
    }

    pub fn stop(&mut self) {
        if let Some((stopping, thread)) = self.running.take() {
            stopping.store(true, Ordering::Relaxed);
            thread.join().unwrap();
        }
    }

    /// Starts it again on its port. A resolver chooses source ports at random, and may hold this one
    /// for some seconds.
    pub fn start_again(&mut self) {
        let until = Instant::now() + Duration::from_secs(60);
        let socket = loop {
            match UdpSocket::bind(self.address) {
                Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                bound => break bound.unwrap(),
            }
        };
        self.serve(socket);
    }

    fn serve(&mut self, socket: UdpSocket) {
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let stopping = Arc::new(AtomicBool::new(false));
        let (zone, stop) = (Arc::clone(&self.zone), Arc::clone(&stopping));
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while !stop.load(Ordering::Relaxed) {
                let Ok((size, client)) = socket.recv_from(&mut buffer) else { continue };
                let query = Message::from_vec(&buffer[..size]).unwrap();
                let answer = answer(&query, zone.lock().unwrap().as_ref());
                socket.send_to(&answer.to_vec().unwrap(), client).unwrap();
            }
        });
        self.running = Some((stopping, thread));
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn answer(query: &Message, zone: Option<&Zone>) -> Message {
    let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
    answer.metadata.recursion_available = true;
    let question = &query.queries[0];
    answer.add_query(question.clone());
    let name = question.name().to_ascii();
    let (code, data) = match zone.map(|zone| zone.get(name.trim_end_matches('.'))) {
        None => (ResponseCode::ServFail, None),
        Some(None) => (ResponseCode::NXDomain, None),
        Some(Some(data)) => (ResponseCode::NoError, Some(data)),
    };
    answer.metadata.response_code = code;
    let wanted = |data: &&RData| data.record_type() == question.query_type();
    for data in data.into_iter().flatten().filter(wanted) {
        answer.add_answer(Record::from_rdata(question.name().clone(), 1, data.clone()));
    }
    answer
}

/// Returns the record with an address: A or AAAA.
pub fn a(address: impl Into<IpAddr>) -> RData {
    match address.into() {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    }
}

pub fn srv(target: &str, port: u16) -> RData {
    RData::SRV(SRV::new(0, 0, port, Name::from_ascii(target).unwrap()))
}

#[test]
fn it_answers_what_a_test_says() {
    let server = DnsServer::start();
    server.set([("x.example", vec![a([127, 0, 0, 1])])]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let ask = |name: &str| {
        let mut query = Message::query();
        let name = Name::from_ascii(name).unwrap();
        query.add_query(hickory_proto::op::Query::query(name, RecordType::A));
        socket.send_to(&query.to_vec().unwrap(), server.address).unwrap();
        let mut buffer = [0; 512];
        let size = socket.recv(&mut buffer).unwrap();
        Message::from_vec(&buffer[..size]).unwrap()
    };
    assert_eq!(ask("x.example.").answers.len(), 1);
    assert_eq!(ask("y.example.").metadata.response_code, ResponseCode::NXDomain);
    server.fail();
    assert_eq!(ask("x.example.").metadata.response_code, ResponseCode::ServFail);
}
