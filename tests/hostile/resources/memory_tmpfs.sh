# tries: to take memory by files in its scratch places
# right: out_of_memory
# limits: {"memory_bytes": 33554432, "disk_bytes": 268435456}
for number in 1 2 3 4 5 6 7 8; do
    head -c 16M /dev/zero >/dev/shm/$number
    head -c 16M /dev/zero >/tmp/$number
done
