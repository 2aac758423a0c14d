//! A network namespace for a test that needs addresses of its own: an
//! EndpointSlice of a real kube-apiserver cannot have loopback addresses.
//!
//! The test's program runs itself again, for this one test, in a new namespace
//! whose loopback interface has the addresses of [`pod_address`] and
//! [`pod_address_v6`]. Everything that the test starts is in there as well, and
//! nothing can leave it. Mounts are its own, too, so that it can have files where
//! programs look for those of the system.

use std::env;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::unistd::Uid;

/// Set in the namespace: the file that the test makes there to show that it runs.
const INSIDE: &str = "MIXED_VERSION_PROXY_TEST_NAMESPACE";

/// Returns an address of the namespace.
pub fn pod_address(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 77, 0, number))
}

/// Returns an IPv6 address of the namespace.
pub fn pod_address_v6(number: u8) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 0, number.into()))
}

/// Puts a file in the place of another, which must exist, for this namespace only. Fails if it
/// cannot be mounted.
pub fn replace_file(place: &str, content: &str) -> Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    fs::write(&file, content)?;
    // Mounted, it lives on without its name.
    let path = file.path().to_str().context("not UTF-8")?;
    run("mount", &["--bind", path, place])
}

/// Puts these files in a folder below `/run`, which has nothing else, for this namespace only.
/// Fails if it cannot be mounted.
pub fn only_in_run(folder: &Path, files: &[(&str, &str)]) -> Result<()> {
    run("mount", &["-t", "tmpfs", "tmpfs", "/run"])?;
    let folder = Path::new("/run").join(folder);
    fs::create_dir_all(&folder)?;
    for (name, content) in files {
        fs::write(folder.join(name), content)?;
    }
    Ok(())
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let status = Command::new(program).args(arguments).status();
    let status = status.with_context(|| program.to_owned())?;
    ensure!(status.success(), "{program} {}", arguments.join(" "));
    Ok(())
}

/// Runs the test of this name, in the module of this path, in a namespace of its own with these
/// environment variables. Fails if the test fails, does not exist, or there can be no namespace.
pub fn run_test(
    module_path: &str,
    test: &str,
    variables: &[(&str, &str)],
    body: impl Future<Output = Result<()>>,
) -> Result<()> {
    if !enter_with(module_path, test, variables)? {
        return Ok(());
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(body)
}

/// Runs the test of this name, in the module of this path, in a namespace of its own. Returns
/// whether this is that run: if not, the test has passed there. Fails if it has failed there, does
/// not exist, or there can be no namespace.
pub fn enter(module_path: &str, test: &str) -> Result<bool> {
    enter_with(module_path, test, &[])
}

/// The same, with these environment variables.
pub fn enter_with(module_path: &str, test: &str, variables: &[(&str, &str)]) -> Result<bool> {
    if let Some(runs) = env::var_os(INSIDE) {
        fs::write(runs, test)?;
        for arguments in [
            "link set lo up",
            "addr add 10.77.0.1/24 dev lo",
            "-6 route add local fd00:77::/64 dev lo",
        ] {
            run("ip", &arguments.split(' ').collect::<Vec<_>>()).context("iproute2")?;
        }
        return Ok(true);
    }
    let name = module_path.split("::").skip(1).chain([test]).collect::<Vec<_>>().join("::");
    let mut command = Command::new("unshare");
    if !Uid::effective().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.envs(variables.iter().copied());
    command.args(["--net", "--mount"]).arg(env::current_exe()?).args([
        name.as_str(),
        "--exact",
        "--nocapture",
    ]);
    let runs = tempfile::NamedTempFile::new()?;
    let status = command.env(INSIDE, runs.path()).status().context("unshare (util-linux)")?;
    ensure!(status.success(), "{name} failed in its network namespace");
    // Without a test of this name, the program succeeds as well.
    ensure!(fs::read_to_string(runs.path())? == test, "there is no test {name}");
    Ok(false)
}
