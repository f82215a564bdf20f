# tries: to take all memory of the host
# right: out_of_memory
# limits: {"memory_bytes": 50331648}
kept = []
while True:
    kept.append(bytearray(1 << 20))
