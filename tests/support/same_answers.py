#!/usr/bin/env python3
"""The same random calls in a local folder and in one or more mounts of a home, and the same answers.

Usage: same_answers.py LOCAL MOUNT[,MOUNT...] CALLS [SEED]

Four processes take turns at random, each in one of the mounts. Each call goes to the local folder and
to the mount. Compared are its errno or result, what it did to size, mode, links and data, and which of
mtime and ctime it changed, of the file and of its folder; files and folders that are kept open are
written, mapped, copied, locked and listed; now and then the whole trees are compared from every mount,
and as root the kernel's caches are dropped. Prints the seed; at the first difference the last calls,
exit status 1.
"""
import collections
import ctypes
import errno
import fcntl
import mmap
import multiprocessing
import os
import random
import stat
import struct
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
NAMES = ["a", "b", "c", "d", "e", "f", "\u00fc", "with space", "new\nline", "n" * 255]
CALLERS = 4
KEPT_MAX = 6  # of each process
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
NOREPLACE, EXCHANGE = 1, 2
OFD_GETLK, OFD_SETLK = 36, 37
FLOCK = "hhqqi4x"  # struct flock: type, whence, start, length, pid


# ---- calls that Python has no good name for ----


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


def rename(source, target, flags):
    checked(LIBC.renameat2(-100, os.fsencode(source), -100, os.fsencode(target), flags))


def fallocate(fd, mode, offset, length):
    checked(LIBC.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)))


def record_lock(fd, command, kind, start, length):
    """For GETLK: whether there is a lock in the way. Which of several it names is not said anywhere."""
    pid = 0
    lock = fcntl.fcntl(fd, command, struct.pack(FLOCK, kind, os.SEEK_SET, start, length, pid))
    is_question = command in (fcntl.F_GETLK, OFD_GETLK)
    return struct.unpack(FLOCK, lock)[0] != fcntl.F_UNLCK if is_question else None


def read_mapped(fd):
    size = os.fstat(fd).st_size
    if size == 0:
        return b""
    with mmap.mmap(fd, size) as memory:
        return memory[:]


def write_mapped(fd, offset, data):
    size = os.fstat(fd).st_size
    data = data[:max(0, size - offset)]
    if not data:
        return
    with mmap.mmap(fd, size) as memory:
        memory[offset:offset + len(data)] = data
        memory.flush()


def seek_hole(fd, offset):
    """Which zeros are a hole is the file system's own affair."""
    os.lseek(fd, offset, os.SEEK_HOLE)


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


# ---- what is compared ----


class Difference(Exception):
    pass


def same(what, ours, theirs):
    if ours == theirs:
        return
    if isinstance(ours, bytes) and isinstance(theirs, bytes):
        first = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), "end")
        what = f"{what}, from byte {first} on"
        ours, theirs = (len(ours), ours[:20]), (len(theirs), theirs[:20])
    raise Difference(f"{what}: the mount says {ours!r}, the local folder {theirs!r}"[:2000])


def same_answer(what, ours, theirs):
    same(f"{what}: errno", errno.errorcode.get(ours[1], 0), errno.errorcode.get(theirs[1], 0))
    same(f"{what}: result", ours[0], theirs[0])


def attempt(function, *arguments):
    """The result and the errno."""
    try:
        return function(*arguments), 0
    except OSError as error:
        return None, error.errno


def look(path):
    try:
        found = os.lstat(path)
    except OSError:
        return None
    # The size and the number of links of a folder are the file system's own affair.
    is_folder = stat.S_ISDIR(found.st_mode)
    return {"inode": found.st_ino, "mode": found.st_mode, "links": None if is_folder else found.st_nlink,
            "size": None if is_folder else found.st_size,
            "mtime": found.st_mtime_ns, "ctime": found.st_ctime_ns}


def without_times(found):
    return found and {key: found[key] for key in ("mode", "links", "size")}


def changed(before, after):
    if before is None or after is None:
        return None
    if before["inode"] != after["inode"]:
        return "another file"
    return {which: before[which] != after[which] for which in ("mtime", "ctime")}


def tree(root):
    found = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = os.path.join(folder, name)
            entry = without_times(look(path)) or {"mode": 0}  # in a folder that cannot be searched
            if stat.S_ISREG(entry["mode"]):
                entry["data"] = read_file(path)
                entry["xattrs"] = {key: os.getxattr(path, key) for key in sorted(os.listxattr(path))}
            elif stat.S_ISLNK(entry["mode"]):
                entry["data"] = os.readlink(path)
            found[os.path.relpath(path, root)] = entry
    return found


def compare_trees(local, mounts):
    theirs = tree(local)
    for mount in mounts:
        ours = tree(mount)
        same(f"names in {mount}", sorted(ours), sorted(theirs))
        for path, entry in theirs.items():
            for key, value in entry.items():
                same(f"{key} of {path!r} in {mount}", ours[path].get(key), value)


# ---- the processes ----

Kept = collections.namedtuple("Kept", "mount local is_folder")


class Caller:
    """One process: a random stream of calls, each made on both sides."""

    def __init__(self, local, mount, seed):
        self.local, self.mount = local, mount
        self.random = random.Random(seed)
        self.kept = []
        self.what = ""  # the call that is made

    def step(self):
        kinds = [self.on_paths] * 10 + [self.write] * 6 + [self.read] * 2 + \
            [self.keep_open] + [self.use_kept] * 3
        self.what = "nothing"
        self.random.choice(kinds)()

    def path(self):
        path = self.random.choice(NAMES[:7] if self.random.random() < 0.9 else NAMES)
        while self.random.random() < 0.35:
            path += "/" + self.random.choice(NAMES[:7])
        return path

    def text(self):
        return self.random.randbytes(self.random.choice([0, 1, 7, 500, 5000, 150000]))

    def offset(self):
        return self.random.choice([0, 1, 100, 4096, 65536, 70000, 200000])

    # ---- by paths ----

    def call(self, what, function, paths):
        """function(root): made in both trees. paths: what to look at before and after."""
        self.what = what
        looked = {p for path in paths for p in (path, os.path.dirname(path))}
        sides = []
        for root in (self.mount, self.local):
            before = {p: look(os.path.join(root, p)) for p in looked}
            answer = attempt(function, root)
            after = {p: look(os.path.join(root, p)) for p in looked}
            sides.append((answer, before, after))
        (ours, our_before, our_after), (theirs, their_before, their_after) = sides
        same_answer(what, ours, theirs)
        for p in sorted(looked):
            same(f"{what}: {p!r}", without_times(our_after[p]), without_times(their_after[p]))
            same(f"{what}: times of {p!r}", changed(our_before[p], our_after[p]),
                 changed(their_before[p], their_after[p]))

    def on_paths(self):
        a, b = self.path(), self.path()
        mode = self.random.choice([0o600, 0o644, 0o755, 0o1777, 0o400, 0o4755, 0o2755, 0o6711])
        at = lambda path: lambda root: os.path.join(root, path)
        size, seconds = self.offset(), self.random.randrange(10**9)
        calls = [
            ("mkdir", lambda r: os.mkdir(at(a)(r), mode | 0o700), [a]),
            ("rmdir", lambda r: os.rmdir(at(a)(r)), [a]),
            ("unlink", lambda r: os.unlink(at(a)(r)), [a]),
            ("symlink", lambda r: os.symlink(b, at(a)(r)), [a]),
            ("readlink", lambda r: os.readlink(at(a)(r)), [a]),
            ("link", lambda r: os.link(at(a)(r), at(b)(r), follow_symlinks=False), [a, b]),
            ("rename", lambda r: rename(at(a)(r), at(b)(r), 0), [a, b]),
            ("rename", lambda r: rename(at(a)(r), at(b)(r), 0), [a, b]),
            ("rename noreplace", lambda r: rename(at(a)(r), at(b)(r), NOREPLACE), [a, b]),
            ("rename exchange", lambda r: rename(at(a)(r), at(b)(r), EXCHANGE), [a, b]),
            ("truncate", lambda r: os.truncate(at(a)(r), size), [a]),
            ("chmod", lambda r: os.chmod(at(a)(r), mode), [a]),
            ("utime", lambda r: os.utime(at(a)(r), ns=(seconds, seconds * 3),
                                         follow_symlinks=False), [a]),
            ("fifo", lambda r: os.mkfifo(at(a)(r), 0o644), [a]),
            ("socket", lambda r: os.mknod(at(a)(r), stat.S_IFSOCK | 0o600), [a]),
            ("listdir", lambda r: sorted(os.listdir(at(a)(r))), [a]),
            ("stat", lambda r: stat.S_IFMT(os.stat(at(a)(r)).st_mode), [a]),
            ("setxattr", lambda r: os.setxattr(at(a)(r), "user.x" + str(size), b"v" * (size % 300),
                                               follow_symlinks=False), [a]),
            ("listxattr", lambda r: sorted(os.listxattr(at(a)(r), follow_symlinks=False)), []),
            ("removexattr", lambda r: os.removexattr(at(a)(r), "user.x" + str(size),
                                                     follow_symlinks=False), [a]),
        ]
        name, function, paths = self.random.choice(calls)
        self.call(f"{name} {a!r}" + (f" {b!r}" if len(paths) == 2 else ""), function, paths)

    def write(self):
        path, text, offset = self.path(), self.text(), self.offset()
        flags = self.random.choice([os.O_CREAT, os.O_CREAT | os.O_EXCL, os.O_TRUNC, os.O_APPEND,
                                    os.O_CREAT | os.O_TRUNC, os.O_CREAT | os.O_APPEND])

        def work(root):
            fd = os.open(os.path.join(root, path), flags | os.O_WRONLY | os.O_NONBLOCK, 0o644)
            try:
                return os.pwrite(fd, text, offset)
            finally:
                os.close(fd)
        self.call(f"write {path!r} {flags:o} {offset}+{len(text)}", work, [path])

    def read(self):
        path = self.path()

        def work(root):
            name = os.path.join(root, path)
            return read_file(name) if stat.S_ISREG(os.stat(name).st_mode) else None
        self.call(f"read {path!r}", work, [])

    # ---- by what is kept open ----

    def keep_open(self):
        path = self.path()
        # What is asked of O_DIRECT differs between file systems: alignment.
        mount_only = self.random.choice([0, 0, os.O_DIRECT])
        flags = os.O_RDWR | self.random.choice([0, 0, os.O_APPEND, os.O_SYNC])
        found = look(os.path.join(self.local, path))
        is_folder = found is not None and stat.S_ISDIR(found["mode"])
        if is_folder:
            flags, mount_only = os.O_RDONLY | os.O_DIRECTORY, 0
        elif found is None or not stat.S_ISREG(found["mode"]) or len(self.kept) == KEPT_MAX:
            return
        self.what = f"keep {path!r} open {flags | mount_only:o}"
        ours = attempt(os.open, os.path.join(self.mount, path), flags | mount_only)
        theirs = attempt(os.open, os.path.join(self.local, path), flags)
        same(f"{self.what}: errno", ours[1], theirs[1])
        if ours[1] == 0:
            self.kept.append(Kept(ours[0], theirs[0], is_folder))

    def use_kept(self):
        if not self.kept:
            return
        number = self.random.randrange(len(self.kept))
        kept = self.kept[number]
        if self.random.random() < 0.1:
            what, work = "close", os.close
            del self.kept[number]
        else:
            what, work = self.folder_call() if kept.is_folder else self.file_call()
        self.what = f"{what} of open number {number}"
        same_answer(self.what, attempt(work, kept.mount), attempt(work, kept.local))

    def folder_call(self):
        name, other = self.random.choice(NAMES), self.random.choice(NAMES)
        return self.random.choice([
            ("list", lambda fd: sorted(os.listdir(fd))),
            ("fstat", lambda fd: os.fstat(fd).st_mode),
            ("fsync", os.fsync),
            (f"mkdirat {name!r}", lambda fd: os.mkdir(name, 0o755, dir_fd=fd)),
            (f"openat {name!r}", lambda fd: os.close(
                os.open(name, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK, 0o644, dir_fd=fd))),
            (f"unlinkat {name!r}", lambda fd: os.unlink(name, dir_fd=fd)),
            (f"rmdir at {name!r}", lambda fd: os.rmdir(name, dir_fd=fd)),
            (f"renameat {name!r} {other!r}",
             lambda fd: os.rename(name, other, src_dir_fd=fd, dst_dir_fd=fd))])

    def file_call(self):
        text, offset, length = self.text(), self.offset(), 1 + self.offset()
        shared, blocking = self.random.random() < 0.5, fcntl.LOCK_NB
        kind = self.random.choice([fcntl.F_RDLCK, fcntl.F_WRLCK, fcntl.F_UNLCK])
        set_lock, get_lock = self.random.choice([(fcntl.F_SETLK, fcntl.F_GETLK), (OFD_SETLK, OFD_GETLK)])
        what, work = self.random.choice([
            ("pwrite", lambda fd: os.pwrite(fd, text, offset)),
            ("pwrite", lambda fd: os.pwrite(fd, text, offset)),
            ("pread", lambda fd: os.pread(fd, 200000, offset)),
            ("ftruncate", lambda fd: os.ftruncate(fd, offset)),
            ("fstat", lambda fd: (os.fstat(fd).st_size, os.fstat(fd).st_nlink)),
            ("fsync", os.fsync),
            ("punch", lambda fd: fallocate(fd, PUNCH_HOLE | KEEP_SIZE, offset, length)),
            ("zero", lambda fd: fallocate(fd, ZERO_RANGE, offset, length)),
            ("allocate", lambda fd: fallocate(fd, 0, offset, length)),
            # The kernel cuts a copy at the size it last heard of, so it has to hear (cp asks too).
            ("copy", lambda fd: os.fstat(fd) and
             os.copy_file_range(fd, fd, min(length, offset), 0, offset)),
            ("map to read", read_mapped),
            ("map to write", lambda fd: write_mapped(fd, offset, text)),
            ("seek hole", lambda fd: seek_hole(fd, offset)),
            (f"flock {shared}",
             lambda fd: fcntl.flock(fd, blocking | (fcntl.LOCK_SH if shared else fcntl.LOCK_EX))),
            ("flock no more", lambda fd: fcntl.flock(fd, fcntl.LOCK_UN)),
            (f"record lock {set_lock} {kind}",
             lambda fd: record_lock(fd, set_lock, kind, offset, length)),
            (f"whose record lock {get_lock}",
             lambda fd: record_lock(fd, get_lock, fcntl.F_WRLCK, offset, length))])
        return f"{what} {offset}+{length} ({len(text)})", work


def serve(caller, connection):
    """Makes a call for each message; its answer is what the call was, and how it differed."""
    while connection.recv():
        try:
            caller.step()
            connection.send((caller.what, None))
        except Difference as difference:
            connection.send((caller.what, str(difference)))


class Conductor:
    """Whose turn it is, and what is looked at in between."""

    def __init__(self, local, mounts, seed):
        self.local, self.mounts = local, mounts
        self.random = random.Random(seed)
        self.history = collections.deque(maxlen=40)
        self.connections = []
        processes = multiprocessing.get_context("fork")
        for number in range(CALLERS):
            here, there = processes.Pipe()
            caller = Caller(local, mounts[number % len(mounts)], f"{seed} {number}")
            processes.Process(target=serve, args=(caller, there), daemon=True).start()
            there.close()
            self.connections.append(here)

    def run(self, calls):
        for number in range(1, calls + 1):
            turn = self.random.randrange(CALLERS)
            self.connections[turn].send(True)
            what, difference = self.connections[turn].recv()
            self.history.append(f"{number} process {turn}: {what}")
            if difference:
                raise Difference(difference)
            if self.random.random() < 0.003:
                compare_trees(self.local, self.mounts)
            if self.random.random() < 0.001 and os.geteuid() == 0:
                self.history.append("drop the kernel's caches")
                with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as drop:
                    drop.write("2")
        for connection in self.connections:
            connection.send(False)
        compare_trees(self.local, self.mounts)


def main():
    local, mounts, calls = sys.argv[1], sys.argv[2].split(","), int(sys.argv[3])
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else random.SystemRandom().randrange(2**32)
    os.umask(0o022)
    for root in (local, mounts[0]):
        os.chmod(root, 0o755)
    print(f"seed {seed}", flush=True)
    conductor = Conductor(local, mounts, seed)
    try:
        conductor.run(calls)
    except Difference as difference:
        print("\n".join("  " + line for line in conductor.history))
        print(difference, flush=True)
        return 1
    print(f"{calls} calls, the same answers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
