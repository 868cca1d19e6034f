#!/bin/sh
# Three programs, launched the way start scripts launch them: in the background, and nobody passes a signal on to them. After
# SIGTERM each of them takes a while to sign off.
# Run by the tests of `clusters`.

# A cluster throws a container's log away with the container. What is said is kept where a volume is mounted at /told.
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
