//! What a process and its descendants have used, from the kernel's accounts in `/proc`.

use std::collections::HashMap;
use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

/// What a process tree has used up to now. Memory of threads is the process's own.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Processor seconds of all its processes, user and system, those that have ended included.
    pub(crate) cpu_s: f64,
    /// Bytes resident now.
    pub(crate) rss: u64,
    /// The highest each of the processes that live now has ever had, added up.
    pub(crate) rss_peak: u64,
}

/// The account of the tree below (and with) `root`.
pub(crate) fn usage(root: u32) -> Result<Usage> {
    let stats = all_stats();
    if !stats.contains_key(&root) {
        bail!("process {root} is gone");
    }
    let mut total = Usage::default();
    let mut tree = vec![root];
    while let Some(pid) = tree.pop() {
        let Some(stat) = stats.get(&pid) else { continue };
        total.cpu_s += stat.ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        total.rss += memory(&status, "VmRSS:");
        total.rss_peak += memory(&status, "VmHWM:");
        tree.extend(stats.iter().filter(|(_, child)| child.parent == pid).map(|(&pid, _)| pid));
    }
    Ok(total)
}

struct Stat {
    parent: u32,
    /// Its own, and that of children it has waited for.
    ticks: u64,
}

fn all_stats() -> HashMap<u32, Stat> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid: u32| Some((pid, parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?)))
        .collect()
}

/// The second field is the program's name in parentheses and may hold anything; the others are numbers.
fn parse_stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    // Counted from the third field: parent is 4, utime to cstime are 14 to 17.
    let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<u64>().unwrap_or(0)).sum();
    Some(Stat { parent: fields.get(1)?.parse().ok()?, ticks })
}

/// A line such as `VmHWM:     1234 kB`, in bytes.
fn memory(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("");
    line.split_ascii_whitespace().next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) << 10
}

/// A program in a process group of its own, which ends with this value.
#[derive(Debug)]
pub(crate) struct Group(pub(crate) Child);

/// How long a program may take to stop before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(20);

impl Group {
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Asks the program to stop and waits for it.
    pub(crate) fn stop(&mut self) -> Result<()> {
        if self.0.try_wait()?.is_some() {
            return Ok(());
        }
        let pid = Pid::from_child(&self.0);
        kill_process_group(pid, Signal::TERM).context("cannot stop a program that was started")?;
        let deadline = Instant::now() + STOP_GRACE;
        while Instant::now() < deadline {
            if self.0.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        kill_process_group(pid, Signal::KILL).context("cannot kill a program that was started")?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A bench that failed half-way has said why already.
        let _ = self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::{memory, parse_stat, usage};

    #[test]
    fn a_stat_line_is_read_whatever_the_program_is_called() {
        let stat = parse_stat("7 (a ) b) S 3 7 7 0 -1 4194560 1 0 0 0 10 20 30 40 20 0 1 0 5 6 7").unwrap();
        assert_eq!((stat.parent, stat.ticks), (3, 100));
    }

    #[test]
    fn memory_is_in_bytes() {
        assert_eq!(memory("VmPeak:\t 9 kB\nVmHWM:\t    12 kB\n", "VmHWM:"), 12 << 10);
    }

    #[test]
    fn this_process_has_used_something() {
        let used = usage(std::process::id()).unwrap();
        assert!(used.rss > 100_000 && used.rss_peak >= used.rss, "{used:?}");
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        assert!(usage(u32::MAX).is_err());
    }
}
