#!/bin/sh
# Runs a command in a private network world: tests/guest/netns.sh COMMAND [ARGUMENT...]
#
#   the command's namespace                         "the outside", a namespace of its own
#   198.51.100.1, 2001:db8:1::1   ---- veth ----    198.51.100.7, 2001:db8:1::7
#   default routes to the outside                   HTTP on port 80 (a page), DNS on 53 (example.test), echo on 7
#
# Nothing leaves the machine: there is no other interface, and /etc/resolv.conf names the outside. Both namespaces, the
# mounts and every process in them end with the command, because they live in a PID namespace whose first process is
# this script. Nothing has a name that could be left behind or clash, so worlds may run side by side and inside others.
#
# Root needs no more than `unshare`; an ordinary user becomes root of a user namespace. Status 125: no world could be
# made here. The command finds VMNET_TEST_OUTSIDE, VMNET_TEST_OUTSIDE6, VMNET_TEST_OUTSIDE_NAME, VMNET_TEST_OUTSIDE_PAGE
# and VMNET_TEST_OUTSIDE_PID, by which `nsenter -t "$VMNET_TEST_OUTSIDE_PID" -n` starts more servers out there.
set -eu

here=$(cd "$(dirname "$0")" && pwd)

give_up() {
  echo "Cannot make a private network: $*" >&2
  exit 125
}

if [ "${VMNET_NETNS_STAGE:-}" != inside ]; then
  [ $# -gt 0 ] || give_up "no command given"
  for tool in unshare ip mount busybox node; do
    PATH=$PATH:/usr/sbin:/sbin command -v "$tool" >/dev/null || give_up "$tool is not installed"
  done
  user=
  if ! unshare -n true 2>/dev/null; then
    user=-Ur
    unshare -Urn true 2>/dev/null || give_up "neither root nor a user namespace is to be had"
  fi
  # shellcheck disable=SC2086
  VMNET_NETNS_STAGE=inside exec unshare $user -nmpf --mount-proc --kill-child=KILL -- "$0" "$@"
fi

# From here on this is process 1 of the world.
unset VMNET_NETNS_STAGE
export PATH="$PATH:/usr/sbin:/sbin"
export VMNET_TEST_OUTSIDE=198.51.100.7
export VMNET_TEST_OUTSIDE6=2001:db8:1::7
export VMNET_TEST_OUTSIDE_NAME=example.test
export VMNET_TEST_OUTSIDE_PAGE="hello from outside"

namespace_of() { readlink "/proc/$1/ns/net" 2>/dev/null || true; }

# Waits for up to ten seconds until a command succeeds.
await() {
  tries=0
  until "$@"; do
    tries=$((tries + 1))
    [ $tries -lt 1000 ] || return 1
    sleep 0.01
  done
}

unshare -n node "$here/outside.mjs" &
outside=$!
export VMNET_TEST_OUTSIDE_PID=$outside
elsewhere() { [ -n "$(namespace_of $outside)" ] && [ "$(namespace_of $outside)" != "$(namespace_of self)" ]; }
await elsewhere || give_up "the outside did not start"

ip link set lo up
ip link add up0 type veth peer name down0 netns $outside || give_up "this kernel has no veth"
ip addr add 198.51.100.1/24 dev up0
ip link set up0 up
# Without IPv6 in the kernel the rest still works.
if [ -e /proc/net/if_inet6 ]; then
  ip addr add 2001:db8:1::1/64 dev up0 nodad
fi
nsenter -t $outside -n sh -c '
  ip link set lo up
  ip addr add 198.51.100.7/24 dev down0
  ip link set down0 up
  [ ! -e /proc/net/if_inet6 ] || ip addr add 2001:db8:1::7/64 dev down0 nodad'
ip route add default via 198.51.100.7
[ ! -e /proc/net/if_inet6 ] || ip -6 route add default via 2001:db8:1::7 || true
# Whoever is root here may send ICMP echo without raw sockets, as desktop systems allow it.
echo "0 0" >/proc/sys/net/ipv4/ping_group_range 2>/dev/null || true

# Our files live in a tmpfs over a directory that nobody needs here: it ends with the mount namespace, even when that is
# killed. A resolv.conf that is a link is mounted over where it leads.
files=
for place in /srv /media /mnt; do
  case "$here/ $PWD/" in *"$place/"*) continue ;; esac
  [ -d "$place" ] && files=$place && break
done
[ -n "$files" ] || give_up "none of /srv, /media, /mnt can be mounted over"
mount -t tmpfs -o mode=755 files "$files"
printf 'nameserver %s\nnameserver %s\n' "$VMNET_TEST_OUTSIDE" "$VMNET_TEST_OUTSIDE6" >"$files/resolv.conf"
mount --bind "$files/resolv.conf" "$(readlink -f /etc/resolv.conf)" || give_up "/etc/resolv.conf cannot be replaced"
mkdir "$files/www"
echo "$VMNET_TEST_OUTSIDE_PAGE" >"$files/www/index.html"
nsenter -t $outside -n busybox httpd -f -p 80 -h "$files/www" &
answers() { nsenter -t $outside -n busybox nc -w 1 127.0.0.1 "$1" </dev/null >/dev/null 2>&1; }
{ await answers 80 && await answers 53; } || give_up "the outside does not answer"

# In the foreground: the command keeps the terminal, and this shell, being process 1, reaps every orphan meanwhile. When
# it ends, so does all the rest.
status=0
"$@" || status=$?
exit $status
