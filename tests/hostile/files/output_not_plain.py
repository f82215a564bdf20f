# tries: to block the collection of output files by a fifo, a socket, a directory, a device
# right: held
# output_files: ["out/**"]
# collected: ["out/plain.txt"]
import os
import socket

os.mkdir('out')
os.mkfifo('out/fifo.txt')
socket.socket(socket.AF_UNIX).bind('out/socket.txt')
os.mkdir('out/directory.txt')
os.symlink('/dev/zero', 'out/zero.txt')
open('out/plain.txt', 'w').write('x')
print('held')
