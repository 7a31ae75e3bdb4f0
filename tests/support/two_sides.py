#!/usr/bin/env python3
"""Random changes through two mounts of one home; each is looked for in the other at once.

Usage: two_sides.py FOLDER_A FOLDER_B CHANGES [SEED]

Prints the seed, and every sight of an old state with the change it missed; exit status 1 if there
was any. Changes: create, overwrite, append, truncate, mkdir, rename (files and folders, over
others), link, symlink, unlink, rmdir, chmod, utime. Sights: stat, contents, listing, absence.
"""
import os
import random
import stat
import sys


class Sides:
    def __init__(self, folders, changes, seed):
        self.folders, self.changes = folders, changes
        self.random = random.Random(seed)
        self.files, self.dirs, self.links = {}, {""}, {}  # path -> inode key; targets of symlinks
        self.data, self.next_key = {}, 0                  # inode key -> bytes
        self.stale = 0

    def path(self, side, name):
        return os.path.join(self.folders[side], name)

    def new_name(self):
        parent = self.random.choice(sorted(self.dirs))
        return os.path.join(parent, f"n{self.random.randrange(40)}")

    def is_free(self, name):
        return name not in self.files and name not in self.dirs and name not in self.links

    def report(self, number, what, saw, expected):
        self.stale += 1
        print(f"change {number}: {what}: saw {saw!r}, expected {expected!r}", flush=True)

    # ---- looking ----

    def look_file(self, number, side, name, what):
        key = self.files[name]
        expected = self.data[key]
        try:
            found = os.stat(self.path(side, name))
            with open(self.path(side, name), "rb") as file:
                data = file.read()
        except OSError as error:
            return self.report(number, what, error.strerror, "a file")
        if found.st_size != len(expected):
            self.report(number, what + " size", found.st_size, len(expected))
        names = sum(1 for other in self.files.values() if other == key)
        if found.st_nlink != names:
            self.report(number, what + " links", found.st_nlink, names)
        if data != expected:
            self.report(number, what + " contents", data[:40], expected[:40])

    def look_absent(self, number, side, name, what):
        try:
            os.lstat(self.path(side, name))
            self.report(number, what, "it is there", "absent")
        except FileNotFoundError:
            pass
        except NotADirectoryError:
            pass

    def look_listing(self, number, side, parent, what):
        prefix = parent + "/" if parent else ""
        expected = {n[len(prefix):] for n in [*self.files, *self.dirs, *self.links]
                    if n and n.startswith(prefix) and "/" not in n[len(prefix):]}
        found = set(os.listdir(self.path(side, parent)))
        if found != expected:
            self.report(number, what + " listing of " + parent, sorted(found ^ expected), [])

    # ---- changing ----

    def write(self, number, side, other):
        name = self.random.choice(sorted(self.files)) if self.files and self.random.random() < 0.7 \
            else self.new_name()
        if name in self.dirs or name in self.links:
            return
        how = self.random.choice(["wb", "ab", "r+b"]) if name in self.files else "wb"
        text = self.random.randbytes(self.random.choice([1, 10, 300, 5000, 70000]))
        old = self.data[self.files[name]] if name in self.files else b""
        with open(self.path(side, name), how, buffering=0) as file:
            file.write(text)
            if name not in self.files:
                self.files[name] = self.next_key
                self.next_key += 1
            new = {"wb": text, "ab": old + text, "r+b": text + old[len(text):]}[how]
            self.data[self.files[name]] = new
            if self.random.random() < 0.5:  # also before it is closed
                self.look_file(number, other, name, f"{how} {name} (open)")
        self.look_file(number, other, name, f"{how} {name}")

    def truncate(self, number, side, other):
        if not self.files:
            return
        name = self.random.choice(sorted(self.files))
        size = self.random.choice([0, 3, 4096, 100000])
        os.truncate(self.path(side, name), size)
        key = self.files[name]
        self.data[key] = self.data[key][:size].ljust(size, b"\0")
        self.look_file(number, other, name, f"truncate {name}")

    def mkdir(self, number, side, other):
        name = self.new_name()
        if not self.is_free(name) or len(self.dirs) > 30:
            return
        os.mkdir(self.path(side, name))
        self.dirs.add(name)
        self.look_listing(number, other, name, f"mkdir {name}")
        self.look_listing(number, other, os.path.dirname(name), f"mkdir {name}")

    def rename(self, number, side, other):
        sources = sorted([*self.files, *(self.dirs - {""})])
        if not sources:
            return
        source, target = self.random.choice(sources), self.new_name()
        if target == source or target.startswith(source + "/") or source.startswith(target + "/"):
            return
        if source in self.dirs and not self.is_free(target):
            return
        if source in self.files and (target in self.dirs or target in self.links):
            return
        if source in self.files and self.files.get(target) == self.files[source]:
            return
        os.rename(self.path(side, source), self.path(side, target))
        for table in (self.files, self.links):
            for name in [n for n in table if n == source or n.startswith(source + "/")]:
                table[target + name[len(source):]] = table.pop(name)
        for name in [n for n in self.dirs if n and (n == source or n.startswith(source + "/"))]:
            self.dirs.remove(name)
            self.dirs.add(target + name[len(source):])
        what = f"rename {source} {target}"
        self.look_absent(number, other, source, what)
        if target in self.files:
            self.look_file(number, other, target, what)
        else:
            self.look_listing(number, other, target, what)

    def link(self, number, side, other):
        name = self.new_name()
        if not self.files or not self.is_free(name):
            return
        source = self.random.choice(sorted(self.files))
        os.link(self.path(side, source), self.path(side, name))
        self.files[name] = self.files[source]
        self.look_file(number, other, name, f"link {source} {name}")
        self.look_file(number, other, source, f"link {source} {name}")

    def symlink(self, number, side, other):
        name = self.new_name()
        if not self.is_free(name):
            return
        self.links[name] = f"target {number}"
        os.symlink(self.links[name], self.path(side, name))
        try:
            found = os.readlink(self.path(other, name))
        except OSError as error:
            found = error.strerror
        if found != self.links[name]:
            self.report(number, f"symlink {name}", found, self.links[name])

    def unlink(self, number, side, other):
        names = sorted([*self.files, *self.links])
        if not names:
            return
        name = self.random.choice(names)
        os.unlink(self.path(side, name))
        self.files.pop(name, None)
        self.links.pop(name, None)
        self.look_absent(number, other, name, f"unlink {name}")
        self.look_listing(number, other, os.path.dirname(name), f"unlink {name}")

    def rmdir(self, number, side, other):
        empty = [d for d in sorted(self.dirs - {""})
                 if not any(n.startswith(d + "/") for n in [*self.files, *self.dirs, *self.links])]
        if not empty:
            return
        name = self.random.choice(empty)
        os.rmdir(self.path(side, name))
        self.dirs.remove(name)
        self.look_absent(number, other, name, f"rmdir {name}")

    def attributes(self, number, side, other):
        names = sorted([*self.files, *(self.dirs - {""})])
        if not names:
            return
        name = self.random.choice(names)
        mode = self.random.choice([0o600, 0o640, 0o644, 0o700, 0o755]) | \
            (0o700 if name in self.dirs else 0)
        nanoseconds = self.random.randrange(10**18, 2 * 10**18)
        os.chmod(self.path(side, name), mode)
        found = stat.S_IMODE(os.stat(self.path(other, name)).st_mode)
        if found != mode:
            self.report(number, f"chmod {name}", oct(found), oct(mode))
        os.utime(self.path(side, name), ns=(nanoseconds, nanoseconds))
        found = os.stat(self.path(other, name)).st_mtime_ns
        if found != nanoseconds:
            self.report(number, f"utime {name}", found, nanoseconds)

    def run(self):
        kinds = [self.write] * 5 + [self.rename] * 2 + [self.unlink] * 2 + [
            self.truncate, self.mkdir, self.link, self.symlink, self.rmdir, self.attributes]
        for number in range(self.changes):
            side = self.random.randrange(2)
            self.random.choice(kinds)(number, side, 1 - side)
        for side in (0, 1):
            for parent in sorted(self.dirs):
                self.look_listing(self.changes, side, parent, "at the end")
            for name in sorted(self.files):
                self.look_file(self.changes, side, name, f"at the end {name}")
        return self.stale


def main():
    folders, changes = sys.argv[1:3], int(sys.argv[3])
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else random.SystemRandom().randrange(2**32)
    print(f"seed {seed}", flush=True)
    stale = Sides(folders, changes, seed).run()
    print(f"{changes} changes, {stale} seen too late")
    sys.exit(1 if stale else 0)


main()
