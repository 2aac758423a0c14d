//! Bounds how many connections clients have at once, all of them and those of one address, so that
//! idle clients do not keep others out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most places that are taken at once.
#[derive(Clone, Copy, Debug)]
pub struct Most {
    /// By all clients.
    pub all: usize,
    /// By the clients of one address.
    pub of_one: usize,
}

/// Places for connections. Clones share them.
#[derive(Clone, Debug)]
pub struct Places {
    most: Most,
    taken: Arc<Mutex<Count>>,
}

#[derive(Debug, Default)]
struct Count {
    all: usize,
    of_address: HashMap<IpAddr, usize>,
}

/// A place that is taken. It is free again when this handle is dropped.
#[derive(Debug)]
pub struct Place {
    places: Places,
    address: IpAddr,
}

impl Places {
    /// Returns places that are all free.
    pub fn new(most: Most) -> Self {
        Self { most, taken: Arc::default() }
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a connection of this address. Returns `None` if there is none for it.
    pub fn take(&self, address: IpAddr) -> Option<Place> {
        let address = network(address);
        let mut count = self.count();
        let own = count.of_address.get(&address).copied().unwrap_or_default();
        if count.all >= self.most.all || own >= self.most.of_one {
            return None;
        }
        count.all += 1;
        count.of_address.insert(address, own + 1);
        Some(Place { places: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut count = self.places.count();
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

    const MOST: Most = Most { all: 1024, of_one: 128 };

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn clients_that_say_nothing_keep_nobody_else_out() {
        let all = Places::new(MOST);
        let mut silent: Vec<_> = (0..MOST.of_one).map(|_| all.take(address("10.0.0.1"))).collect();
        assert!(silent.iter().all(Option::is_some));
        assert!(all.take(address("10.0.0.1")).is_none());
        assert!(all.take(address("::ffff:10.0.0.1")).is_none());
        assert!(all.take(address("10.0.0.2")).is_some());
        silent.pop();
        assert!(all.take(address("10.0.0.1")).is_some());
        // Who has a network has one share.
        let own = |number: usize| address(&format!("2001:db8::{number:x}"));
        let silent: Vec<_> = (0..MOST.of_one).map(|number| all.take(own(number))).collect();
        assert!(silent.iter().all(Option::is_some) && all.take(own(MOST.all)).is_none());
        assert!(all.take(address("2001:db8:0:1::1")).is_some());
        drop(silent);
        assert_eq!(all.count().of_address.len(), 1);
        assert_eq!(all.count().all, MOST.of_one - 1);
    }

    #[test]
    fn all_clients_together_are_bounded() {
        let all = Places::new(MOST);
        let of = |number: usize| address(&format!("10.0.{}.{}", number / 100, number % 100));
        let mut many: Vec<_> = (0..MOST.all).map(|number| all.take(of(number))).collect();
        assert!(many.iter().all(Option::is_some) && all.take(of(MOST.all)).is_none());
        many.pop();
        assert!(all.take(of(MOST.all)).is_some());
    }
}
