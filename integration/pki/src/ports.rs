//! Free TCP ports on loopback.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result};

/// Ports that the kernel does not assign to sockets that bind port 0 or connect: by
/// default it takes those from 32,768 on.
const PORTS: Range<u16> = 10_000..32_768;

/// The number of ports that this process has handed out.
static GIVEN: AtomicU16 = AtomicU16::new(0);

/// Returns a port on 127.0.0.1 without a listener; two calls do not return
/// the same one, even though neither port is bound yet.
///
/// Only for programs that cannot bind port 0 and report what they got. Each
/// process begins at a port of its own, so another one rarely takes the port
/// between this call and its use. Fails if no port is free.
pub fn free_port() -> Result<u16> {
    let (first, count) = (PORTS.start, PORTS.end - PORTS.start);
    let start = std::process::id().wrapping_mul(97) % u32::from(count);
    let mut ports = PORTS.filter_map(|_| {
        let nth = start + u32::from(GIVEN.fetch_add(1, Ordering::Relaxed));
        let port = first + u16::try_from(nth % u32::from(count)).ok()?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok().then_some(port)
    });
    ports.next().context("no free port on 127.0.0.1")
}

#[cfg(test)]
mod tests {
    use super::free_port;

    #[test]
    fn ports_are_distinct() {
        let mut ports: Vec<u16> = (0..50).map(|_| free_port().unwrap()).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 50);
    }
}
