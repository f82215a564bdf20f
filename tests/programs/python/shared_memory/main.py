"""A named block of shared memory that several processes read and write."""
import multiprocessing
import struct
from multiprocessing import shared_memory

COUNT = 100_000


def sum_slice(name, start, stop, slot):
    block = shared_memory.SharedMemory(name=name)
    try:
        total = sum(value for (value,) in struct.iter_unpack("<I", block.buf[start * 4:stop * 4]))
        struct.pack_into("<Q", block.buf, COUNT * 4 + slot * 8, total)
    finally:
        block.close()


def main():
    fork = multiprocessing.get_context("fork")
    block = shared_memory.SharedMemory(create=True, size=COUNT * 4 + 4 * 8)
    try:
        struct.pack_into(f"<{COUNT}I", block.buf, 0, *range(COUNT))
        step = COUNT // 4
        workers = [
            fork.Process(target=sum_slice, args=(block.name, slot * step, (slot + 1) * step, slot))
            for slot in range(4)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        parts = struct.unpack_from("<4Q", block.buf, COUNT * 4)
        print("parts:", parts)
        print("total:", sum(parts), "expected:", COUNT * (COUNT - 1) // 2)
    finally:
        block.close()
        block.unlink()

    try:
        shared_memory.SharedMemory(name=block.name)
    except FileNotFoundError:
        print("gone after unlink")

    shared = shared_memory.ShareableList(["name", 42, 2.5, None, True])
    other = shared_memory.ShareableList(name=shared.shm.name)
    other[1] += 1
    print(list(shared))
    other.shm.close()
    shared.shm.close()
    shared.shm.unlink()


if __name__ == "__main__":
    main()
