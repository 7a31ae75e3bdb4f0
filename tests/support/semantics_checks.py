#!/usr/bin/env python3
"""Single promises of docs/SEMANTICS.md. Usage: semantics_checks.py CHECK ARGUMENT..."""
import ctypes
import errno
import mmap
import os
import struct
import subprocess
import sys
import threading


def wanted(is_right, what):
    if not is_right:
        sys.exit(f"FAIL: {what}")


def write_within(path, seconds):
    """Whether a write(2) returns within so many seconds; without the close(2)."""
    done = threading.Event()

    def work():
        fd = os.open(path, os.O_WRONLY)
        opened.set()
        os.write(fd, b"text")
        done.set()

    opened = threading.Event()
    threading.Thread(target=work, daemon=True).start()
    return done.wait(seconds)


def check_write_in_time(path):
    wanted(write_within(path, 10), "write(2) waits for the server")
    os._exit(0)  # close(2) would wait


def check_write_waits(path):
    wanted(not write_within(path, 1), "write(2) does not wait for the server")
    os._exit(0)


def check_fsync(path):
    for what in (path, os.path.dirname(path)):
        fd = os.open(what, os.O_RDONLY)
        os.fsync(fd)
        os.fdatasync(fd)
        os.close(fd)


def check_too_large(path, name):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    for what, call in [("write", lambda: os.pwrite(fd, b"x", 1 << 60)), ("truncate", lambda: os.ftruncate(fd, 1 << 60)),
                       ("allocate", lambda: os.posix_fallocate(fd, 0, 1 << 60))]:
        try:
            call()
        except OSError as error:
            wanted(errno.errorcode[error.errno] == name, f"{what}: {error}")
            continue
        wanted(False, f"{what} past the quota was done")
    wanted(os.fstat(fd).st_size == 0, "the file has grown")


def check_fill_by_mmap(path):
    fd = os.open(path, os.O_RDWR)
    with mmap.mmap(fd, 0) as memory:
        memory[:] = os.urandom(len(memory))
        memory.flush()
    os.fsync(fd)
    os.close(fd)


def check_not_there(folder):
    """Each call of Linux that homefs does not have says so."""
    libc = ctypes.CDLL(None, use_errno=True)
    path = os.path.join(folder, "not_there")
    with open(path, "wb") as file:
        file.write(b"x" * 65536)
    fd = os.open(path, os.O_RDWR)

    def fallocate(mode):
        done = libc.fallocate(fd, mode, ctypes.c_long(4096), ctypes.c_long(4096))
        if done != 0:
            raise OSError(ctypes.get_errno(), "fallocate")

    def whiteout():
        at_cwd = -100
        if libc.renameat2(at_cwd, path.encode(), at_cwd, (path + "2").encode(), 4) != 0:
            raise OSError(ctypes.get_errno(), "renameat2")

    for what, call, name in [("O_TMPFILE", lambda: os.open(folder, os.O_TMPFILE | os.O_RDWR), "EOPNOTSUPP"),
                             ("collapse", lambda: fallocate(0x08), "EOPNOTSUPP"),
                             ("insert", lambda: fallocate(0x20), "EOPNOTSUPP"),
                             ("whiteout", whiteout, "EINVAL")]:
        try:
            call()
        except OSError as error:
            # ENOTSUP and EOPNOTSUPP are one number.
            wanted(error.errno == getattr(errno, name), f"{what}: {error}")
            continue
        wanted(False, f"{what} was done")
    os.utime(path, (1000, 2000))
    wanted(len(os.pread(fd, 65536, 0)) == 65536, "not all was read")
    wanted(os.stat(path).st_atime == 1000, "reading has changed the time of access")
    os.close(fd)
    os.unlink(path)


def check_mapped_is_seen(here, there):
    fd = os.open(here, os.O_RDWR)
    with mmap.mmap(fd, 0) as memory:
        for turn in range(20):
            memory[turn * 5000:turn * 5000 + 4] = b"%04d" % turn
            memory.flush()
            with open(there, "rb") as other:
                other.seek(turn * 5000)
                wanted(other.read(4) == b"%04d" % turn, f"turn {turn}: not seen after msync(2)")
        memory[0:4] = b"last"
    with open(there, "rb") as other:
        os.close(fd)
        wanted(other.read(4) == b"last", "not seen after munmap(2) and close(2)")


def check_copy_known_size(here, there, target):
    open(here, "w").close()
    source = os.open(here, os.O_RDONLY)
    copy = os.open(target, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
    with open(there, "wb") as other:
        other.write(b"x" * 200000)
    wanted(os.fstat(source).st_size == 200000, "fstat(2) does not know the new size")
    wanted(os.copy_file_range(source, copy, 300000, 0, 0) == 200000, "not all was copied")
    wanted(os.pread(copy, 300000, 0) == b"x" * 200000, "the copy differs")


def check_direct_is_read(path):
    """What an asynchronous O_DIRECT write has written is what a read gets, beside other readers."""
    size, rounds = 655360, 150
    with open(path, "wb") as file:
        file.write(b"0" * size)
    reader = ("import os, sys\nwhile True:\n file = os.open(sys.argv[1], os.O_RDONLY)\n"
              " os.pread(file, 1 << 20, 0)\n os.close(file)")
    readers = [subprocess.Popen([sys.executable, "-c", reader, path]) for _ in range(2)]
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        context = ctypes.c_ulong(0)
        wanted(libc.syscall(206, 1, ctypes.byref(context)) == 0, "io_setup(2) fails")
        direct = os.open(path, os.O_RDWR | os.O_DIRECT)
        pages = os.open(path, os.O_RDONLY)
        memory = mmap.mmap(-1, size)
        at = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        for turn in range(rounds):
            data = b"%d" % (turn % 10) * size
            memory[:] = data
            call = ctypes.create_string_buffer(
                struct.pack("<QIIHhIQQqQII", 0, 0, 0, 1, 0, direct, at, size, 0, 0, 0, 0))
            calls = (ctypes.c_void_p * 1)(ctypes.addressof(call))
            event = ctypes.create_string_buffer(32)
            wanted(libc.syscall(209, context, 1, calls) == 1, "io_submit(2) fails")
            wanted(libc.syscall(208, context, 1, 1, event, None) == 1, "io_getevents(2) fails")
            wanted(os.pread(pages, size, 0) == data, f"turn {turn}: the bytes of before")
    finally:
        for child in readers:
            child.kill()
            child.wait()


if __name__ == "__main__":
    globals()["check_" + sys.argv[1]](*sys.argv[2:])
