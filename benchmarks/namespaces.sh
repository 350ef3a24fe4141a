# Network namespaces as hosts of their own; to be sourced by bash, as root.
#   make_hosts COUNT [RATE [BURST]]   the hosts $hosts-0 … at 10.79.0.1 …; RATE shapes what each sends
#                             ("100mbit"), but for BURST bytes after a rest. A burst below 65 KB costs a
#                             processor: the shaper then takes every large packet apart.
#   on_host I COMMAND...      runs it there, at COHORT_BENCH_NICE where that is set
#   drop_hosts                takes them away
# COHORT_BENCH_CONGESTION: their congestion control (reno; protocol.md says why).
hosts=w$((RANDOM % 10000))
host_count=0

make_hosts() {
  local count=$1 rate=${2:-} burst=${3:-65536} i
  host_count=$count
  if ((count == 2)); then # one link, no bridge between
    for i in 0 1; do ip netns add "$hosts-$i"; done
    ip link add eth0 netns "$hosts-0" type veth peer name eth0 netns "$hosts-1"
  else
    ip link add "$hosts-br" type bridge
    ip link set "$hosts-br" up
    for ((i = 0; i < count; ++i)); do
      ip netns add "$hosts-$i"
      ip link add "$hosts-v$i" type veth peer name eth0 netns "$hosts-$i"
      ip link set "$hosts-v$i" master "$hosts-br" up
    done
  fi
  for ((i = 0; i < count; ++i)); do
    ip netns exec "$hosts-$i" \
      sysctl -qw "net.ipv4.tcp_congestion_control=${COHORT_BENCH_CONGESTION:-reno}"
    ip -n "$hosts-$i" addr add "10.79.0.$((i + 1))/24" dev eth0
    ip -n "$hosts-$i" link set lo up
    ip -n "$hosts-$i" link set eth0 up
    if [ -n "$rate" ]; then
      ip netns exec "$hosts-$i" tc qdisc add dev eth0 root tbf rate "$rate" burst "$burst" latency 50ms
    fi
  done
}

drop_hosts() { # also after make_hosts has failed midway: some are not there
  local i
  for ((i = 0; i < host_count; ++i)); do ip netns del "$hosts-$i" 2>/dev/null || true; done
  ip link del "$hosts-br" 2>/dev/null || true
  host_count=0
}

# Against other work the scheduler weighs sessions, then tasks in them. A kernel may have no weights of
# sessions; then the task's has to do.
on_host() {
  local host="$hosts-$1" nice=${COHORT_BENCH_NICE:-0}
  shift
  setsid --wait ip netns exec "$host" bash -c \
    'n=$1; shift; if ((n)); then renice -n "$n" $$ >/dev/null; echo "$n" > /proc/$$/autogroup || true; fi; exec "$@"' \
    - "$nice" "$@"
}
