#!/usr/bin/env python3
"""Checks of files that are mapped in one mount, or in two: mapped_checks.py NAME HERE THERE.

HERE and THERE are the same folder through two mounts of a home (or the same mount). Right is what a local
disk does; the exit status says whether it was.
"""
import ctypes
import fcntl
import mmap
import os
import random
import signal
import struct
import sys
import time

PAGE = mmap.PAGESIZE


def path(folder, name):
    return os.path.join(folder, name)


def make(folder, name, data):
    descriptor = os.open(path(folder, name), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(descriptor, data)
    os.fsync(descriptor)
    return descriptor


def in_children(*works):
    """Runs each in a process of its own; all have to succeed."""
    children = []
    for work in works:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                work()
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    assert not any(statuses), f"wait statuses {statuses}"


def truncation_wins(here, there):
    """What was stored behind the size of then does not come back, also when the file grows again."""
    for again in (None, 8192):
        descriptor = make(here, "cut", b"a" * 8192)
        memory = mmap.mmap(descriptor, 8192)
        memory[10:14] = b"DIRT"
        memory[5000:5004] = b"DIRT"
        os.truncate(path(there, "cut"), 100)
        if again:
            os.truncate(path(there, "cut"), again)
        memory.flush(0, PAGE)
        os.fsync(descriptor)
        with open(path(there, "cut"), "rb") as file:
            data = file.read()
        size = again or 100
        assert len(data) == size, f"cut to {size} bytes, and has {len(data)}"
        assert data[10:14] == b"DIRT", "a store below the cut is lost"
        assert data[100:] == bytes(size - 100), "bytes behind the cut came back"
        memory.close()
        os.close(descriptor)


def count_under_lock(here, there):
    """Increments in a mapped file under a lock: none is lost, with each kind of lock."""
    rounds = 50
    whole = (lambda fd: fcntl.flock(fd, fcntl.LOCK_EX), lambda fd: fcntl.flock(fd, fcntl.LOCK_UN))
    record = (lambda fd: fcntl.lockf(fd, fcntl.LOCK_EX), lambda fd: fcntl.lockf(fd, fcntl.LOCK_UN))
    for kind, (lock, unlock) in (("flock", whole), ("fcntl", record)):
        name = "counter-" + kind
        os.close(make(here, name, bytes(PAGE)))

        def count(folder):
            descriptor = os.open(path(folder, name), os.O_RDWR)
            memory = mmap.mmap(descriptor, PAGE)
            for _ in range(rounds):
                lock(descriptor)
                value, = struct.unpack("<I", memory[:4])
                memory[:4] = struct.pack("<I", value + 1)
                unlock(descriptor)

        in_children(lambda: count(here), lambda: count(there))
        with open(path(here, name), "rb") as file:
            value, = struct.unpack("<I", file.read(4))
        assert value == 2 * rounds, f"{kind}: counted to {value}"


def times_stay(here, there):
    """A time that is set after a store is the file's time, whichever mount sets it."""
    wanted = 10**18
    for by in (here, there):
        descriptor = make(here, "times", b"")
        os.ftruncate(descriptor, 100000)
        memory = mmap.mmap(descriptor, 100000)
        memory[:] = b"z" * 100000
        os.utime(path(by, "times"), ns=(wanted, wanted))
        memory.close()
        os.close(descriptor)
        for folder in (here, there):
            found = os.stat(path(folder, "times")).st_mtime_ns
            assert found == wanted, f"the time was set by {by}, and is {found}"
        with open(path(there, "times"), "rb") as file:
            assert file.read() == b"z" * 100000


def time_moves(here, there):
    """A store after a time was set moves it, when it is written back."""
    descriptor = make(here, "moves", b"z" * PAGE)
    memory = mmap.mmap(descriptor, PAGE)
    os.utime(descriptor, ns=(10**18, 10**18))
    memory[0] = 65
    memory.flush()
    for folder in (here, there):
        assert os.stat(path(folder, "moves")).st_mtime_ns > 10**18


def writers_do_not_wait(here, there):
    """Two mounts that store into one page do not wait a second for each other."""
    os.close(make(here, "both", bytes(8192)))

    def store(folder):
        late = 0
        for _ in range(20):
            began = time.monotonic()
            descriptor = os.open(path(folder, "both"), os.O_RDWR)
            memory = mmap.mmap(descriptor, 8192)
            memory[0:5] = b"hello"
            memory.close()
            os.close(descriptor)
            late += time.monotonic() - began > 0.9
        assert late <= 1, f"{late} of 20 rounds took a second"

    in_children(lambda: store(here), lambda: store(there))


def no_hole(here, there):
    """SEEK_DATA finds what was stored, through a descriptor of before as well."""
    descriptor = make(here, "hole", b"")
    os.ftruncate(descriptor, 1 << 20)
    reader = os.open(path(here, "hole"), os.O_RDONLY)
    memory = mmap.mmap(descriptor, 1 << 20)
    memory[1 << 19] = 1
    for fd in (reader, descriptor):
        found = os.lseek(fd, 0, os.SEEK_DATA)
        assert 0 < found <= 1 << 19, f"data begins at {found}"


def mapping_grows(here, there):
    """What another mount has appended can be read in a mapping that reaches as far."""
    for size, more in ((PAGE, PAGE), (100, 3 * PAGE), (2 * PAGE, 1)):
        os.close(make(there, "grows", b"a" * size))
        descriptor = os.open(path(here, "grows"), os.O_RDONLY)
        memory = RawMap(descriptor, size + more)
        assert memory[0] == ord("a")
        with open(path(there, "grows"), "ab") as file:
            file.write(b"b" * more)
        assert memory[size + more - 1] == ord("b")
        with open(os.devnull, "wb") as sink:
            sent = os.sendfile(sink.fileno(), descriptor, 0, 100 * PAGE)
        assert sent == size + more, f"{sent} bytes of {size + more}"
        os.close(descriptor)


class RawMap:
    """A mapping that is longer than its file, which Python's own refuses to make."""

    def __init__(self, descriptor, length):
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mmap.restype = ctypes.c_void_p
        libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int,
                              ctypes.c_int, ctypes.c_long]
        self.address = libc.mmap(None, length, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
        assert self.address != ctypes.c_void_p(-1).value, os.strerror(ctypes.get_errno())

    def __getitem__(self, place):
        return ctypes.c_ubyte.from_address(self.address + place).value


def locks_of_readers(here, there):
    """Closing any descriptor of a file drops the record locks of the process, also one for reading."""
    os.close(make(here, "locked", b"data"))
    used = os.open(path(here, "locked"), os.O_RDWR)
    fcntl.lockf(used, fcntl.LOCK_EX)
    os.close(used)
    descriptor = os.open(path(here, "locked"), os.O_RDONLY)
    child_may_end, ends = os.pipe()
    fcntl.lockf(descriptor, fcntl.LOCK_SH)
    child = os.fork()
    if child == 0:
        os.close(ends)
        os.read(child_may_end, 1)
        os._exit(0)
    os.close(descriptor)
    other = os.open(path(there, "locked"), os.O_RDWR)
    fcntl.lockf(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.lockf(other, fcntl.LOCK_UN)
    descriptor = os.open(path(here, "locked"), os.O_RDONLY)
    fcntl.lockf(descriptor, fcntl.LOCK_SH)
    os.close(os.dup(descriptor))
    fcntl.lockf(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(ends)
    os.waitpid(child, 0)


def random_uses(here, there):
    """Two programs in each mount do it all at random; none waits for another for ever."""
    seconds = float(os.environ.get("HOMEFS_SECONDS", "10"))
    seed = int(os.environ.get("HOMEFS_SEED", "20261129"))
    names = ["mapped-0", "mapped-1"]

    def use(folder, number):
        signal.alarm(int(seconds) + 120)  # whoever hangs is killed, and has failed
        choose = random.Random(seed + number)
        worst = 0.0
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.monotonic()
            target = path(folder, choose.choice(names))
            descriptor = os.open(target, os.O_RDWR | os.O_CREAT, 0o600)
            act = choose.randrange(8)
            if act == 0:
                os.ftruncate(descriptor, choose.randrange(6 * PAGE))
            elif act == 1:
                os.pwrite(descriptor, b"w" * choose.randrange(1, 3 * PAGE), choose.randrange(4 * PAGE))
            elif act == 2:
                os.utime(descriptor)
            elif act == 3:
                name = path(folder, f"made-{number}-{choose.randrange(10)}")
                open(name, "w").close()
                os.unlink(name)
            elif act == 4:
                lock = choose.choice((fcntl.LOCK_EX, fcntl.LOCK_SH))
                fcntl.lockf(descriptor, lock)
                store(descriptor, choose)
                fcntl.lockf(descriptor, fcntl.LOCK_UN)
            elif act == 5:
                try:
                    os.lseek(descriptor, 0, os.SEEK_DATA)
                except OSError:
                    pass  # there is none
            else:
                store(descriptor, choose)
            os.close(descriptor)
            worst = max(worst, time.monotonic() - began)
        print(f"{folder} {number}: the slowest took {worst:.2f} s", flush=True)

    def store(descriptor, choose):
        # In a child: another may cut the file under the mapping, and the store gets a SIGBUS.
        child = os.fork()
        if child == 0:
            try:
                memory = mmap.mmap(descriptor, 0)
                memory[choose.randrange(len(memory))] = 65
                if choose.random() < 0.5:
                    memory.flush()
            finally:
                os._exit(0)
        os.waitpid(child, 0)

    in_children(*(lambda folder=folder, number=number: use(folder, number)
                  for number, folder in enumerate((here, there, here, there))))
    for name in names:
        with open(path(here, name), "rb") as one, open(path(there, name), "rb") as other:
            assert one.read() == other.read(), f"{name} differs between the mounts"


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2], sys.argv[3])
