//! The memory of the container, by the files of its cgroup (cgroups(7)).

use std::fmt;
use std::fs;

/// The memory controller of our cgroup.
pub(super) struct Cgroup {
    folder: String,
    files: &'static Files,
    /// The number of OOM kills when the init started.
    kills_before: Option<u64>,
}

/// The files with the counters, the peak and the limit.
struct Files([&'static str; 3]);
const V1: Files = Files(["memory.oom_control", "memory.max_usage_in_bytes", "memory.limit_in_bytes"]);
const V2: Files = Files(["memory.events", "memory.peak", "memory.max"]);

/// Version 1 reports the lack of a limit as the largest number of pages.
const NO_LIMIT: u64 = 1 << 62;

/// Amounts in bytes. `None` if the kernel does not report one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) peak: Option<u64>,
    pub(super) limit: Option<u64>,
    /// The number of OOM kills since the start.
    pub(super) kills: Option<u64>,
}

impl Cgroup {
    /// Returns `None` if our cgroup, or its memory, is not visible.
    pub(super) fn find() -> Option<Self> {
        let list = fs::read_to_string("/proc/self/cgroup").ok()?;
        // A controller that version 1 has is not available in version 2, which has one line for all.
        let (mount, path, files) = match path_in(&list, "memory") {
            Some(path) => ("/sys/fs/cgroup/memory", path, &V1),
            None => ("/sys/fs/cgroup", path_in(&list, "")?, &V2),
        };
        // Without a cgroup namespace the path is the host's, and the mount shows our cgroup alone.
        let folders = [path, ""].map(|path| format!("{mount}{path}"));
        let candidates = folders.map(|folder| Self { folder, files, kills_before: None });
        let found = candidates.into_iter().find(|cgroup| cgroup.read(2).is_some())?;
        Some(Self { kills_before: found.kills(), ..found })
    }

    pub(super) fn memory(&self) -> Memory {
        let number = |file| self.read(file)?.trim_end().parse().ok();
        Memory {
            peak: number(1),
            limit: number(2).filter(|&limit| limit < NO_LIMIT),
            kills: self.kills().zip(self.kills_before).map(|(now, before)| now.saturating_sub(before)),
        }
    }

    fn read(&self, file: usize) -> Option<String> {
        fs::read_to_string(format!("{}/{}", self.folder, self.files.0.get(file)?)).ok()
    }

    fn kills(&self) -> Option<u64> {
        kills_in(&self.read(0)?)
    }
}

/// The path of the cgroup of a controller, from the text of /proc/self/cgroup.
fn path_in<'a>(list: &'a str, controller: &str) -> Option<&'a str> {
    list.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|name| name == controller).then_some(path)
    })
}

fn kills_in(counters: &str) -> Option<u64> {
    counters.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
}

impl fmt::Display for Memory {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = |bytes: u64| match bytes >> 10 {
            kib @ ..10_240 => format!("{kib} KiB"),
            kib => format!("{} MiB", kib >> 10),
        };
        match (self.peak.map(size), self.limit.map(size)) {
            (Some(peak), Some(limit)) => write!(out, "{peak} peak of {limit}")?,
            (Some(peak), None) => write!(out, "{peak} peak, no limit")?,
            // Linux before 5.19 has no memory.peak.
            (None, Some(limit)) => write!(out, "limit {limit}")?,
            (None, None) => out.write_str("no limit")?,
        }
        self.kills.map_or(Ok(()), |kills| write!(out, ", OOM kills: {kills}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup_files_of_both_versions_are_parsed() {
        let hybrid = "9:name=systemd:/a\n4:cpu,memory:/docker/b:c\n0::/d\n";
        assert_eq!(path_in(hybrid, "memory"), Some("/docker/b:c"));
        assert_eq!((path_in("0::/\n", "memory"), path_in("0::/\n", "")), (None, Some("/")));
        assert_eq!(kills_in("low 0\noom 1\noom_kill 2\noom_group_kill 3\n"), Some(2));
        assert_eq!(kills_in("oom_kill_disable 0\nunder_oom 1\noom_kill 4\n"), Some(4));
        assert_eq!(kills_in("oom_kill_disable 0\nunder_oom 1\n"), None);
    }
}
