//! Bounds the handshakes at once, of all clients and of one address, so that clients that connect and
//! say nothing keep nobody else out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most handshakes at once, of all clients.
const MOST: usize = 1024;

/// The most handshakes at once of one address. Many Envoys can be behind one.
const MOST_OF_ONE: usize = 128;

/// The handshakes that have not ended. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Handshakes(Arc<Mutex<Count>>);

#[derive(Debug, Default)]
struct Count {
    all: usize,
    of_address: HashMap<IpAddr, usize>,
}

/// One handshake. It ends with this handle.
#[derive(Debug)]
pub struct Handshake {
    handshakes: Handshakes,
    address: IpAddr,
}

impl Handshakes {
    fn count(&self) -> MutexGuard<'_, Count> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a handshake. Returns `None` if there are too many.
    pub fn begin(&self, address: IpAddr) -> Option<Handshake> {
        let address = network(address);
        let mut count = self.count();
        let own = count.of_address.get(&address).copied().unwrap_or_default();
        if count.all >= MOST || own >= MOST_OF_ONE {
            return None;
        }
        count.all += 1;
        count.of_address.insert(address, own + 1);
        Some(Handshake { handshakes: self.clone(), address })
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        let mut count = self.handshakes.count();
        count.all = count.all.saturating_sub(1);
        let left = count.of_address.get(&self.address).map_or(0, |own| own.saturating_sub(1));
        if left == 0 {
            count.of_address.remove(&self.address);
        } else {
            count.of_address.insert(self.address, left);
        }
    }
}

/// Returns what counts as one address: an IPv4 address, or the /64 of an IPv6 address, because a
/// client with one address of it has all of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn clients_that_say_nothing_keep_nobody_else_out() {
        let all = Handshakes::default();
        let mut silent: Vec<_> = (0..MOST_OF_ONE).map(|_| all.begin(address("10.0.0.1"))).collect();
        assert!(silent.iter().all(Option::is_some));
        assert!(all.begin(address("10.0.0.1")).is_none());
        assert!(all.begin(address("::ffff:10.0.0.1")).is_none());
        assert!(all.begin(address("10.0.0.2")).is_some());
        silent.pop();
        assert!(all.begin(address("10.0.0.1")).is_some());
        // Who has a network has one share.
        let own = |number: usize| address(&format!("2001:db8::{number:x}"));
        let silent: Vec<_> = (0..MOST_OF_ONE).map(|number| all.begin(own(number))).collect();
        assert!(silent.iter().all(Option::is_some) && all.begin(own(MOST)).is_none());
        assert!(all.begin(address("2001:db8:0:1::1")).is_some());
        drop(silent);
        assert_eq!(all.count().of_address.len(), 1);
        assert_eq!(all.count().all, MOST_OF_ONE - 1);
    }

    #[test]
    fn all_clients_together_are_bounded() {
        let all = Handshakes::default();
        let of = |number: usize| address(&format!("10.0.{}.{}", number / 100, number % 100));
        let mut many: Vec<_> = (0..MOST).map(|number| all.begin(of(number))).collect();
        assert!(many.iter().all(Option::is_some) && all.begin(of(MOST)).is_none());
        many.pop();
        assert!(all.begin(of(MOST)).is_some());
    }
}
