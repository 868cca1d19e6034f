//! Web servers, which are stopped while they serve a slow request.

use std::net::TcpStream;
use std::path::{Path, PathBuf};

use super::{
    Place, free_port, program, python_program, recipe, request, request_to_socket, stop_during,
    without_settings,
};
use crate::support::{Order, Outcome, Report, Start, count_lines, is_root, procfs, skip, with_probe};

/// Answers after two seconds, by WSGI and by ASGI.
const APP: &str = r#"import asyncio, os, time

def say(line):
    os.write(1, (line + "\n").encode())

def wsgi(environ, start_response):
    say("request begun")
    time.sleep(2)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"complete\n"]

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = (await receive())["type"]
            await send({"type": event + ".complete"})
            if event == "lifespan.shutdown":
                say("clean-up")
                return
    say("request begun")
    await asyncio.sleep(2)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"complete\n"})
"#;

fn stop_python(init: Start, command: &str, ready: &str) -> (String, Outcome) {
    let place = Place::new();
    place.file("app.py", APP);
    let init = init.variable("PYTHONPATH", place.path("."));
    let running = place.start(init, [place.script(command)]);
    procfs::wait_until("both workers run", || running.stderr().matches(ready).count() == 2);
    let reply = request_to_socket(place.path("socket"));
    running.wait_for_line("request begun");
    stop_during(reply, running, libc::SIGTERM)
}

#[test]
fn gunicorn_answers_before_it_exits() {
    let (Some(init), Some(gunicorn)) = (recipe("gunicorn"), python_program("gunicorn")) else { return };
    let command = format!("{} --workers 2 --bind unix:HERE/socket app:wsgi", gunicorn.display());
    let (reply, outcome) = stop_python(init, &command, "Booting worker");
    assert!(reply.ends_with("complete\n"), "{reply}\n{outcome}");
    assert!(outcome.stderr().contains("Shutting down: Master"), "{outcome}");
    let (reply, outcome) = stop_python(without_settings().expect("an init"), &command, "Booting worker");
    assert!(!reply.contains("complete"), "{reply}\n{outcome}");
}

#[test]
fn uvicorn_answers_and_cleans_up_before_it_exits() {
    let (Some(init), Some(uvicorn)) = (recipe("uvicorn"), python_program("uvicorn")) else { return };
    let command = format!("{} --workers 2 --uds HERE/socket app:asgi", uvicorn.display());
    let (reply, outcome) = stop_python(init, &command, "startup complete");
    assert!(reply.ends_with("complete\n"), "{reply}\n{outcome}");
    assert_eq!(count_lines(&outcome.stdout(), "clean-up"), 2, "{outcome}");
    assert!(outcome.stderr().contains("Stopping parent process"), "{outcome}");
    let (reply, outcome) = stop_python(without_settings().expect("an init"), &command, "startup complete");
    assert!(!reply.contains("complete"), "{reply}\n{outcome}");
}

const NGINX: &str = "daemon off; error_log stderr notice; pid HERE/nginx.pid; worker_processes 1; user root;
events { worker_connections 16; }
http {
  access_log off;
  client_body_temp_path HERE/body; proxy_temp_path HERE/proxy; fastcgi_temp_path HERE/fastcgi;
  uwsgi_temp_path HERE/uwsgi; scgi_temp_path HERE/scgi;
  server {
    listen unix:HERE/socket;
    location / {
      fastcgi_pass unix:HERE/fpm;
      fastcgi_param SCRIPT_FILENAME HERE/slow.php;
      fastcgi_param REQUEST_METHOD GET;
    }
  }
}
";

const FPM: &str = "[global]
daemonize = no
error_log = /dev/stderr
process_control_timeout = 10s
[www]
user = root
listen = HERE/fpm
pm = static
pm.max_children = 1
";

/// Announces itself by a file, and answers after two seconds.
const PHP: &str = r#"<?php
touch("HERE/begun");
$end = microtime(true) + 2;
while (microtime(true) < $end) { usleep(50000); }
echo "complete\n";
"#;

fn php_fpm() -> Option<PathBuf> {
    let version = |path: &Path| path.file_name()?.to_str()?.strip_prefix("php-fpm8.")?.parse::<u8>().ok();
    let files = std::fs::read_dir("/usr/sbin").into_iter().flatten().flatten().map(|entry| entry.path());
    let found = files.filter(|path| version(path).is_some()).max_by_key(|path| version(path));
    if found.is_none() {
        skip("php-fpm is not installed (Debian's php8.2-fpm)");
    }
    found
}

/// Starts php-fpm as a helper of nginx, or both by a script.
fn stop_nginx(init: Start, php_fpm: &Path, by_script: bool) -> (String, Outcome) {
    let place = Place::new();
    place.file("nginx.conf", NGINX);
    place.file("fpm.conf", FPM);
    place.file("slow.php", PHP);
    let fpm = place.text(&format!("{} -R -y HERE/fpm.conf", php_fpm.display()));
    let nginx = place.text("nginx -e stderr -p HERE -c HERE/nginx.conf");
    let running = if by_script {
        place.start(init, [place.script(&format!("{fpm} &\n{nginx}"))])
    } else {
        place.start(init.variable("DUMB_INIT_WITH", fpm), nginx.split(' '))
    };
    running.wait_for_debug_line("ready to handle connections");
    let reply = request_to_socket(place.path("socket"));
    procfs::wait_until("the request has begun", || place.path("begun").exists());
    stop_during(reply, running, libc::SIGTERM)
}

#[test]
fn nginx_and_php_fpm_answer_before_they_exit() {
    let (Some(_), Some(_), Some(fpm)) =
        (recipe("nginx, nginx with php-fpm").filter(|_| is_root()), program("nginx"), php_fpm())
    else {
        return;
    };
    for by_script in [false, true] {
        let init = recipe("nginx, nginx with php-fpm").expect("an init");
        let (reply, outcome) = stop_nginx(init, &fpm, by_script);
        assert!(reply.ends_with("complete\n"), "{reply}\n{outcome}");
        let text = outcome.stderr();
        assert!(text.contains("gracefully shutting down") && text.contains("bye-bye"), "{outcome}");
        // By SIGTERM, nginx closes its connections.
        let init = without_settings().expect("an init").variable("DUMB_INIT_DRAIN", "10s");
        let (reply, outcome) = stop_nginx(init, &fpm, by_script);
        assert!(!reply.contains("complete"), "{reply}\n{outcome}");
    }
}

const APACHE: &str = "ServerName localhost
ServerRoot HERE
PidFile HERE/pid
DefaultRuntimeDir HERE
Listen 127.0.0.1:PORT
ErrorLog /dev/stderr
LogLevel notice
LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so
LoadModule cgi_module /usr/lib/apache2/modules/mod_cgi.so
StartServers 1
ScriptAlias /slow HERE/slow
User www-data
Group www-data
";

const CGI: &str = "#!/bin/sh
echo request begun >&2
sleep 2
printf 'Content-Type: text/plain\\r\\n\\r\\ncomplete\\n'
";

/// A helper that ignores SIGWINCH, as most programs do.
fn helper() -> String {
    with_probe(format!("probe {}", Order::Work("helper", 300)))
}

/// Starts apache, and a helper before it if it is started by a script.
fn stop_apache(init: Start, by_script: bool, signal: i32) -> (String, Outcome) {
    let place = Place::new();
    let port = free_port();
    place.file("apache.conf", &APACHE.replace("PORT", &port.to_string()));
    place.0.file("slow", CGI, 0o755);
    let apache = place.text("apache2 -D FOREGROUND -f HERE/apache.conf");
    let running = if by_script {
        place.start(init, [place.script(&format!("{} &\n{apache}", helper()))])
    } else {
        place.start(init, apache.split(' '))
    };
    let reply = request(move || TcpStream::connect(("127.0.0.1", port)));
    running.wait_for_debug_line("request begun");
    stop_during(reply, running, signal)
}

#[test]
fn apache_answers_before_it_exits() {
    let (Some(init), Some(_)) = (recipe("Apache httpd").filter(|_| is_root()), program("apache2")) else {
        return;
    };
    let (reply, outcome) = stop_apache(init, false, libc::SIGTERM);
    assert!(reply.ends_with("complete\n"), "{reply}\n{outcome}");
    assert!(outcome.stderr().contains("caught SIGWINCH, shutting down gracefully"), "{outcome}");
    let (reply, outcome) = stop_apache(without_settings().expect("an init"), false, libc::SIGTERM);
    assert!(!reply.contains("complete"), "{reply}\n{outcome}");
}

/// The stop signal of the images on php:apache. At its exit, Apache sends SIGTERM to its own process group. In
/// a script, this includes the helper, to which the drain sends another one.
#[test]
fn sigwinch_stops_apache_and_the_drain_its_helper() {
    const PROGRAM: &str = "Nextcloud, other images on php:apache";
    let (Some(_), Some(_)) = (recipe(PROGRAM).filter(|_| is_root()), program("apache2")) else { return };
    for by_script in [false, true] {
        let init = recipe(PROGRAM).expect("an init");
        let init = if by_script { init } else { init.variable("DUMB_INIT_WITH", helper()) };
        let (reply, outcome) = stop_apache(init, by_script, libc::SIGWINCH);
        assert!(reply.ends_with("complete\n"), "{reply}\n{outcome}");
        assert!(outcome.stderr().contains("caught SIGWINCH, shutting down gracefully"), "{outcome}");
        let times = |report: Report| count_lines(&outcome.stdout(), &report.by("helper"));
        assert_eq!([Report::Ready, Report::Got(28), Report::Finished].map(times), [1; 3], "{outcome}");
        let terms = times(Report::Got(15));
        assert!(terms == 1 || by_script && terms == 2, "{outcome}");
    }
    // The init exits with the script.
    let (_, outcome) = stop_apache(without_settings().expect("an init"), true, libc::SIGWINCH);
    assert_eq!(count_lines(&outcome.stdout(), &Report::Finished.by("helper")), 0, "{outcome}");
}
