// tries: to take memory outside of the interpreter's heap
// right: out_of_memory
// limits: {"memory_bytes": 100663296}
const kept = [];
for (;;) kept.push(Buffer.alloc(1 << 20, 1));
