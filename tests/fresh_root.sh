#!/bin/bash
# Try commands in a clean clone inside an empty Debian 12: nothing but git, make and the
# certificates is there, as on a new machine. As root, with debootstrap installed.
#
#     tests/fresh_root.sh FOLDER ['make test' 'make run' ...]
#
# FOLDER is made, used and kept for the next time; its clone is made anew. The mirror is the
# one this machine's own apt uses, or $MIRROR. What is committed is what is tried.
set -eu

root=${1:?usage: tests/fresh_root.sh FOLDER [COMMAND...]}
shift
[ $# -gt 0 ] || set -- 'make test' 'make run'
top=$(cd "$(dirname "$0")/.." && pwd)

mirror()
{
	apt-get indextargets --format '$(SITE)' 'Codename: bookworm' 2>/dev/null | head -n 1
}

if [ ! -d "$root" ]; then
	debootstrap --variant=minbase --include=git,make,ca-certificates bookworm "$root" \
		"${MIRROR:-$(mirror)}"
fi
cp /etc/resolv.conf "$root/etc/resolv.conf"
rm -rf "$root/root/span"
git clone -q --no-hardlinks "$top" "$root/root/span"

# In a mount namespace of their own, so that the mounts end with the command.
for command in "$@"; do
	echo "== $command"
	unshare --mount bash -eu -c '
		mount -t proc proc "$1/proc"
		mount --rbind /sys "$1/sys"
		mount --rbind /dev "$1/dev"
		exec chroot "$1" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin \
			bash -c "cd /root/span && $2"' - "$root" "$command"
done
