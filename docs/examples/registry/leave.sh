#!/bin/sh
# Removes the programs of this container from etcd. It runs before they receive SIGTERM, so that they still serve
# requests from clients that have read the old list.
# Run by the tests of `clusters`.
count=$(etcdctl del --prefix "/services/$(hostname)/") || exit 1
echo "left: $count keys removed on SIG$DUMB_INIT_SIGNAL"
