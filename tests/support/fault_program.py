"""What the programs of the fault harness (faults.py) have in common.

A program is a process that works in one mount, by calls of its own and relative paths: its working
directory is the mount's root, so that it is never outside of a mount that was taken away. What was
promised to it stands in a journal on the local disk, a line for each promise, which outlives it.

What all of them share with the runner is in SHARED, numbers in memory: since when each is in a call,
how often each mount was killed, and what was acknowledged to whom (the board). Violations go to a
file as they are seen.
"""
import errno
import json
import mmap
import os
import random
import struct
import time

GONE = (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO, errno.ESTALE, errno.ENODEV)
PROGRAMS_MAX = 64
MOUNTS_MAX = 8
BOARD_MAX = 512
LATE_SECONDS = 10.0  # a mount that was cut off or whose server was away may be behind for so long
CALM_SECONDS = 5.0  # and is not any more when nothing has happened for so long


class MountGone(Exception):
    """The daemon of the mount was killed: nothing that is open goes on."""


class Shared:
    """Numbers (64 bits each) in memory that the processes share; each cell has one writer."""

    CELLS = 8 + 2 * PROGRAMS_MAX + 3 * MOUNTS_MAX + 2 * BOARD_MAX

    def __init__(self):
        self.memory = mmap.mmap(-1, 8 * self.CELLS)

    def get(self, cell):
        return struct.unpack_from("q", self.memory, 8 * cell)[0]

    def put(self, cell, value):
        struct.pack_into("q", self.memory, 8 * cell, value)

    # cells: 0 end, 1 when the last fault ended (ms), 2 whether one is going on
    def has_to_end(self):
        return self.get(0) != 0

    def end(self):
        self.put(0, 1)

    def note_fault(self, is_going_on):
        self.put(1, now_ms())
        self.put(2, is_going_on)

    def is_calm(self):
        return self.get(2) == 0 and now_ms() - self.get(1) > 1000 * CALM_SECONDS

    def last_fault(self):
        return now_ms() if self.get(2) else self.get(1)

    def call_cell(self, program):
        return 8 + 2 * program

    def kills_cell(self, mount):
        """How often its daemon was killed, and, the next one, how often it was mounted again."""
        return 8 + 2 * PROGRAMS_MAX + 3 * mount

    def board_cell(self, place):
        """What the owner of the place has begun, and, the next one, what was acknowledged to it."""
        return 8 + 2 * PROGRAMS_MAX + 3 * MOUNTS_MAX + 2 * place


def now_ms():
    return time.monotonic_ns() // 1_000_000


def pattern(owner, number, length):
    """Contents that say whose they are; each part of them differs from that of any other version."""
    head = b"<%d.%d.%d>" % (owner, number, length)
    return (head * (length // len(head) + 1))[:length]


class Program:
    kind = "?"

    def __init__(self, shared, place, index, mount, seed):
        self.shared, self.place, self.index, self.mount, self.seed = shared, place, index, mount, seed
        self.random = random.Random(f"{seed}/{self.kind}/{index}")
        self.name = f"{self.kind}-{index}"
        self.root = f"{place}/mount{mount}"
        self.way = 0  # which of the ways of its kind
        self.slots = []  # the indexes of all programs of its kind
        self.kills = 0
        self.journal_fd = -1
        self.count = 0

    # ---- what it tells ----

    def note(self, *words):
        os.write(self.journal_fd, (" ".join(str(w) for w in words) + "\n").encode())

    def violation(self, what, **facts):
        facts = {"time": now_ms(), "what": what, "program": self.name, "mount": self.mount,
                 "calm": self.shared.is_calm(), **facts}
        fd = os.open(f"{self.place}/violations", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(fd, (json.dumps(facts) + "\n").encode())
        os.close(fd)

    # ---- calls ----

    def was_killed(self):
        return self.shared.get(self.shared.kills_cell(self.mount)) != self.kills

    def call(self, function, *arguments, allowed=(), **named):
        """The result, or -errno where that is allowed. Any other error is a violation, unless the
        mount was killed."""
        cell = self.shared.call_cell(self.index)
        self.shared.put(cell, now_ms())
        try:
            return function(*arguments, **named)
        except OSError as error:
            if error.errno in allowed:
                return -error.errno
            if error.errno in GONE and self.was_killed():
                raise MountGone from error
            self.violation("error", call=getattr(function, "__name__", "?"), errno=errno.errorcode.get(error.errno),
                           arguments=[str(a)[:80] for a in arguments])
            return -error.errno
        finally:
            self.shared.put(cell, 0)

    def open(self, name, flags, mode=0o644, **named):
        return self.call(os.open, name, flags | os.O_CLOEXEC, mode, **named)

    def read_all(self, name, **named):
        fd = self.open(name, os.O_RDONLY, **named)
        if fd < 0:
            return fd
        parts = []
        while True:
            part = self.call(os.read, fd, 1 << 20)
            if isinstance(part, int):
                parts = part
                break
            if not part:
                parts = b"".join(parts)
                break
            parts.append(part)
        self.call(os.close, fd)
        return parts

    def write_file(self, name, data, sync=False, flags=os.O_WRONLY | os.O_CREAT | os.O_TRUNC):
        fd = self.open(name, flags)
        if fd < 0:
            return False
        done = self.call(os.write, fd, data) == len(data)
        if sync:
            done = self.call(os.fsync, fd) is None and done
        return self.call(os.close, fd) is None and done

    # ---- the board: what others must see ----

    def begin_version(self, place, number):
        self.shared.put(self.shared.board_cell(place), number)

    def acknowledge(self, place, number):
        self.shared.put(self.shared.board_cell(place) + 1, number)

    def board(self, place):
        return (self.shared.get(self.shared.board_cell(place)),
                self.shared.get(self.shared.board_cell(place) + 1))

    def expect(self, look, what, **facts):
        """`look` returns None when all is well, else what it has seen. What stays wrong for longer than a
        fault explains is a violation, and so is what is wrong long after one."""
        seen = look()
        if seen is None:
            return
        started = now_ms()
        since = started - self.shared.last_fault()
        first = seen
        while seen is not None and now_ms() - started < 1000 * LATE_SECONDS:
            if self.shared.has_to_end() and not self.shared.is_calm():
                break
            time.sleep(0.02)
            seen = look()
        late = now_ms() - started
        if seen is not None or since > 1000 * CALM_SECONDS:
            self.violation(what, seen=first, late_ms=late, is_lasting=seen is not None, ms_after_fault=since,
                           **facts)
        else:
            self.note("late", what, late, since)

    # ---- life ----

    def begin(self):
        """Opens what it needs; also after its mount was killed."""

    def step(self):
        raise NotImplementedError

    def finish(self):
        """Ends in good order."""

    def forget(self):
        """Its mount was killed."""

    def close_quietly(self, *fds):
        for fd in fds:
            if isinstance(fd, int) and fd >= 0:
                try:
                    os.close(fd)
                except OSError:
                    pass

    def enter(self):
        kills = self.shared.kills_cell(self.mount)
        while self.shared.get(kills) != self.shared.get(kills + 1):
            if self.shared.has_to_end():
                return False
            time.sleep(0.02)
        self.kills = self.shared.get(kills)
        self.call(os.chdir, self.root)
        return True

    def run(self):
        self.journal_fd = os.open(f"{self.place}/journals/{self.name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        is_in = False
        while True:
            try:
                if not is_in:
                    if not self.enter():
                        break
                    self.begin()
                    is_in = True
                if self.shared.has_to_end():
                    self.finish()
                    break
                self.step()
                self.count += 1
            except MountGone:
                self.note("gone", now_ms())
                self.forget()
                os.chdir("/")
                is_in = False
        self.note("steps", self.count)
        os.chdir("/")
