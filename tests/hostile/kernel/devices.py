# tries: to open a device of the machine
# right: held
import os
import stat

names = '''mem kmem port kmsg core nvram fuse kvm loop-control loop0 sda vda nvme0n1 dm-0 mapper/control net/tun
    vhost-net vhost-vsock vsock userfaultfd ptmx pts/ptmx console tty0 tty1 ttyS0 hvc0 rtc rtc0 watchdog uinput
    input/event0 snapshot cpu/0/msr cpu_dma_latency hpet autofs btrfs-control dri/card0 fb0 snd/timer ppp
    hwrng uhid vfio/vfio zram0 bus/usb/001/001 fd0 log initctl mqueue hugepages'''.split()
for name in names:
    for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
        try:
            os.open('/dev/' + name, flags | os.O_NONBLOCK)
            raise SystemExit(print(f'breached: /dev/{name} can be opened') or 1)
        except OSError:
            pass
plain = {(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0)}
for top, directories, files in os.walk('/dev'):
    for name in files:
        found = os.lstat(os.path.join(top, name))
        if stat.S_ISBLK(found.st_mode) or stat.S_ISCHR(found.st_mode):
            number = os.major(found.st_rdev), os.minor(found.st_rdev)
            if number not in plain:
                raise SystemExit(print(f'breached: {top}/{name} is device {number}') or 1)
try:
    os.open('/dev/tty', os.O_RDWR)
    raise SystemExit(print('breached: there is a terminal') or 1)
except OSError:
    pass
print('held')
