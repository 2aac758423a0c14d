//! A network namespace for a test that needs addresses of its own: an
//! EndpointSlice of a real kube-apiserver cannot have loopback addresses.
//!
//! The test's program runs itself again, for this one test, in a new namespace
//! whose loopback interface has the addresses of [`pod_address`]. Everything
//! that the test starts is in there as well, and nothing can leave it.

use std::env;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::unistd::Uid;

/// Set in the namespace.
const INSIDE: &str = "MIXED_VERSION_PROXY_TEST_NAMESPACE";

/// Returns an address of the namespace.
pub fn pod_address(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 77, 0, number))
}

/// Runs the test of this name in a namespace of its own. Returns whether this
/// is that run: if not, the test has passed there. Fails if it has failed there,
/// or there can be no namespace.
pub fn enter(test: &str) -> Result<bool> {
    if env::var_os(INSIDE).is_some() {
        for arguments in ["link set lo up", "addr add 10.77.0.1/24 dev lo"] {
            let status = Command::new("ip").args(arguments.split(' ')).status();
            ensure!(status.context("ip (iproute2)")?.success(), "ip {arguments}");
        }
        return Ok(true);
    }
    let mut command = Command::new("unshare");
    if !Uid::effective().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg("--net").arg(env::current_exe()?).args([test, "--exact", "--nocapture"]);
    let status = command.env(INSIDE, "1").status().context("unshare (util-linux)")?;
    ensure!(status.success(), "{test} failed in its network namespace");
    Ok(false)
}
