#!/bin/sh
# udhcpc runs this at every change of its lease; the variables are the options that the server sent.
case "$1" in
deconfig)
  ip -4 addr flush dev "$interface"
  ;;
bound | renew)
  ip addr replace "$ip/$mask" dev "$interface"
  [ -n "$mtu" ] && ip link set "$interface" mtu "$mtu"
  [ -n "$router" ] && ip route replace default via "${router%% *}" dev "$interface"
  {
    [ -n "$search$domain" ] && echo "search ${search:-$domain}"
    for server in $dns; do echo "nameserver $server"; done
  } >/etc/resolv.conf
  echo "@@LEASE ip=$ip mask=$mask router=$router dns=$dns serverid=$serverid lease=$lease mtu=$mtu domain=$domain search=$search hostname=$hostname"
  ;;
esac
