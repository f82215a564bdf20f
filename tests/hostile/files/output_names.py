# tries: to confuse the collection by names, depth and number
# right: held
# output_files: ["**/*.txt"]
import os

for name in (b'-rf.txt', b'new\nline.txt', b'\xff\xfe.txt', b'"quoted".txt', b'a' * 251 + b'.txt', b'..txt', b'\\..\\x.txt',
             b'\x1b[31m.txt', '\u202etxt.\u202d.txt'.encode()):
    open(name, 'w').write('x')
for number in range(3000):
    open(f'{number}.txt', 'w').close()
for _ in range(1000):
    os.mkdir('d')
    os.chdir('d')
open('deep.txt', 'w').write('x')
print('held')
