#!/bin/sh
# Takes ssh's place: "runs on a host" by running here, in a session of its own as sshd does.
# fake_ssh.sh HOST COMMAND
FAKE_HOST=$1
export FAKE_HOST
exec setsid -w sh -c "$2"
