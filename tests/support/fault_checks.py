"""What must be on the server's disk, and in every mount, when the programs of the fault harness have ended:
by their journals and models (fault_program.py), not by what a mount says.

Each check returns its findings as lines of text; none: all is well.
"""
import collections
import hashlib
import os
import re
import stat

from fault_program import pattern
from fault_programs import SLOT_BYTES, record


class Journal:
    """The lines of one program, as lists of words, and the moments at which its mount was killed."""

    def __init__(self, place, name):
        with open(f"{place}/journals/{name}", encoding="ascii") as file:
            self.lines = [line.split() for line in file if line.endswith("\n")]
        self.kind, index = name.rsplit("-", 1)
        self.index = int(index)

    def numbers(self, word):
        return [int(line[1]) for line in self.lines if line[0] == word]

    def how(self):
        return next((line[1] for line in self.lines if line[0] == "how"), "none")

    def kills(self):
        return sum(line[0] == "gone" for line in self.lines)


def promised_lines(journal):
    """The numbers that have to be there, and those that may: what a killed daemon had not synced, and what
    was under way."""
    must, may, unsynced = set(), set(), []
    for line in journal.lines:
        if line[0] == "try":
            may.add(int(line[1]))
        elif line[0] == "ack":
            unsynced.append(int(line[1]))
        elif line[0] == "safe":
            must.update(n for n in unsynced if n <= int(line[1]))
            unsynced = [n for n in unsynced if n > int(line[1])]
        elif line[0] == "gone":
            unsynced = []
    return must.union(unsynced), may


def check_logs(place, home, journals):
    findings = []
    by_file = collections.defaultdict(list)
    for journal in journals:
        if journal.kind == "log":
            by_file["log." + journal.how()].append(journal)
    for name, writers in sorted(by_file.items()):
        lines = read(f"{home}/{name}").split(b"\n")
        whole = collections.Counter()
        torn = [] if lines.pop() == b"" else ["the end"]
        order = collections.defaultdict(int)
        disordered = 0
        for line in lines:
            parts = re.match(rb"(\d+)\.(\d+)\.", line)
            if not parts or record(int(parts[1]), int(parts[2])) != line + b"\n":
                torn.append(line[:60])
                continue
            key = int(parts[1]), int(parts[2])
            whole[key] += 1
            disordered += order[key[0]] > key[1]
            order[key[0]] = key[1]
        allowed_torn = sum(w.kills() for w in writers)
        lost = []
        for writer in writers:
            must, may = promised_lines(writer)
            lost += [(writer.index, n) for n in sorted(must) if (writer.index, n) not in whole]
            extra = [k for k in whole if k[0] == writer.index and k[1] not in may]
            if extra:
                findings.append(f"{name}: {len(extra)} lines of writer {writer.index} that it never wrote: {extra[:3]}")
        twice = [key for key, count in whole.items() if count > 1]
        what = f"{name}, {sum(len(w.numbers('ack')) for w in writers)} acknowledged"
        if lost:
            findings.append(f"{what}: {len(lost)} LOST, as {lost[:5]}")
        if len(torn) > allowed_torn:
            findings.append(f"{what}: {len(torn)} TORN, as {torn[:3]}")
        if twice:
            findings.append(f"{what}: {len(twice)} TWICE, as {twice[:5]}")
        if disordered:
            findings.append(f"{what}: {disordered} out of the order of their writer")
    return findings


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def last_version(journal):
    """The last version that was acknowledged, and those that may have come after it."""
    acknowledged, tries = 0, {}
    for line in journal.lines:
        if line[0] == "try":
            tries[int(line[1])] = int(line[2])
        elif line[0] == "ack":
            acknowledged = int(line[1])
    return acknowledged, {n: length for n, length in tries.items() if n >= acknowledged}


def check_slots(place, home, journals):
    findings = []
    data = read(f"{home}/slots")
    for journal in (j for j in journals if j.kind == "slot"):
        done, possible = last_version(journal)
        part = data[journal.index * SLOT_BYTES:(journal.index + 1) * SLOT_BYTES]
        if done == 0 or any(part.startswith(pattern(journal.index, n, length)) for n, length in possible.items()):
            continue
        if len(possible) > 1 and journal.kills():
            continue  # a version was being written when the daemon was killed
        findings.append(f"slot {journal.index}: version {done} was synced, {part[:40]!r} is there")
    return findings


def check_replaced(place, home, journals):
    findings = []
    for journal in (j for j in journals if j.kind == "replace"):
        done, possible = last_version(journal)
        data = read(f"{home}/replaced/r{journal.index}")
        if done and not any(data == pattern(journal.index, n, length) for n, length in possible.items()):
            findings.append(f"replaced file {journal.index}: version {done} was acknowledged, {data[:40]!r} "
                            f"({len(data)} bytes) is there")
        if not journal.kills() and os.path.exists(f"{home}/replaced/r{journal.index}.old"):
            findings.append(f"replaced file {journal.index}: .old is left over")
    return findings


def check_registers(place, home, journals):
    findings = []
    by_file = collections.defaultdict(list)
    for journal in (j for j in journals if j.kind == "register"):
        by_file[journal.how()].append(journal)
    for how, counters in sorted(by_file.items()):
        added = [n for journal in counters for n in journal.numbers("add")]
        tried = sum(len(journal.numbers("try")) for journal in counters)
        twice = [n for n, count in collections.Counter(added).items() if count > 1]
        value = int(read(f"{home}/register.{how}") or b"0")
        if any(journal.kills() for journal in counters):
            continue  # an unlock that was cut off may have been the last word of an unsynced value
        if twice:
            findings.append(f"register under {how}: {len(twice)} updates LOST, as {twice[:5]}")
        if not len(added) <= value <= tried:
            findings.append(f"register under {how}: {value}, {len(added)} were added, {tried} tried")
    return findings


def check_claims(place, home, journals):
    findings = []
    won = collections.defaultdict(list)
    tried = collections.Counter()
    for journal in (j for j in journals if j.kind == "claim"):
        for line in journal.lines:
            if line[0] == "won":
                won[line[1], line[2]].append(journal.index)
            elif line[0] == "try":
                tried[line[1], line[2]] += 1
    has_kills = any(journal.kills() for journal in journals if journal.kind == "claim")
    for (way, number), count in tried.items():
        winners = won[way, number]
        path = f"{home}/claims/{way}/{number}"
        if len(winners) > 1:
            findings.append(f"{way} of {number} was WON TWICE, by {winners}")
        if winners and not os.path.lexists(path):
            findings.append(f"{way} of {number} was won by {winners}, and is not there")
        if not winners and not has_kills and count:
            findings.append(f"{way} of {number} was won by nobody: EEXIST for {count}")
        if way in ("excl", "link", "symlink") and len(winners) == 1:
            name = os.readlink(path) if way == "symlink" else read(path).decode()
            if name not in (str(winners[0]), "" if has_kills else "?"):
                findings.append(f"{way} of {number} was won by {winners[0]} and has {name!r}")
    return findings


def check_large(place, home, journals):
    findings = []
    for journal in (j for j in journals if j.kind == "large"):
        last = next((x for x in reversed(journal.lines) if x[0] in ("try", "ack")), ["none"])
        if last[0] == "ack" and hashlib.md5(read(f"{home}/large/{journal.index}")).hexdigest() != last[3]:
            findings.append(f"large file {journal.index}: version {last[1]} was synced, and is not what is there")
    return findings


def check_put(place, home, journals):
    findings = []
    for journal in (j for j in journals if j.kind == "put"):
        last = {}
        for line in journal.lines:
            if line[0] == "try":
                last.pop(line[2], None)
            elif line[0] == "put":
                last[line[2]] = int(line[1]), int(line[3])
        for name, (number, length) in last.items():
            if read(f"{home}/{name}") != pattern(journal.index, number, length):
                findings.append(f"{name}: put number {number} of {length} bytes is not what is there")
    return findings


def check_trees(place, home, journals):
    """Against the models; of programs that have told of them."""
    findings = []
    for journal in (j for j in journals if j.kind == "tree"):
        path = f"{place}/model.tree-{journal.index}"
        if not os.path.exists(path):
            continue
        with open(path, encoding="ascii") as file:
            wanted = {line.split()[1]: line.split() for line in file}
        top = min(wanted)
        seen = {}
        for name, facts in tree_of(home, top).items():
            seen[name] = facts
        for name, words in wanted.items():
            facts = seen.pop(name, None)
            if words[0] == "d":
                good = facts is not None and stat.S_ISDIR(facts[0])
            else:
                good = facts is not None and [f"{facts[0] & 0o7777:o}", str(facts[1]), str(facts[2]), facts[3]] == words[2:6]
                if good:
                    good = facts[4] == (words[6] if len(words) > 6 else "")
            if not good:
                findings.append(f"{name}: wanted {words}, there is {facts}")
        findings += [f"{name} should not be there" for name in seen]
    return findings[:20]


def kept_links(home):
    """The inodes to which the server has a link of its own, while somebody has them open."""
    kept = os.path.join(os.path.dirname(home), ".orphans")
    return collections.Counter(os.lstat(os.path.join(folder, name)).st_ino
                               for folder, _, files in os.walk(kept) for name in files)


def tree_of(root, top=""):
    """Path: mode, links, size, MD5, own xattrs."""
    result = {}
    kept = kept_links(root)
    for folder, folders, files in os.walk(os.path.join(root, top)):
        for name in [""] + folders + files if folder == os.path.join(root, top) else folders + files:
            path = os.path.join(folder, name).rstrip("/")
            facts = os.lstat(path)
            content, xattrs = "", ""
            if stat.S_ISREG(facts.st_mode):
                content = hashlib.md5(read(path)).hexdigest()
                xattrs = ",".join(f"{n}={os.getxattr(path, n).decode()}" for n in sorted(os.listxattr(path))
                                  if n.startswith("user.x"))
            elif stat.S_ISLNK(facts.st_mode):
                content = os.readlink(path)
            is_file = stat.S_ISREG(facts.st_mode)
            result[os.path.relpath(path, root)] = (facts.st_mode, facts.st_nlink - kept[facts.st_ino] if is_file else 0,
                                                   facts.st_size if is_file else 0, content, xattrs)
    return result


def check_mounts(home, mounts):
    """All mounts show what is on the server's disk."""
    findings = []
    truth = tree_of(home)
    for mount in mounts:
        seen = tree_of(mount)
        for path in sorted(set(truth) | set(seen)):
            a, b = truth.get(path), seen.get(path)
            if a is None or b is None or (a[0] & ~0o777, *a[1:]) != (b[0] & ~0o777, *b[1:]):
                findings.append(f"{os.path.basename(mount)} shows {path} as {b}, the server has {a}")
    return findings[:20]


def used_bytes(home):
    sizes = {}
    for folder, _, files in os.walk(home):
        for name in files:
            facts = os.lstat(os.path.join(folder, name))
            if stat.S_ISREG(facts.st_mode):
                sizes[facts.st_ino] = facts.st_size
    return sum(sizes.values())


ALL = (check_logs, check_slots, check_replaced, check_registers, check_claims, check_large, check_put, check_trees)
