#!/bin/sh
# disk.sh ROOT DISK SIZE: load the policy modules beside this script into ROOT, label it, and write it to a disk that boots
# straight into SELinux enforcing. Runs in a mount namespace of its own, since the tools need to see /proc.
set -eu
root=$1 disk=$2 size=$3

sed -i 's/^SELINUX=.*/SELINUX=enforcing/' "$root/etc/selinux/config"
mount -t proc proc "$root/proc"
for module in "$(dirname "$0")"/*.cil; do
    cp "$module" "$root/tmp/"
    chroot "$root" semodule --noreload --install "/tmp/${module##*/}"
    rm "$root/tmp/${module##*/}"
done
chroot "$root" setfiles -F -e /proc -e /sys -e /dev /etc/selinux/default/contexts/files/file_contexts /
umount "$root/proc"
mke2fs -q -t ext4 -L root -E lazy_itable_init=0 -d "$root" "$disk" "$size"
