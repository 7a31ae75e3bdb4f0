#!/usr/bin/env python3
"""The same random calls in a local folder and in one or more mounts of a home, and the same answers.

Usage: same_answers.py LOCAL MOUNT[,MOUNT...] CALLS [SEED]

Each call goes to the local folder and to one of the mounts. Compared are its errno or result, what
it did to size, mode, links and data, and which of mtime and ctime it changed, of the file and of its
folder; now and then the whole trees are compared from every mount, and as root the kernel's caches
are dropped. Prints the seed; at the first difference the last calls, exit status 1.
"""
import collections
import ctypes
import errno
import os
import random
import stat
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
NAMES = ["a", "b", "c", "d", "e", "f", "\u00fc", "with space", "new\nline", "n" * 255]
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
NOREPLACE, EXCHANGE = 1, 2


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


def rename(source, target, flags):
    checked(LIBC.renameat2(-100, os.fsencode(source), -100, os.fsencode(target), flags))


def fallocate(fd, mode, offset, length):
    checked(LIBC.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)))


class Both:
    """One random stream of calls, each made on both sides."""

    def __init__(self, local, mounts, seed):
        self.local, self.mounts = local, mounts
        self.random = random.Random(seed)
        self.mount = mounts[0]
        self.open = []  # (local fd, mount fd)
        self.history = collections.deque(maxlen=40)
        self.number = 0

    # ---- choices ----

    def path(self):
        path = self.random.choice(NAMES[:7] if self.random.random() < 0.9 else NAMES)
        while self.random.random() < 0.35:
            path += "/" + self.random.choice(NAMES[:7])
        return path

    def text(self):
        return self.random.randbytes(self.random.choice([0, 1, 7, 500, 5000, 150000]))

    def offset(self):
        return self.random.choice([0, 1, 100, 4096, 65536, 70000, 200000])

    # ---- one call on both sides ----

    def attempt(self, function, *arguments):
        try:
            return function(*arguments), 0
        except OSError as error:
            return None, error.errno

    def differ(self, what, ours, theirs):
        for line in self.history:
            print("  " + line)
        if isinstance(ours, bytes) and isinstance(theirs, bytes):
            first = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), "end")
            what = f"{what}, from byte {first} on"
            ours, theirs = (len(ours), ours[:20]), (len(theirs), theirs[:20])
        print(f"{what}: the mount says {ours!r}, the local folder {theirs!r}"[:2000], flush=True)
        sys.exit(1)

    def same(self, what, ours, theirs):
        if ours != theirs:
            self.differ(what, ours, theirs)

    @staticmethod
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

    @staticmethod
    def changed(before, after):
        if before is None or after is None:
            return None
        if before["inode"] != after["inode"]:
            return "another file"
        return {which: before[which] != after[which] for which in ("mtime", "ctime")}

    def call(self, what, function, paths):
        """function(root): made in both trees. paths: what to look at before and after."""
        self.number += 1
        self.history.append(f"{self.number} {what} in {os.path.basename(self.mount)}")
        looked = {p for path in paths for p in (path, os.path.dirname(path))}
        sides = []
        for root in (self.mount, self.local):
            before = {p: self.look(os.path.join(root, p)) for p in looked}
            result = self.attempt(function, root)
            after = {p: self.look(os.path.join(root, p)) for p in looked}
            sides.append((result, before, after))
        (ours, our_before, our_after), (theirs, their_before, their_after) = sides
        self.same(f"{what}: errno", errno.errorcode.get(ours[1], 0),
                  errno.errorcode.get(theirs[1], 0))
        self.same(f"{what}: result", ours[0], theirs[0])
        for p in sorted(looked):
            strip = lambda look: look and {k: look[k] for k in ("mode", "links", "size")}
            self.same(f"{what}: {p!r}", strip(our_after[p]), strip(their_after[p]))
            self.same(f"{what}: times of {p!r}", self.changed(our_before[p], our_after[p]),
                      self.changed(their_before[p], their_after[p]))

    # ---- the calls ----

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
            if not stat.S_ISREG(os.stat(os.path.join(root, path)).st_mode):
                return None
            with open(os.path.join(root, path), "rb") as file:
                return file.read()
        self.call(f"read {path!r}", work, [])

    def keep_open(self):
        path = self.path()
        fds = []
        for root in (self.local, self.mount):
            try:
                if not stat.S_ISREG(os.lstat(os.path.join(root, path)).st_mode):
                    break
                fds.append(os.open(os.path.join(root, path), os.O_RDWR))
            except OSError:
                break
        if len(fds) == 2 and len(self.open) < 8:
            self.number += 1
            self.history.append(f"{self.number} keep {path!r} open in {self.mount}")
            self.open.append(fds)
        else:
            for fd in fds:
                os.close(fd)

    def use_open(self):
        if not self.open:
            return
        local, mount = pair = self.random.choice(self.open)
        text, offset, length = self.text(), self.offset(), 1 + self.offset()
        what, work = self.random.choice([
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
            ("close", None)])
        self.number += 1
        self.history.append(f"{self.number} {what} {offset}+{length} of an open file")
        if work is None:
            self.open.remove(pair)
            work = os.close
        ours, theirs = self.attempt(work, mount), self.attempt(work, local)
        self.same(f"{what} of an open file: errno", errno.errorcode.get(ours[1], 0),
                  errno.errorcode.get(theirs[1], 0))
        self.same(f"{what} of an open file", ours[0], theirs[0])

    # ---- trees ----

    def tree(self, root):
        found = {}
        for folder, folders, files in os.walk(root):
            for name in folders + files:
                path = os.path.join(folder, name)
                look = self.look(path)
                data = None
                if stat.S_ISREG(look["mode"]):
                    with open(path, "rb") as file:
                        data = file.read()
                elif stat.S_ISLNK(look["mode"]):
                    data = os.readlink(path)
                found[os.path.relpath(path, root)] = (look["mode"], look["links"], look["size"],
                                                      data)
        return found

    def compare_trees(self):
        theirs = self.tree(self.local)
        for mount in self.mounts:
            ours = self.tree(mount)
            self.same(f"names in {mount}", sorted(ours), sorted(theirs))
            for path, what in theirs.items():
                self.same(f"{path!r} in {mount}", ours[path], what)

    def run(self, calls):
        kinds = [self.on_paths] * 10 + [self.write] * 6 + [self.read] * 2 + \
            [self.keep_open, self.use_open, self.use_open, self.use_open]
        while self.number < calls:
            self.mount = self.random.choice(self.mounts)
            self.random.choice(kinds)()
            if self.random.random() < 0.003:
                self.compare_trees()
            if self.random.random() < 0.001 and os.geteuid() == 0:
                self.history.append("drop the kernel's caches")
                with open("/proc/sys/vm/drop_caches", "w") as drop:
                    drop.write("2")
        self.compare_trees()
        for pair in self.open:
            for fd in pair:
                os.close(fd)


def main():
    local, mounts, calls = sys.argv[1], sys.argv[2].split(","), int(sys.argv[3])
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else random.SystemRandom().randrange(2**32)
    os.umask(0o022)
    for root in (local, mounts[0]):
        os.chmod(root, 0o755)
    print(f"seed {seed}", flush=True)
    Both(local, mounts, seed).run(calls)
    print(f"{calls} calls, the same answers")


main()
