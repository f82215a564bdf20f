"""Temporary directories, pathlib, archives, compression, hashes, and the calls around files."""
import bz2
import fcntl
import gzip
import hashlib
import io
import lzma
import mmap
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path

with tempfile.TemporaryDirectory() as name:
    root = Path(name)
    (root / "docs" / "deep").mkdir(parents=True)
    for number in range(5):
        (root / "docs" / f"page{number}.txt").write_text(f"page {number}\n" * 100)
    (root / "docs" / "deep" / "data.bin").write_bytes(bytes(range(256)) * 64)
    print(sorted(str(path.relative_to(root)) for path in root.rglob("*")))

    archive = root / "docs.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as pack:
        for path in sorted((root / "docs").rglob("*")):
            pack.write(path, path.relative_to(root))
    with zipfile.ZipFile(archive) as pack:
        print("zip:", pack.testzip(), len(pack.namelist()), pack.getinfo("docs/page1.txt").file_size)
        pack.extractall(root / "again")
    original = hashlib.sha256((root / "docs/deep/data.bin").read_bytes()).hexdigest()
    print(original, original == hashlib.sha256((root / "again/docs/deep/data.bin").read_bytes()).hexdigest())

    with tarfile.open(root / "docs.tar.gz", "w:gz") as pack:
        pack.add(root / "docs", "docs")
    with tarfile.open(root / "docs.tar.gz") as pack:
        print("tar:", sorted(pack.getnames())[:3])

    page = root / "docs" / "page0.txt"
    os.chmod(page, 0o640)
    print(stat.filemode(page.stat().st_mode), page.stat().st_size)
    (root / "soft").symlink_to(page)
    os.link(page, root / "hard")
    print((root / "soft").is_symlink(), os.readlink(root / "soft") == str(page), page.stat().st_nlink)
    os.utime(page, (1_000_000_000, 1_000_000_000))
    print(int(page.stat().st_mtime))
    page.rename(root / "moved.txt")
    shutil.copytree(root / "docs", root / "copy")
    shutil.move(str(root / "copy"), str(root / "elsewhere"))
    shutil.rmtree(root / "docs")
    print(sorted(os.listdir(root)))

    with open(root / "mapped", "w+b") as file:
        file.truncate(8192)
        with mmap.mmap(file.fileno(), 0) as view:
            view[4096:4101] = b"hello"
            view.flush()
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.lockf(file, fcntl.LOCK_UN)
        os.fsync(file.fileno())
        print(os.pread(file.fileno(), 5, 4096), os.fstat(file.fileno()).st_size)

    os.mkfifo(root / "fifo")
    reader = os.open(root / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    with open(root / "fifo", "wb", buffering=0) as writer:
        writer.write(b"through a fifo")
    print(os.read(reader, 100))
    os.close(reader)

print("gone:", not root.exists())

text = b"the quick brown fox jumps over the lazy dog " * 500
for module in (zlib, gzip, bz2, lzma):
    print(module.__name__, module.decompress(module.compress(text)) == text)
print("crc:", zlib.crc32(text), "adler:", zlib.adler32(text))
for algorithm in ("md5", "sha1", "sha512", "blake2b", "sha3_256"):
    print(algorithm, hashlib.new(algorithm, text).hexdigest()[:24])
print(hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", 1000).hex()[:24])
with tempfile.SpooledTemporaryFile(max_size=10) as spool:
    spool.write(text)
    spool.seek(4)
    print(spool.read(5))
with tempfile.NamedTemporaryFile("w+", suffix=".txt", delete=True) as named:
    print("three lines", "here", file=named, sep="\n", flush=True)
    print(Path(named.name).read_text().split())
print(io.BytesIO(text).read(9), os.path.realpath("."))
