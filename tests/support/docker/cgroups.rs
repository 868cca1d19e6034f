//! Cgroups are the machine's, and stay when the engine that has made them is gone.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::deadline;

/// Removes the cgroups at this path, of every controller. They can be removed when their last
/// process is gone.
pub fn remove_cgroups(path: &str) {
    let mount = Path::new("/sys/fs/cgroup");
    for controller in fs::read_dir(mount).into_iter().flatten().flatten() {
        remove_with_children(&controller.path().join(path));
    }
    remove_with_children(&mount.join(path));
}

fn remove_with_children(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_with_children(&entry.path());
        }
    }
    let end = deadline();
    while path.exists() && fs::remove_dir(path).is_err() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(1));
    }
}
