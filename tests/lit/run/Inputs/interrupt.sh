#!/bin/sh
# interrupt.sh LUTRUN MODEL PIDFILE MODELS TMPDIR: ends lutrun while its compiler, which writes its
# own number into PIDFILE and then waits, is at work. Fails where that is still there afterwards.
LUTRA_MODELS=$4 TMPDIR=$5 "$1" "$2" --prompt b &
tries=0
while [ ! -e "$3" ] && [ $tries -lt 200 ]; do sleep 0.05; tries=$((tries + 1)); done
kill -TERM $!
wait $!
tries=0
while kill -0 "$(cat "$3")" 2>/dev/null && [ $tries -lt 40 ]; do sleep 0.05; tries=$((tries + 1)); done
! kill -0 "$(cat "$3")" 2>/dev/null
