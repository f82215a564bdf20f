# tries: to draw what another program drew: of one zygote, all random numbers must still differ
# right: held
# again: 5
import os
import random
import secrets
import ssl
import tempfile
import uuid

print('random', random.random())
print('instance', random.Random().random())
print('system', random.SystemRandom().random())
print('shuffle', random.sample(range(10**6), 8))
print('uuid4', uuid.uuid4())
print('uuid1', uuid.uuid1())
print('urandom', os.urandom(16).hex())
print('getrandom', os.getrandom(16).hex())
print('secrets', secrets.token_hex())
print('directory', tempfile.mkdtemp())
print('file', tempfile.NamedTemporaryFile().name)
print('device', open('/dev/urandom', 'rb').read(16).hex())
print('ssl', ssl.RAND_bytes(16).hex())
print('held')
