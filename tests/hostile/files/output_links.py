# tries: to have files of the host collected, by links in place of output files
# right: held
# args: ["{host_file}"]
# output_files: ["**"]
# collected: ["main.py", "plain.txt"]
import os
import sys

for name, target in {'host.txt': sys.argv[1], 'passwd.txt': '/etc/passwd', 'shadow.txt': '/etc/shadow',
                     'relative.txt': '../../../../../..' + sys.argv[1], 'environ.txt': '/proc/self/environ',
                     'magic.txt': '/proc/self/root' + sys.argv[1], 'stream.txt': '/proc/self/fd/0',
                     'self.txt': 'main.py', 'loop.txt': 'loop.txt', 'root': '/', 'etc': '/etc', 'up': '..',
                     'home': os.path.dirname(sys.argv[1])}.items():
    os.symlink(target, name)
os.mkdir('directory')
os.symlink(sys.argv[1], 'directory/host.txt')
open('plain.txt', 'w').close()
print('held')
