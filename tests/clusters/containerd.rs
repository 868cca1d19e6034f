//! docs/examples/kubernetes, by containerd's CRI, as a kubelet calls it.
//!
//! The containerd is the test's own. curl(1) speaks gRPC to its socket: HTTP/2, and a message with five
//! bytes before it. The messages are those of Kubernetes' cri-api, `runtime/v1/api.proto`.

use std::io::PipeWriter;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::{are_ready, example, expect_all_three, image, times};
use crate::support::{Running, Scratch, Start, docker, procfs, skip};

/// A containerd that ends with the test. It is PID 1 of a namespace, and mounts only in there.
struct Containerd {
    daemon: Running,
    scratch: Scratch,
    cgroup: String,
    /// Closes when this process ends, however it ends, and that ends containerd.
    _alive: PipeWriter,
}

/// Field of a message with bytes: a text, or a message.
fn field(number: u8, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    [vec![number << 3 | 2], varint(content.len() as u64), content.to_vec()].concat()
}

/// Field of a message with a number.
fn number(number: u8, value: u64) -> Vec<u8> {
    [vec![number << 3], varint(value)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        bytes.push(if value > 0 { low | 0x80 } else { low });
        if value == 0 {
            return bytes;
        }
    }
}

/// How the containers of a pod share PIDs (`NamespaceMode`).
#[derive(Clone, Copy)]
enum Pids {
    Pod = 0,
    Container = 1,
}

impl Containerd {
    /// A containerd with the image, and a pause image that runs the init. `None`, with a message, if
    /// none can start.
    fn with(image: &str) -> Option<Self> {
        let has = |program: &str, option: &str| Command::new(program).arg(option).output().is_ok();
        let are_there = has("containerd", "--version") && has("ctr", "--version") && has("curl", "--version");
        if !nix::unistd::geteuid().is_root() || !are_there {
            skip("containerd, ctr and curl are not installed, or the tests don't run as root");
            return None;
        }
        let scratch = Scratch::new();
        let own = scratch.path().display().to_string();
        let pause = docker::derived(image, "pause", "ENTRYPOINT [\"/usr/bin/dumb-init\", \"-P\"]\nCMD []");
        // The native snapshotter works on every file system.
        let configuration = format!(
            "version = 2\nroot = \"{own}/root\"\nstate = \"{own}/state\"\n\
             disabled_plugins = [\"io.containerd.internal.v1.opt\"]\n\
             [grpc]\naddress = \"{own}/socket\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"docker.io/library/{pause}\"\n\
             restrict_oom_score_adj = true\ndisable_apparmor = true\n\
             [plugins.\"io.containerd.grpc.v1.cri\".containerd]\nsnapshotter = \"native\"\n"
        );
        scratch.file("config.toml", &configuration, 0o644);
        // Shims keep their sockets in /run.
        let script = "set -e
            cd \"$0\"
            exec 3<&0 </dev/null
            (read -r line <&3 || kill -KILL 1) &
            exec 3<&-
            mount -t tmpfs tmpfs /run
            exec unshare --net sh -c 'busybox ip link set lo up && exec containerd --config config.toml'";
        let (reader, alive) = std::io::pipe().expect("a pipe");
        let start = Start::program("sh").in_namespace().words(["-c", script]).word(scratch.path());
        let daemon = start.stdin(OwnedFd::from(reader)).start();
        let cgroup = format!("dumb-init-test-{}-containerd", std::process::id());
        let mut containerd = Self { daemon, scratch, cgroup, _alive: alive };
        let mut has_ended = false;
        procfs::ask_until("containerd answers", || {
            has_ended = containerd.daemon.has_ended();
            has_ended || docker::run(&mut containerd.ctr(&["version"])).is_ok()
        });
        if has_ended {
            let stderr = containerd.daemon.stderr();
            skip(&format!(
                "no containerd can be started here: {}",
                stderr.lines().last().unwrap_or_default()
            ));
            return None;
        }
        let tar = format!("{own}/images.tar");
        docker::docker(&["save", "--output", &tar, image, &pause]).expect("docker save");
        let import = ["--namespace", "k8s.io", "images", "import", "--snapshotter", "native", &tar];
        docker::run(&mut containerd.ctr(&import)).expect("ctr images import");
        Some(containerd)
    }

    fn ctr(&self, words: &[&str]) -> Command {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(self.path("socket")).args(words);
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Calls a method, and returns the first field of the answer, an ID.
    #[track_caller]
    fn call(&self, method: &str, message: &[u8]) -> String {
        let length = u32::try_from(message.len()).expect("a length").to_be_bytes();
        std::fs::write(self.path("request"), [&[0], &length[..], message].concat()).expect("a request");
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--http2-prior-knowledge", "--output", "answer"]);
        curl.args(["--header", "content-type: application/grpc", "--header", "te: trailers"]);
        curl.args(["--unix-socket", "socket", "--data-binary", "@request", "--dump-header", "headers"]);
        curl.arg(format!("http://localhost/runtime.v1.RuntimeService/{method}"));
        docker::run(curl.current_dir(self.scratch.path())).expect(method);
        let headers = std::fs::read_to_string(self.path("headers")).expect("headers");
        assert!(headers.contains("grpc-status: 0"), "{method}: {headers}\n{}", self.daemon);
        let answer = std::fs::read(self.path("answer")).expect("an answer");
        let id = answer.get(7..).unwrap_or_default();
        let length = answer.get(6).map_or(0, |&length| usize::from(length));
        String::from_utf8_lossy(&id[..length.min(id.len())]).into_owned()
    }

    /// Runs the first container of a file's pod, and returns the IDs of both.
    fn run(&self, file: &str, image: &str) -> (String, String) {
        let pids = match line(file, "shareProcessNamespace: ").as_deref() {
            Some("true") => Pids::Pod,
            _ => Pids::Container,
        };
        // Without the host's network, a CNI plugin would be needed.
        let network_of_the_node = number(1, 2);
        let namespaces = [network_of_the_node, number(2, pids as u64)].concat();
        let metadata = [field(1, "app"), field(2, "uid"), field(3, "default")].concat();
        let linux = [field(1, &self.cgroup), field(2, field(1, &namespaces))].concat();
        let logs = self.path("logs").display().to_string();
        let pod = [field(1, metadata), field(3, logs), field(8, linux)].concat();
        let pod_id = self.call("RunPodSandbox", &field(1, &pod));
        let words = |name: &str, number: u8| -> Vec<u8> {
            let words = line(file, name).expect(name);
            words
                .trim_matches(['[', ']'])
                .split(", ")
                .flat_map(|word| field(number, word.trim_matches('"')))
                .collect()
        };
        let container = [
            field(1, field(1, "main")),
            field(2, field(1, image)),
            words("command: ", 3),
            words("args: ", 4),
            field(11, "log"),
            field(15, field(2, field(3, &namespaces))),
        ];
        let request = [field(1, &pod_id), field(2, container.concat()), field(3, pod)].concat();
        let id = self.call("CreateContainer", &request);
        self.call("StartContainer", &field(1, &id));
        procfs::wait_until("all three are ready", || are_ready(&self.log()));
        (pod_id, id)
    }

    /// Stops a container with a grace period, as a kubelet does, and then its pod.
    fn stop(&self, (pod, container): (String, String), seconds: u64) -> (String, Duration) {
        let begin = Instant::now();
        self.call("StopContainer", &[field(1, container), number(2, seconds)].concat());
        let took = begin.elapsed();
        self.call("StopPodSandbox", &field(1, &pod));
        let log = self.log();
        self.call("RemovePodSandbox", &field(1, &pod));
        std::fs::remove_file(self.path("logs/log")).expect("the log");
        (log, took)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("logs/log")).unwrap_or_default()
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        // The end of its namespace kills the remaining processes.
        if !self.daemon.has_ended() {
            self.daemon.signal(libc::SIGKILL);
            self.daemon.wait();
        }
        docker::remove_cgroups(&self.cgroup);
    }
}

/// Rest of the first line of an example that begins so.
fn line(file: &str, start: &str) -> Option<String> {
    let text = std::fs::read_to_string(example(file)).expect("a file");
    text.lines().find_map(|line| line.trim().strip_prefix(start).map(str::to_owned))
}

#[test]
fn container_stopped_by_cri_finishes_in_its_grace_period() {
    let Some(image) = image() else { return };
    let Some(containerd) = Containerd::with(image) else { return };
    for file in ["kubernetes/pod.yaml", "kubernetes/shared-pids.yaml"] {
        let grace = line(file, "terminationGracePeriodSeconds: ").expect("a number");
        let grace = grace.parse().expect("a number");
        let (log, took) = containerd.stop(containerd.run(file, image), grace);
        expect_all_three(&log);
        assert!(took < Duration::from_secs(grace), "{took:?}");
    }
    // The file's delay is 2 s.
    let (log, _) = containerd.stop(containerd.run("kubernetes/pod.yaml", image), 1);
    assert_eq!(times(&log, "got SIGTERM"), [0; 3], "{log}");
}
