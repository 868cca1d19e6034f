#!/bin/sh
# A program that registers itself in etcd, and needs a second after SIGTERM to finish.
# Run by the tests of `clusters`.
trap 'echo "$1 got SIGTERM"; sleep 1; echo "$1 finished"; exit 0' TERM
etcdctl put "/services/$(hostname)/$1" ready >/dev/null || exit 1
echo "$1 registered"
while :; do
    sleep 3600 &
    wait "$!"
done
