#!/usr/bin/env python3
"""The same calls on extended attributes in a mount and in a local folder, and the same answers.

Usage: xattr_checks.py MOUNT LOCAL
"""
import errno
import os
import sys

CREATE, REPLACE = os.XATTR_CREATE, os.XATTR_REPLACE
SIZES = [0, 1, 255, 256, 1000, 3000, 4000, 4096, 5000, 20000, 65535, 65536, 65537, 70000]


def calls(kind):
    """(what, function of a path), in order."""
    name = b"user." + bytes(b for b in range(1, 256) if b != ord("/"))[:250]
    for size in SIZES:
        # The answer has to do with the room that is left; so one at a time.
        yield f"set {size} bytes", lambda p, s=size: os.setxattr(p, "user.size", b"v" * s)
        yield f"get {size} bytes", lambda p: os.getxattr(p, "user.size")
        yield f"remove {size} bytes", lambda p: os.removexattr(p, "user.size")
    yield "create", lambda p: os.setxattr(p, "user.one", b"1", CREATE)
    yield "create again", lambda p: os.setxattr(p, "user.one", b"2", CREATE)
    yield "get it", lambda p: os.getxattr(p, "user.one")
    yield "replace", lambda p: os.setxattr(p, "user.one", b"\x00\xff", REPLACE)
    yield "get the new one", lambda p: os.getxattr(p, "user.one")
    yield "replace what is not there", lambda p: os.setxattr(p, "user.two", b"", REPLACE)
    yield "get what is not there", lambda p: os.getxattr(p, "user.two")
    yield "remove what is not there", lambda p: os.removexattr(p, "user.two")
    yield "both flags", lambda p: os.setxattr(p, "user.one", b"3", CREATE | REPLACE)
    yield "both flags, and it is not there", lambda p: os.setxattr(p, "user.two", b"3", CREATE | REPLACE)
    yield "an empty value", lambda p: os.setxattr(p, "user.empty", b"")
    yield "get the empty value", lambda p: os.getxattr(p, "user.empty")
    yield "a name of any bytes", lambda p: os.setxattr(p, name, b"odd")
    yield "list", lambda p: sorted(os.listxattr(p))
    yield "get the odd one", lambda p: os.getxattr(p, name)
    yield "remove the odd one", lambda p: os.removexattr(p, name)
    yield "no name behind the dot", lambda p: os.setxattr(p, "user.", b"1")
    yield "a long name", lambda p: os.setxattr(p, "user." + "n" * 250, b"1")
    yield "one that is too long", lambda p: os.setxattr(p, "user." + "n" * 251, b"1")
    yield "a name without a name space", lambda p: os.setxattr(p, "plain", b"1")
    yield "get one without a name space", lambda p: os.getxattr(p, "plain")
    yield "remove one without a name space", lambda p: os.removexattr(p, "plain")
    yield "an unknown name space", lambda p: os.setxattr(p, "mine.one", b"1")
    yield "security.capability of a plain file", lambda p: os.getxattr(p, "security.capability")
    for number in range(40):
        yield f"many: {number}", lambda p, n=number: os.setxattr(p, f"user.many{n:03}", b"v" * 20)
    yield "list many", lambda p: sorted(os.listxattr(p))
    for number in range(0, 40, 2):
        yield f"remove of many: {number}", lambda p, n=number: os.removexattr(p, f"user.many{n:03}")
    yield "list what is left", lambda p: sorted(os.listxattr(p))
    if kind == "file":
        yield "chmod keeps them", lambda p: os.chmod(p, 0o400)
        yield "list after chmod", lambda p: sorted(os.listxattr(p))
        yield "append keeps them", lambda p: open(p, "ab").write(b"more")
        yield "list after an append", lambda p: sorted(os.listxattr(p))


def answer(function, path):
    try:
        return function(path)
    except OSError as error:
        return errno.errorcode[error.errno]


def special(root):
    """Attributes of what is neither file nor folder."""
    os.mkfifo(root + "/fifo")
    os.symlink("file", root + "/link")
    os.symlink("nowhere", root + "/dangling")
    for what in ("fifo", "link", "dangling"):
        for name in ("user.x",):
            path = f"{root}/{what}"
            yield what, "set", answer(lambda p: os.setxattr(p, name, b"1", follow_symlinks=False), path)
            yield what, "get", answer(lambda p: os.getxattr(p, name, follow_symlinks=False), path)
            yield what, "remove", answer(lambda p: os.removexattr(p, name, follow_symlinks=False), path)
            yield what, "list", answer(lambda p: os.listxattr(p, follow_symlinks=False), path)
    yield "link", "set through it", answer(lambda p: os.setxattr(p, "user.through", b"1"), root + "/link")
    yield "link", "list through it", answer(lambda p: sorted(os.listxattr(p)), root + "/link")


def main():
    mount, local = sys.argv[1:3]
    count, wrong = 0, 0

    def compare(what, ours, theirs):
        nonlocal count, wrong
        count += 1
        if ours != theirs:
            wrong += 1
            print(f"{what}: the mount says {ours!r}, the local folder {theirs!r}"[:300])

    for kind in ("file", "folder"):
        for root in (mount, local):
            if kind == "file":
                open(f"{root}/{kind}", "w").close()
            else:
                os.mkdir(f"{root}/{kind}")
        for what, function in calls(kind):
            compare(f"{what} ({kind})", answer(function, f"{mount}/{kind}"), answer(function, f"{local}/{kind}"))
    for ours, theirs in zip(special(mount), special(local)):
        compare(ours[:2], ours, theirs)
    print(f"   {count} calls, {wrong} other answers")
    sys.exit(1 if wrong else 0)


main()
