# tries: to find a variable of the server's environment, in its own and anywhere in its memory
# right: held
# stdin: {environment}
import hashlib
import json
import os

secrets = json.load(os.fdopen(0))
usual = {'PATH', 'HOME', 'USER', 'LOGNAME', 'LANG', 'PYTHONUTF8'}
if set(os.environ) != usual:
    raise SystemExit(print('breached:', set(os.environ) ^ usual) or 1)


def has(memory, name):
    # Put together nowhere, so that this does not find itself.
    at = memory.find(name)
    while at != -1:
        start = at + len(name)
        if memory[start:start + 1] == b'=' and memory[at - 1:at] == b'\0':
            value = memory[start + 1:memory.find(b'\0', start)]
            if hashlib.sha256(value).hexdigest() == secrets[name.decode()]:
                return True
        at = memory.find(name, start)
    return False


def regions():
    for part in ('environ', 'cmdline', 'auxv'):
        yield b'\0' + open('/proc/self/' + part, 'rb').read()
    memory = os.open('/proc/self/mem', os.O_RDONLY)
    with open('/proc/self/maps') as maps:
        spans = [line.split()[0].split('-') for line in maps if line.split()[1][0] == 'r']
    for start, end in ((int(start, 16), int(end, 16)) for start, end in spans):
        try:
            yield os.pread(memory, end - start, start)
        except OSError:
            pass


names = [name.encode() for name in secrets if name not in usual]
for region in regions():
    for name in names:
        if has(region, name):
            raise SystemExit(print('breached:', name.decode()) or 1)
print('held')
