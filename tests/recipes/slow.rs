//! Large programs: `cargo test --test suite -- --ignored recipes`.

use std::path::Path;
use std::process::Command;

use super::{Place, free_port, recipe};
use crate::services::installed;
use crate::support::{Start, procfs, skip};

const JAVA: &str = r#"public class App {
    public static void main(String[] words) throws Exception {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("hook has run")));
        System.out.println("ready");
        Thread.sleep(3600_000);
    }
}
"#;

#[test]
#[ignore = "needs a JDK; run by ci/everywhere"]
fn java_exits_with_0_after_sigterm_only() {
    let (Some(_), Some(_)) = (recipe("Java"), installed("javac")) else { return };
    let place = Place::new();
    let file = place.file("App.java", JAVA);
    assert!(Command::new("javac").arg(file).status().is_ok_and(|status| status.success()));
    // A SIGTERM that the init has not forwarded is no request.
    for (is_asked, code) in [(true, 0), (false, 143)] {
        let running = place.start(recipe("Java").expect("an init"), ["java", "-cp", ".", "App"]);
        running.wait_for_line("ready");
        let receiver = if is_asked { running.pid() } else { running.command_pid() };
        crate::support::send(receiver, libc::SIGTERM);
        running.outcome().expect_code(code).expect_stdout("ready\nhook has run\n");
    }
}

#[test]
#[ignore = "needs RabbitMQ; run by ci/everywhere"]
fn rabbitmq_stops_its_applications() {
    // The script in PATH changes to the user rabbitmq.
    let server = Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server");
    let Some(init) = recipe("RabbitMQ").filter(|_| server.exists() || skip("RabbitMQ is not installed"))
    else {
        return;
    };
    let place = Place::new();
    let home = place.path(".");
    let init = ["MNESIA_BASE", "LOG_BASE", "SCHEMA_DIR", "GENERATED_CONFIG_DIR"]
        .iter()
        .fold(init, |init, name| init.variable(format!("RABBITMQ_{name}"), &home));
    let init = init
        .variable("RABBITMQ_NODENAME", format!("test{}@localhost", std::process::id()))
        .variable("RABBITMQ_ENABLED_PLUGINS_FILE", place.file("plugins", "[]."))
        .variable("RABBITMQ_CONFIG_FILE", place.file("rabbitmq.conf", "listeners.tcp = none\n"))
        .variable("RABBITMQ_PID_FILE", place.path("pid"))
        .variable("RABBITMQ_DIST_PORT", free_port().to_string())
        .variable("ERL_EPMD_PORT", free_port().to_string())
        .variable("RABBITMQ_LOGS", "-");
    let running = place.start(init, [place.script(&server.display().to_string())]);
    running.wait_for_stdout("readiness", |text| text.contains("Server startup complete"));
    running.signal(libc::SIGTERM);
    let outcome = running.outcome();
    let text = outcome.stdout();
    assert!(text.contains("SIGTERM received - shutting down"), "{outcome}");
    assert!(text.contains("msg_store_persistent' is stopped"), "{outcome}");
}

const WORKER: &str = r##"require "sidekiq"
Sidekiq.configure_server { |config| config.redis = { url: "unix://HERE/socket" } }
class Work
  include Sidekiq::Worker
  def perform(name)
    puts "#{name} begun"
    $stdout.flush
    sleep 2
    puts "#{name} finished"
    $stdout.flush
  end
end
"##;

#[test]
#[ignore = "needs Sidekiq and Redis; run by ci/everywhere"]
fn sidekiq_is_quiet_before_it_is_stopped() {
    let (Some(init), Some(_), Some(_)) = (recipe("Sidekiq"), installed("sidekiq"), installed("redis-server"))
    else {
        return;
    };
    let place = Place::new();
    place.file("work.rb", WORKER);
    let redis = place.text("redis-server --port 0 --unixsocket HERE/socket");
    let redis =
        Start::program("sh").directory(&place.path(".")).words(["-c", &format!("exec {redis}")]).start();
    redis.wait_for_stdout("readiness", |text| text.contains("ready to accept connections"));
    let push = |name: &str| {
        let text = place.text(&format!(
            "require 'sidekiq'; Sidekiq.configure_client {{ |c| c.redis = {{ url: 'unix://HERE/socket' }} }};
             Sidekiq::Client.push('class' => 'Work', 'args' => ['{name}'])"
        ));
        let output = Command::new("ruby").args(["-e", &text]).output().expect("ruby");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    push("first");
    let running = place.start(init, ["sidekiq", "-c", "1", "-r", "./work.rb"]);
    running.wait_for_line("first begun");
    running.signal(libc::SIGTERM);
    running.wait_for_stdout("TSTP", |text| text.contains("Received TSTP"));
    push("second");
    let outcome = running.outcome();
    let text = outcome.stdout();
    let place_of = |part: &str| text.find(part).unwrap_or_else(|| panic!("no {part:?}\n{outcome}"));
    assert!(place_of("no longer accepting new work") < place_of("first finished"), "{outcome}");
    assert!(place_of("first finished") < place_of("Shutting down"), "{outcome}");
    assert!(!text.contains("second begun"), "{outcome}");
    outcome.expect_code(0);
}

/// The browser is killed, as puppeteer does after a timeout. Its children become the init's.
#[test]
#[ignore = "needs Chromium; run by ci/everywhere"]
fn killed_chromium_leaves_no_zombie() {
    let (Some(init), Some(_)) = (recipe("Chrome, Puppeteer"), installed("chromium")) else { return };
    let place = Place::new();
    let text = "chromium --headless --no-sandbox --disable-gpu --user-data-dir=HERE/profile \
                --remote-debugging-port=0 about:blank & browser=$!; read -r line; kill -KILL $browser; wait; \
                echo killed; exec sleep 3600";
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let init = init.stdin(std::os::fd::OwnedFd::from(reader));
    let running = place.start(init, ["sh", "-c", &place.text(text)]);
    running.wait_for_debug_line("DevTools listening on");
    procfs::wait_until("the browser has children", || running.descendants().len() > 5);
    std::io::Write::write_all(&mut writer, b"\n").expect("the pipe");
    running.wait_for_line("killed");
    // unshare, the init and sleep.
    procfs::wait_until("all are gone", || {
        running.descendants().len() == 3 && procfs::zombies(running.pid()) == 0
    });
    running.signal(libc::SIGTERM);
    running.outcome().expect_code(143);
}
