# tries: to fill the memory of the server by output files: sparse, linked a hundred times, without end
# right: held
# limits: {"disk_bytes": 67108864, "memory_bytes": 134217728}
# output_files: ["*.bin"]
# collected: ["last.bin"]
import os

for number in range(8):
    with open(f'sparse{number}.bin', 'wb') as file:
        file.truncate(60 << 20)
for number in range(200):
    os.link('sparse0.bin', f'linked{number}.bin')
open('last.bin', 'w').write('x')
print('held')
