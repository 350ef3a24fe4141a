#!/usr/bin/env bash
# Workers in network namespaces, as on hosts of their own: they reach each other over TCP alone.
#   namespaces.sh WORKER_PROGRAM equal      four workers end with the weights that one process has
#   namespaces.sh WORKER_PROGRAM tls        the same over encrypted connections
#   namespaces.sh WORKER_PROGRAM rounded    gradients travel as bfloat16: four workers end with equal weights
#   namespaces.sh WORKER_PROGRAM slow       a link on which a step takes longer than the timeout: two workers end with
#                                           the weights that one process has, and nobody warns
#   namespaces.sh WORKER_PROGRAM cut        a link goes down: every worker names a peer and ends
#   namespaces.sh WORKER_PROGRAM one_way    one direction is dropped: the same
#   namespaces.sh WORKER_PROGRAM circle     the chief runs another function than the others: the same
#   namespaces.sh WORKER_PROGRAM dropped    a firewall drops what comes to worker 1 for its tensors' port
#   namespaces.sh WORKER_PROGRAM refused    it refuses that: every worker says who cannot reach whom
#   namespaces.sh WORKER_PROGRAM port_range firewalls let only COHORT_PORT_RANGE through: training goes on
# Exits with 77 where namespaces cannot be made (ctest counts that as skipped).
set -euo pipefail
program=$1 case=$2
id=c$$
count=4
[[ $case != slow ]] || count=2
work=$(mktemp -d)
pids=()

leave() {
  kill -9 "${pids[@]}" 2>/dev/null || true
  for ((i = 0; i < count; ++i)); do ip netns del "$id-$i" 2>/dev/null || true; done
  ip link del "$id-br" 2>/dev/null || true
  rm -rf "$work"
}
trap leave EXIT

skip() {
  echo "skipped: $1"
  exit 77
}
fail() {
  echo "FAILED: $1"
  tail -n 20 "$work"/*.log
  exit 1
}

((EUID == 0)) || skip "not root"
command -v ip >/dev/null || skip "no ip command"
ip link add "$id-br" type bridge 2>/dev/null || skip "no bridges here"
ip link set "$id-br" up
for ((i = 0; i < count; ++i)); do
  ip netns add "$id-$i"
  ip link add "$id-v$i" type veth peer name eth0 netns "$id-$i"
  ip link set "$id-v$i" master "$id-br" up
  ip -n "$id-$i" addr add "10.78.0.$((i + 1))/24" dev eth0
  ip -n "$id-$i" link set lo up
  ip -n "$id-$i" link set eth0 up
done

addresses=$(for ((i = 1; i <= count; ++i)); do printf '"10.78.0.%d:2222",' "$i"; done)
cluster="{\"worker\":[${addresses%,}]}"
start() { # start ARGUMENT...
  for ((i = 0; i < count; ++i)); do
    TF_CONFIG="{\"cluster\":$cluster,\"task\":{\"type\":\"worker\",\"index\":$i}}" \
      ip netns exec "$id-$i" "$program" "$@" >"$work/$i.log" 2>&1 &
    pids+=($!)
  done
}
line() { grep "^$2: " "$work/$1.log" || fail "worker $1 printed no $2"; }

wait_for_steps() { # until every worker has made a step
  for ((i = 0; i < count; ++i)); do
    (
      set +o pipefail # grep leaves tail behind
      timeout 60 tail -n +1 -F --pid="${pids[$i]}" "$work/$i.log" 2>/dev/null |
        grep -q -m 1 "^step: "
    ) || fail "worker $i made no step"
  done
}

# Every worker ends by itself with an error that names a worker, within 20 s of the fault.
expect_errors() {
  for ((i = 0; i < count; ++i)); do
    timeout 20 tail --pid="${pids[$i]}" -f /dev/null || fail "worker $i has not ended"
    code=0
    wait "${pids[$i]}" || code=$?
    ((code == 3)) || fail "worker $i ended with $code; want 3"
    line "$i" error | grep -q "/job:worker/task:" || fail "worker $i names nobody"
    line "$i" error
  done
}

firewall() { # firewall HOST VERDICT PORTS: new connections to other ports than these
  ip netns exec "$id-$1" nft -f - <<<"table inet wall {
    chain in { type filter hook input priority 0; iif lo accept
      tcp dport != { $3 } tcp flags & (syn | ack) == syn $2
    }
  }"
}

make_keys() { # one certificate for all hosts
  command -v openssl >/dev/null || skip "no openssl command"
  (
    cd "$work"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=ca \
      -keyout ca.key -out ca.pem
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=worker \
      -keyout worker.key -out worker.csr
    openssl x509 -req -in worker.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
      -extfile <(echo "subjectAltName=IP:10.78.0.1") -out worker.pem
  ) 2>"$work/openssl.log" || fail "openssl"
  export COHORT_TLS_CERTIFICATE_AUTHORITY=$work/ca.pem
  export COHORT_TLS_CERTIFICATE=$work/worker.pem COHORT_TLS_PRIVATE_KEY=$work/worker.key
}

same_weights_as_one_process() { # SCENARIO
  for ((i = 0; i < count; ++i)); do wait "${pids[$i]}" || fail "worker $i ended with $?"; done
  "$program" "$1" "$count" >"$work/one.log" 2>&1
  for ((i = 0; i < count; ++i)); do
    [[ $(line $i weights) == "$(line one weights)" ]] || fail "worker $i has other weights"
    [[ $(line $i loss) == "$(line one loss)" ]] || fail "worker $i has another loss"
  done
}

case $case in
  equal | tls)
    [[ $case == equal ]] || make_keys
    start fit 1
    same_weights_as_one_process fit
    ;;
  slow)
    for ((i = 0; i < count; ++i)); do
      ip netns exec "$id-$i" tc qdisc add dev eth0 root tbf rate 5mbit burst 64kb latency 200ms \
        2>/dev/null || skip "no tc command"
    done
    start large 1
    same_weights_as_one_process large
    ! grep -h "^warning" "$work"/[01].log || fail "a healthy worker warns"
    ;;
  rounded)
    start rounded 1
    for ((i = 0; i < count; ++i)); do wait "${pids[$i]}" || fail "worker $i ended with $?"; done
    "$program" fit 4 >"$work/one.log" 2>&1
    for ((i = 0; i < count; ++i)); do
      [[ $(line $i weights) == "$(line 0 weights)" ]] || fail "worker $i has other weights than worker 0"
    done
    [[ $(line 0 weights) != "$(line one weights)" ]] || fail "nothing was rounded"
    ;;
  cut)
    start endless 1
    wait_for_steps
    ip link set "$id-v2" down
    expect_errors
    ;;
  one_way)
    ip netns exec "$id-1" nft list tables >/dev/null 2>&1 || skip "no nft command"
    start endless 1
    wait_for_steps
    ip netns exec "$id-1" nft -f - <<<'table inet chaos {
      chain in { type filter hook input priority 0; ip saddr 10.78.0.3 drop; }
    }'
    expect_errors
    ;;
  circle)
    start other_function 1
    expect_errors
    ;;
  dropped | refused)
    ip netns exec "$id-1" nft list tables >/dev/null 2>&1 || skip "no nft command"
    verdict=drop
    [[ $case == dropped ]] || verdict="reject with tcp reset"
    firewall 1 "$verdict" 2222
    start unreachable 1
    for ((i = 0; i < count; ++i)); do
      timeout 60 tail --pid="${pids[$i]}" -f /dev/null || fail "worker $i has not ended"
    done
    expect_errors
    for ((i = 0; i < count; ++i)); do
      line $i error | grep -Eq "rank [23] .*could not reach rank 1 .* at 10.78.0.2:[0-9]+" ||
        fail "worker $i does not say who cannot reach whom"
    done
    grep -q "waits .* for rank 1 .* at 10.78.0.2:[0-9]* .*which it cannot reach" "$work/3.log" ||
      fail "worker 3 did not report"
    grep -q "waits .* for rank 2 .*which has not connected to 10.78.0.2:[0-9]*" "$work/1.log" ||
      fail "worker 1 did not report"
    ;;
  port_range)
    ip netns exec "$id-1" nft list tables >/dev/null 2>&1 || skip "no nft command"
    for ((i = 0; i < count; ++i)); do firewall $i drop "2222, 7000-7001"; done
    export COHORT_PORT_RANGE=7000-7001
    start fit 1
    for ((i = 0; i < count; ++i)); do wait "${pids[$i]}" || fail "worker $i ended with $?"; done
    ;;
esac
echo "passed"
