//! Measurements for benchmarks and tests of a cost.
//!
//! Absolute times depend on the machine and its load. So variants are measured
//! in turns in one run, and compared by medians.

use std::time::Duration;
use std::{fs, io};

use anyhow::{Context, Result};
use nix::errno::Errno;

/// Returns the time that all threads of a process have run, according to the
/// kernel. Threads that have ended no longer count, so use it for processes
/// whose threads last. Fails if the process has ended, or the kernel has no
/// `schedstat`.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let schedstat = match fs::read_to_string(task?.path().join("schedstat")) {
            Ok(schedstat) => schedstat,
            Err(error) if has_ended(&error) => continue,
            Err(error) => return Err(error.into()),
        };
        let ran = schedstat.split_whitespace().next().context("an empty schedstat")?;
        sum += ran.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(sum))
}

/// Returns the memory that a process has now, in KiB. Fails if it has ended.
pub fn resident_kib(pid: u32) -> Result<u64> {
    status_kib(pid, "VmRSS")
}

/// Returns the most memory that a process has had, in KiB. Fails if it has ended.
pub fn peak_kib(pid: u32) -> Result<u64> {
    status_kib(pid, "VmHWM")
}

/// Returns a field of what the kernel says of a process, in KiB. Fails if the field is missing.
fn status_kib(pid: u32, field: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let value = value.with_context(|| format!("process {pid} has no {field}"))?;
    Ok(value.trim().trim_end_matches(" kB").parse()?)
}

/// Returns whether the error means that a thread has just ended.
fn has_ended(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::ESRCH as i32)
}

/// Returns the median; NaN if there are no values.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Returns the median in milliseconds.
pub fn median_ms(times: &[Duration]) -> f64 {
    median(times.iter().map(|time| time.as_secs_f64() * 1e3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_value_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert!(median([]).is_nan());
        let times = [1, 900, 2].map(Duration::from_millis);
        assert_eq!(median_ms(&times), 2.0);
    }

    #[test]
    fn a_running_process_uses_cpu_time() {
        assert!(cpu_time(std::process::id()).unwrap() > Duration::ZERO);
    }

    #[test]
    fn a_running_process_has_memory_and_a_missing_field_is_an_error() {
        let pid = std::process::id();
        assert!(resident_kib(pid).unwrap() > 0);
        assert!(peak_kib(pid).unwrap() > 0);
        let error = status_kib(pid, "VmNothing").unwrap_err().to_string();
        assert_eq!(error, format!("process {pid} has no VmNothing"));
    }
}
