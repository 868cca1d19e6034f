#!/bin/sh
# A multi-process start script: three programs in the background, and no process forwards signals to them. Each needs a while
# after SIGTERM to finish.
# Run by the tests of `clusters`.

# A cluster deletes a container's log with the container. A volume at /told keeps the output.
container=$(hostname)
say() {
    echo "$*"
    if [ -d /told ]; then echo "$*" >>"/told/$container"; fi
}

program() {
    trap 'say "$1 got SIGTERM"; sleep "$2"; say "$1 finished"; exit 0' TERM
    sleep 3600 &
    say "$1 ready"
    while wait "$!"; do sleep 3600 & done
}

program crond 0.5 &
program worker 0.8 &
program service 1.5 &
wait
