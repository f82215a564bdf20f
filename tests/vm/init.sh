#!/bin/sh
# pid 1 of the virtual machine. What systemd would mount is mounted, cgroup v2 as it does; then the test programs
# run one after the other, and the machine goes off. What is printed goes to the second serial line, which
# `cargo xtask vm` reads; the first is the kernel's.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
mount -t sysfs sysfs /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup
mount -o remount,rw /
busybox ip link set lo up
# The programs have their own paths in them: they lie where they were built.
cp --recursive --symbolic-link /mnt/files/. /
# Swap, so that a limit of 0 on it can be seen to hold.
fallocate --length 256M /swap
chmod 600 /swap
mkswap --quiet /swap
swapon /swap
# An ordinary user with a range of ids, as adduser(8) makes them.
echo 'tester:x:1000:1000::/tmp:/bin/sh' >>/etc/passwd
echo 'tester:x:1000:' >>/etc/group
echo 'tester:100000:65536' | tee /etc/subuid >/etc/subgid
# The kernel rewrites its own code when limits are used for the first time. QEMU's emulation of that is not safe while
# another processor runs the code: so it is done now, before the second processor is started (maxcpus=1), and lasts
# as long as this cgroup does.
echo '+cpu +memory +pids +io' >/sys/fs/cgroup/cgroup.subtree_control
mkdir /sys/fs/cgroup/init.scope
echo '90000 100000' >/sys/fs/cgroup/init.scope/cpu.max
echo 1G >/sys/fs/cgroup/init.scope/memory.max
sh -c 'echo 0 >/sys/fs/cgroup/init.scope/cgroup.procs; unshare --user --map-root-user --net --pid --mount --fork true'
echo 1 >/sys/devices/system/cpu/cpu1/online

exec </dev/null >/dev/ttyS1 2>&1
echo "vm: up, with $(nproc) processors"
while read -r name directory program arguments; do
    echo "vm: begin $name"
    cd "$directory" || exit
    # A line of a failure may be an answer of megabytes, and the line is slow.
    { "$program" $arguments 2>&1; echo "vm: end $name $?"; } | cut -c -4000
    cd /
done </mnt/programs
echo "vm: down"
sync
busybox poweroff -f
