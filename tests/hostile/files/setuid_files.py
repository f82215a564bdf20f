# tries: to gain rights by setuid and setgid programs, those of the host and its own
# right: held
import os
import shutil
import stat
import subprocess


def breach(what):
    raise SystemExit(print('breached:', what) or 1)


for command in (['su', '-c', 'id -u'], ['mount', '-t', 'tmpfs', 'x', '/tmp'], ['umount', '/tmp'], ['newgrp', 'root'],
                ['passwd', '-d', 'root'], ['chsh', '-s', '/bin/sh', 'root'], ['sudo', '-n', 'id'], ['pkexec', 'id']):
    if os.path.exists('/usr/bin/' + command[0]):
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL)
        if done.returncode == 0 or done.stdout.startswith(b'0'):
            breach(command)
for place in ('/tmp', '/workspace', '/dev/shm'):
    program = place + '/id'
    shutil.copy('/usr/bin/id', program)
    for change in (lambda: os.chown(program, 0, 0), lambda: os.chown(program, -1, 0), lambda: os.chown(program, 65534, 65534)):
        try:
            change()
            breach(f'{program} was given away')
        except OSError:
            pass
    os.chmod(program, 0o6755)
    with open('/proc/self/mountinfo') as mounts:
        if any(line.split()[4] == place and 'nosuid' not in line.split()[5] for line in mounts):
            breach(f'{place} is mounted with setuid')
    said = subprocess.run([program, '-u'], capture_output=True, text=True).stdout
    if int(said) != os.getuid():
        breach(f'became {said}')
if not os.statvfs('/usr/bin').f_flag & os.ST_NOSUID:
    breach('/usr/bin is mounted with setuid')
print('held')
