"""Programs of the fault harness that share their files: logs, slots, registers, names that are replaced
or claimed, large files. See fault_program.py; what their journals promise is looked at by
fault_checks.py."""
import ctypes
import errno
import fcntl
import hashlib
import mmap
import os
import struct
import time

from fault_program import MountGone, Program, now_ms, pattern

LIBC = ctypes.CDLL(None, use_errno=True)
SLOT_BYTES = 1 << 16
DIRECT_BYTES = 4096
F_OFD_SETLKW = 38


def record(writer, number):
    """A line that shows when it is torn."""
    body = b"%d.%d." % (writer, number)
    return body + bytes([97 + (writer + number) % 26]) * ((number * 7919 + writer * 31) % 180) + b";\n"


class Log(Program):
    """Appends lines to a file that others append to as well, in one of several ways. Journal: `ack N` when
    the call has returned, `safe N` when also its data was synced or closed, up to N."""

    kind = "log"
    HOWS = ("plain", "fsync", "osync", "reopen", "lockf", "flock", "ofd", "rwf")

    def begin(self):
        self.how = self.HOWS[self.way % len(self.HOWS)]
        self.note("how", self.how)
        self.number = getattr(self, "number", 0)
        self.fd = -1
        self.since_close = 0

    def file(self):
        return f"log.{self.how}"

    def open_log(self):
        flags = os.O_RDWR | os.O_CREAT
        if self.how in ("plain", "fsync", "osync", "reopen"):
            flags |= os.O_APPEND
        if self.how == "osync":
            flags |= os.O_SYNC
        self.fd = self.open(self.file(), flags)

    def lock(self, kind):
        if self.how == "lockf":
            self.call(fcntl.lockf, self.fd, kind)
        elif self.how == "flock":
            self.call(fcntl.flock, self.fd, kind)
        else:
            kind = fcntl.F_UNLCK if kind == fcntl.LOCK_UN else fcntl.F_WRLCK
            self.call(fcntl.fcntl, self.fd, F_OFD_SETLKW, struct.pack("hhqqi4x", kind, 0, 0, 0, 0))

    def append(self, line):
        if self.how in ("lockf", "flock", "ofd"):
            self.lock(fcntl.LOCK_EX)
            end = self.call(os.lseek, self.fd, 0, os.SEEK_END)
            written = self.call(os.pwrite, self.fd, line, end)
            self.lock(fcntl.LOCK_UN)
            return written
        if self.how == "rwf":
            return self.call(os.pwritev, self.fd, [line], 0, os.RWF_APPEND)
        return self.call(os.write, self.fd, line)

    def close_log(self):
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            if self.call(os.close, fd) is None:
                self.note("safe", self.number)
        self.since_close = 0

    def step(self):
        if self.fd < 0:
            self.open_log()
        self.number += 1
        line = record(self.index, self.number)
        self.note("try", self.number)
        written = self.append(line)
        if written != len(line):
            return self.violation("short", written=written, file=self.file())
        self.note("ack", self.number)
        if self.how == "fsync" and self.call(os.fsync, self.fd) is None:
            self.note("safe", self.number)
        if self.how == "osync":
            self.note("safe", self.number)
        self.since_close += 1
        if self.how == "reopen" or self.since_close > 200:
            self.close_log()
        if self.random.random() < 0.02:
            time.sleep(self.random.random() / 10)

    finish = close_log

    def forget(self):
        self.close_quietly(self.fd)
        self.fd = -1


def aligned(data):
    memory = mmap.mmap(-1, (len(data) + DIRECT_BYTES - 1) // DIRECT_BYTES * DIRECT_BYTES)
    memory[:len(data)] = data
    return memory


class Iocb(ctypes.Structure):
    _fields_ = [("data", ctypes.c_uint64), ("key", ctypes.c_uint32), ("rw_flags", ctypes.c_int32),
                ("opcode", ctypes.c_uint16), ("priority", ctypes.c_int16), ("fd", ctypes.c_uint32),
                ("buffer", ctypes.c_uint64), ("bytes", ctypes.c_uint64), ("offset", ctypes.c_int64),
                ("reserved", ctypes.c_uint64), ("flags", ctypes.c_uint32), ("event", ctypes.c_uint32)]


class Aio:
    """io_submit(2) of one write, and its end."""

    def __init__(self):
        self.context = ctypes.c_uint64(0)
        LIBC.syscall(206, 4, ctypes.byref(self.context))

    def pwrite(self, fd, data, offset):
        memory = ctypes.create_string_buffer(data, len(data))
        request = Iocb(opcode=1, fd=fd, buffer=ctypes.addressof(memory), bytes=len(data), offset=offset)
        list_of = (ctypes.c_void_p * 1)(ctypes.addressof(request))
        if LIBC.syscall(209, self.context, ctypes.c_long(1), list_of) != 1:
            raise OSError(ctypes.get_errno(), "io_submit")
        events = (ctypes.c_int64 * 4)()
        while LIBC.syscall(208, self.context, ctypes.c_long(1), ctypes.c_long(1), events, None) != 1:
            if ctypes.get_errno() != errno.EINTR:
                raise OSError(ctypes.get_errno(), "io_getevents")
        if events[2] < 0:
            raise OSError(-events[2], "aio write")
        return events[2]


class Slot(Program):
    """Writes versions of a slot of its own in a file of all, in one of several ways, synced; and looks at
    the slots of others: what was acknowledged there has to be seen here. Journal: `try N LENGTH`, `ack N`."""

    kind = "slot"
    HOWS = ("pwrite", "osync", "direct", "aio", "mmap", "rwf", "direct-aio")

    def begin(self):
        self.how = self.HOWS[self.way % len(self.HOWS)]
        self.note("how", self.how)
        self.number = getattr(self, "number", 0)
        flags = os.O_RDWR | os.O_CREAT
        if self.how == "osync":
            flags |= os.O_SYNC
        self.fd = self.open("slots", flags | (os.O_DIRECT if self.how.startswith("direct") else 0))
        self.reader = self.open("slots", os.O_RDONLY)
        self.aio = Aio()
        self.memory = None
        self.call(os.setxattr, f"/proc/self/fd/{self.reader}", f"user.slot{self.index}", b"0")

    def write_version(self, data, offset):
        if self.how == "mmap":
            if self.call(os.fstat, self.fd).st_size < offset + SLOT_BYTES:
                self.call(os.posix_fallocate, self.fd, offset, SLOT_BYTES)
            memory = mmap.mmap(self.fd, SLOT_BYTES, offset=offset)
            memory[:len(data)] = data
            self.call(memory.flush)
            memory.close()
            return
        if self.how == "direct":
            written = self.call(os.pwritev, self.fd, [aligned(data)], offset)
        elif self.how in ("aio", "direct-aio"):
            written = self.call(self.aio.pwrite, self.fd, data, offset)
        elif self.how == "rwf":
            written = self.call(os.pwritev, self.fd, [data], offset, os.RWF_DSYNC)
        else:
            written = self.call(os.pwrite, self.fd, data, offset)
        if written != len(data):
            self.violation("short", written=written, wanted=len(data), how=self.how)

    def step(self):
        self.number += 1
        length = self.random.choice((64, 700, 4096, 5000, 20000, 65536))
        if self.how.startswith("direct"):
            length = self.random.choice((4096, 8192, 65536))
        self.note("try", self.number, length)
        self.begin_version(self.index, self.number)
        self.write_version(pattern(self.index, self.number, length), self.index * SLOT_BYTES)
        if self.how not in ("osync", "rwf", "mmap") and self.call(os.fsync, self.fd) is not None:
            return
        self.acknowledge(self.index, self.number)
        self.note("ack", self.number)
        for other in self.random.sample(self.slots, min(3, len(self.slots))):
            self.expect(lambda: self.look_at(other), "stale slot", slot=other)  # noqa: B023

    def look_at(self, slot):
        begun, done = self.board(slot)
        data = self.call(os.pread, self.reader, SLOT_BYTES, slot * SLOT_BYTES)
        if isinstance(data, int) or begun != done or self.board(slot) != (begun, done) or done == 0:
            return None  # somebody writes there
        head = data[1:data.find(b">")].split(b".")
        if len(head) != 3 or head[:2] != [b"%d" % slot, b"%d" % done]:
            return f"version {done} was acknowledged, {data[:40]!r} is read"
        if data[:int(head[2])] != pattern(slot, done, int(head[2])):
            return f"version {done} is torn"
        return None

    def finish(self):
        self.call(os.close, self.fd)
        self.call(os.close, self.reader)

    def forget(self):
        self.close_quietly(self.fd, self.reader)


class Register(Program):
    """Counts in a file under a lock, and looks whether it is alone under it. Journal: `add OLD`."""

    kind = "register"
    HOWS = ("lockf", "flock", "ofd")
    lock = Log.lock

    def begin(self):
        self.how = self.HOWS[self.way % len(self.HOWS)]
        self.note("how", self.how)
        self.fd = -1
        self.place_of_holder = 400 + self.HOWS.index(self.how)

    def step(self):
        if self.fd < 0:
            self.fd = self.open(f"register.{self.how}", os.O_RDWR | os.O_CREAT)
        self.lock(fcntl.LOCK_EX)
        holder = self.board(self.place_of_holder)[0]
        if holder != 0:
            # Who held it in a mount that was killed has lost it, and may not have noticed yet.
            killed = self.shared.get(self.shared.kills_cell(holder // 1000 - 1)) != self.shared.get(
                self.shared.board_cell(self.place_of_holder) + 1)
            if not killed:
                self.violation("two hold a lock", how=self.how, other=holder % 1000)
        self.shared.put(self.shared.board_cell(self.place_of_holder) + 1, self.kills)
        self.shared.put(self.shared.board_cell(self.place_of_holder), 1000 * (self.mount + 1) + self.index)
        try:
            data = self.call(os.pread, self.fd, 32, 0)
            old = int(data) if not isinstance(data, int) and data else 0
            self.note("try", old)
            done = self.call(os.pwrite, self.fd, b"%-20d" % (old + 1), 0) == 20
        finally:
            self.shared.put(self.shared.board_cell(self.place_of_holder), 0)
        self.lock(fcntl.LOCK_UN)
        if done:
            self.note("add", old)
        if self.random.random() < 0.1:
            fd, self.fd = self.fd, -1
            self.call(os.close, fd)

    def finish(self):
        if self.fd >= 0:
            self.call(os.close, self.fd)

    def forget(self):
        self.close_quietly(self.fd)


class Replace(Program):
    """Replaces a file by another, as editors do, and reads those of others, which are whole at any time.
    Journal: `try N`, `ack N`."""

    kind = "replace"

    def begin(self):
        self.number = getattr(self, "number", 0)
        self.call(os.mkdir, "replaced", allowed=(errno.EEXIST,))

    def step(self):
        self.number += 1
        name = f"replaced/r{self.index}"
        data = pattern(self.index, self.number, self.random.choice((50, 3000, 70000, 300000)))
        sync = self.random.random() < 0.5
        if not self.write_file(name + ".new", data, sync):
            return
        self.note("try", self.number, len(data))
        self.begin_version(self.index, self.number)
        if self.random.random() < 0.2:  # as mail programs do
            self.call(os.unlink, name + ".old", allowed=(errno.ENOENT,))
            self.call(os.link, name + ".new", name + ".old")
            self.call(os.rename, name + ".old", name)
            self.call(os.unlink, name + ".new", allowed=(errno.ENOENT,))
        else:
            self.call(os.rename, name + ".new", name)
        self.acknowledge(self.index, self.number)
        self.note("ack", self.number)
        other = self.random.choice(self.slots)
        self.expect(lambda: self.look_at(other), "stale name", other=other)

    def look_at(self, other):
        begun, done = self.board(other)
        if done == 0:
            return None
        data = self.read_all(f"replaced/r{other}", allowed=(errno.ENOENT,))
        if self.board(other) != (begun, done) or begun != done:
            return None
        if isinstance(data, int):
            return f"version {done} was acknowledged, the file is {errno.errorcode[-data]}"
        head = data[1:data.find(b">")].split(b".")
        if len(head) != 3 or int(head[0]) != other or int(head[1]) != done:
            return f"version {done} was acknowledged, {data[:40]!r} is read"
        return None if data == pattern(other, done, int(head[2])) else f"version {done} is not whole"


class Claim(Program):
    """Claims numbers in ways of which one program can succeed. Journal: `won WAY NUMBER`."""

    kind = "claim"
    WAYS = ("excl", "link", "mkdir", "symlink", "rename")

    def begin(self):
        self.number = getattr(self, "number", 0)
        self.call(os.mkdir, "claims", allowed=(errno.EEXIST,))
        for way in self.WAYS:
            self.call(os.mkdir, f"claims/{way}", allowed=(errno.EEXIST,))
        self.write_file(f"claims/of{self.index}", b"%d" % self.index)

    def step(self):
        self.number += 1
        way = self.WAYS[self.number % len(self.WAYS)]
        name = f"claims/{way}/{self.number}"
        self.note("try", way, self.number)
        lost = (errno.EEXIST,)
        if way == "excl":
            result = self.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, allowed=lost)
            if result >= 0:
                self.call(os.write, result, b"%d" % self.index)
                self.call(os.close, result)
        elif way == "link":
            result = self.call(os.link, f"claims/of{self.index}", name, allowed=lost)
        elif way == "mkdir":
            result = self.call(os.mkdir, name, allowed=lost)
        elif way == "symlink":
            result = self.call(os.symlink, str(self.index), name, allowed=lost)
        else:
            # Everybody takes away what one of them has made: once.
            self.call(os.mkdir, f"{name}.{self.index}")
            result = self.call(os.mkdir, name, allowed=lost)
            self.call(os.rmdir, f"{name}.{self.index}")
        if result is None or result >= 0:
            self.note("won", way, self.number)
        time.sleep(self.random.random() / 50)


class Large(Program):
    """Writes large files and has another mount read them. Journal: `ack N LENGTH` and `gone N`."""

    kind = "large"

    def begin(self):
        self.number = getattr(self, "number", 0)
        self.call(os.mkdir, "large", allowed=(errno.EEXIST,))

    def step(self):
        self.number += 1
        name = f"large/{self.index}"
        blocks = self.random.randrange(4, 48)
        fd = self.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        whole = hashlib.md5()
        self.begin_version(self.index, self.number)
        self.note("try", self.number, blocks)
        for block in range(blocks):
            data = pattern(self.index, 1000 * self.number + block, 1 << 20)
            whole.update(data)
            if self.call(os.write, fd, data) != len(data):
                self.violation("short", file=name)
        is_synced = self.call(os.fsync, fd) is None
        self.call(os.close, fd)
        if is_synced:
            self.acknowledge(self.index, self.number)
            self.note("ack", self.number, blocks, whole.hexdigest())
        other = self.random.choice(self.slots)
        self.expect(lambda: self.look_at(other), "stale large file", other=other)

    def look_at(self, other):
        begun, done = self.board(other)
        if begun != done or done == 0:
            return None
        fd = self.open(f"large/{other}", os.O_RDONLY)
        block, seen = 0, None
        while seen is None:
            data = self.call(os.read, fd, 1 << 20)
            if isinstance(data, int) or not data:
                break
            while len(data) < 1 << 20:
                more = self.call(os.read, fd, (1 << 20) - len(data))
                if isinstance(more, int) or not more:
                    break
                data += more
            if data != pattern(other, 1000 * done + block, 1 << 20):
                seen = f"block {block} of version {done} is {data[:40]!r}, {len(data)} bytes"
            block += 1
        self.call(os.close, fd)
        return seen if self.board(other) == (begun, done) else None


__all__ = ["Claim", "Large", "Log", "MountGone", "Register", "Replace", "Slot", "now_ms", "record"]
