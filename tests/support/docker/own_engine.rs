//! Engine of one test, for settings of a whole engine, which must not change on the machine's
//! engine.

use std::io::PipeWriter;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Engine, docker, remove_cgroups, run};
use crate::support::{Running, Scratch, Start, deadline, procfs, skip};

/// User of every distribution, other than root, that Docker does not remap.
pub const REMAPPED: &str = "daemon";

/// Engine of a test. It is PID 1 of a namespace that ends with the test, mounts only in there, and
/// has only a loopback network.
pub struct OwnEngine {
    engine: Engine,
    daemon: Running,
    cgroup: String,
    scratch: Scratch,
    /// Closes when this process ends, however it ends, and that ends the engine.
    _alive: PipeWriter,
}

impl OwnEngine {
    /// Starts an engine with this daemon.json and these options. `REMAPPED` has 65536 user IDs in
    /// it. `None`, with a message, if no engine can start.
    pub fn start(settings: &str, options: &[&str]) -> Option<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        if !nix::unistd::geteuid().is_root() || Command::new("dockerd").arg("--version").output().is_err() {
            skip("an engine of the test's own needs root, and dockerd");
            return None;
        }
        let scratch = Scratch::new();
        scratch.file("settings", settings, 0o644);
        scratch.file("ranges", &format!("{REMAPPED}:100000:65536\n"), 0o644);
        let cgroup =
            format!("dumb-init-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        // It needs its own network namespace and /proc: an engine without a bridge removes the
        // machine's docker0. Its state and the sockets of shims are always in /run. It must not
        // read the machine's ranges of user IDs.
        let script = "set -e
            cd \"$0\"
            exec 3<&0 </dev/null
            (read -r line <&3 || kill -TERM 1) &
            exec 3<&-
            for file in subuid subgid; do
                if [ -e /etc/$file ]; then mount --bind ranges /etc/$file; fi
            done
            mount -t tmpfs tmpfs /run
            PATH=$PATH:/usr/sbin:/sbin
            exec unshare --net sh -c 'busybox ip link set lo up && exec dockerd \"$@\"' sh \\
                --config-file settings --data-root \"$0/data\" --exec-root \"$0/exec\" --pidfile \"$0/pid\" \\
                --host \"unix://$0/socket\" --bridge none --iptables=false --storage-driver vfs \"$@\"";
        let start = Start::program("sh").in_namespace().words(["-c", script]).word(scratch.path());
        let start = start.words(["--cgroup-parent", &cgroup]).words(options);
        let (reader, alive) = std::io::pipe().expect("a pipe");
        let mut daemon = start.stdin(OwnedFd::from(reader)).start();
        let host = format!("unix://{}/socket", scratch.path().display());
        let mut engine = Engine { options: vec!["--host".into(), host.into()], proc: PathBuf::new() };
        let mut has_ended = false;
        procfs::ask_until("the engine answers", || {
            has_ended = daemon.has_ended();
            has_ended || engine.docker(&["info"]).is_ok()
        });
        if has_ended {
            let stderr = daemon.stderr();
            let reason = stderr.lines().last().unwrap_or_default();
            skip(&format!("no engine of its own can be started here: {reason}"));
            return None;
        }
        engine.proc = format!("/proc/{}/root/proc", daemon.pid()).into();
        Some(Self { engine, daemon, cgroup, scratch, _alive: alive })
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Gives it an image of the machine's engine.
    pub fn load(&self, image: &str) {
        let file = self.scratch.path().join("image.tar").display().to_string();
        docker(&["save", "--output", &file, image]).expect("docker save");
        self.docker(&["load", "--input", &file]);
    }

    /// The client, for a command.
    pub fn client(&self) -> Command {
        let mut command = Command::new("docker");
        command.args(&self.engine.options);
        command
    }

    /// Runs a client command, and returns its output.
    #[track_caller]
    pub fn docker(&self, words: &[&str]) -> String {
        let output = run(self.client().args(words)).unwrap_or_else(|error| panic!("{error}"));
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    /// Directory of a volume's files.
    pub fn volume(&self, name: &str) -> PathBuf {
        self.scratch.path().join("data/volumes").join(name).join("_data")
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        // The end of its namespace kills the remaining processes.
        if !self.daemon.has_ended() {
            self.daemon.signal(libc::SIGTERM);
            let end = deadline();
            while !self.daemon.has_ended() && std::time::Instant::now() < end {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
        remove_cgroups(&self.cgroup);
    }
}
