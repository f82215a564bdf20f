# tries: to leave its root by .., by descriptors of directories, and by magic links
# right: held
# args: ["{host_file}", "{state_dir}"]
import os
import sys

target = sys.argv[1].lstrip('/')
roots = ['/', '/..', '/../../../..', '/proc/self/root', '/proc/1/root', '/proc/self/cwd/../..', '/proc/thread-self/root',
         f'/proc/self/task/{os.getpid()}/root', '/workspace/../..', '/.soulbox/..', '/usr/..', '/proc/self/map_files/..',
         '/dev/fd/../..', '/proc/self/fd/0/../../..', '/dev/shm/../../..']
for root in roots:
    if os.path.lexists(f'{root}/{target}') or os.path.lexists(root + sys.argv[2]):
        raise SystemExit(print(f'breached: the file of the host is at {root}/{target}') or 1)
own = os.stat('/')
for start in ('/', '/usr', '/workspace', '/tmp', '/dev', '/dev/shm', '/proc', '/proc/self', '/proc/self/ns', '/etc'):
    fd = os.open(start, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(64):
        fd = os.open('..', os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        try:
            os.stat(target, dir_fd=fd)
            raise SystemExit(print(f'breached: the file of the host is above {start}') or 1)
        except OSError:
            pass
    top = os.fstat(fd)
    if (top.st_dev, top.st_ino) != (own.st_dev, own.st_ino):
        raise SystemExit(print(f'breached: above {start} is another root') or 1)
# A directory that is moved while one is below it.
os.makedirs('/tmp/a/b/c')
os.chdir('/tmp/a/b/c')
os.rename('/tmp/a/b', '/tmp/b')
os.chdir('../../../../../../..')
if os.path.lexists(target) or os.getcwd() != '/':
    raise SystemExit(print('breached: left by a directory that was moved') or 1)
print('held')
