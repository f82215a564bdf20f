# tries: to execute with arguments and an environment of hundreds of megabytes
# right: held
# limits: {"memory_bytes": 134217728, "wall_time_ms": 20000}
import errno
import os
import resource

soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
resource.setrlimit(resource.RLIMIT_STACK, (hard, hard))
for arguments, environment in ((['x' * 131071] * 200, {}), (['x'], {str(i): 'x' * 131000 for i in range(200)}),
                               (['x' * (1 << 20)], {}), (['x'] + [''] * 2_000_000, {})):
    try:
        os.execve('/bin/true', arguments, environment)
    except OSError as error:
        if error.errno not in (errno.E2BIG, errno.ENOMEM):
            raise
print('held')
