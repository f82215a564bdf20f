# tries: to read and write what /proc tells of the machine: sysrq, kcore, core_pattern, sys, keys, symbols
# right: held
import os

names = '''sysrq-trigger kcore kmsg kallsyms keys key-users sys sys/kernel/core_pattern sys/kernel/modprobe
    sys/kernel/hostname sys/vm/drop_caches sys/fs/binfmt_misc/register sys/kernel/ns_last_pid modules timer_list
    sched_debug config.gz cpuinfo meminfo net version cmdline mounts scsi acpi bus fs irq interrupts iomem ioports
    kpagecount kpageflags kpagecgroup slabinfo vmallocinfo pagetypeinfo mtrr asound driver latency_stats
    loadavg uptime stat diskstats partitions swaps devices filesystems locks misc consoles crypto
    bootconfig buddyinfo cgroups dma execdomains fb schedstat softirqs sysvipc tty vmstat zoneinfo
    pressure dynamic_debug mdstat sgi_uv xen kpagecgroup'''.split()
for name in names:
    for flags in (os.O_RDONLY, os.O_WRONLY):
        try:
            os.open('/proc/' + name, flags)
            raise SystemExit(print(f'breached: /proc/{name}') or 1)
        except OSError:
            pass
others = {name for name in os.listdir('/proc') if not name.isdigit()} - {'self', 'thread-self'}
if others:
    raise SystemExit(print('breached:', others) or 1)
for place in ('/sys', '/sys/fs/cgroup', '/sys/kernel', '/debug', '/config'):
    if os.path.isdir(place) and os.listdir(place):
        raise SystemExit(print('breached:', place) or 1)
print('held')
