#!/usr/bin/env python3
"""Several programs on several mounts of one home, and faults: nothing that was promised may be lost, torn,
wrong or stale, no call may fail that should not, and none may stand still.

  faults.py --folder DIR --config FILE --user NAME [--seed N] [--seconds N] [--mounts N]
            [--faults KIND,...] [--programs KIND[=COUNT],...] [--rate BYTES] [--keep-going] [--verbose]

DIR is empty and on the local disk; FILE is the configuration of homefsd, whose account NAME has the
password in DIR/../secrets/NAME. HOMEFS_BIN and HOMEFSD_BIN are the programs. What happened is printed;
the status is 1 when there is a violation. The same seed gives the same programs and faults, not the same
moments.

Faults, of one mount's connections: cut (all), cut-control, cut-bulk (in the middle of what moves), hold (a
black hole), refuse, delay; of the server: kill, term, stop (SIGSTOP); of a mount's daemon: client-kill,
client-stop; of a program: program-stop.
"""
import argparse
import collections
import json
import multiprocessing
import os
import random
import signal
import socket
import subprocess
import sys
import time

import fault_checks
import fault_programs
import fault_tree
from fault_program import Shared, now_ms

PROGRAMS = {program.kind: program for program in (
    fault_programs.Log, fault_programs.Slot, fault_programs.Register, fault_programs.Replace, fault_programs.Claim,
    fault_programs.Large, fault_tree.Tree, fault_tree.PutGet)}
STILL_SECONDS = 15  # without a fault, a call that has not ended by then stands still
LINGER_SECONDS = 20  # of the server's config
COMMAND_SECONDS = 60  # and so does a command
HERE = os.path.dirname(os.path.abspath(__file__))


class Mount:
    def __init__(self, world, number):
        self.world, self.number = world, number
        self.folder = f"{world.place}/mount{number}"
        self.control = f"{world.place}/proxy{number}"
        os.makedirs(self.folder)
        self.environment = dict(os.environ)
        for name in ("CONFIG_HOME", "STATE_HOME", "RUNTIME_DIR", "CACHE_HOME"):
            path = f"{world.place}/own{number}/{name}"
            os.makedirs(path, mode=0o700)
            self.environment["XDG_" + name] = path
        self.proxy = subprocess.Popen([sys.executable, f"{HERE}/wan_proxy.py", str(world.port), self.control],
                                      stdout=subprocess.PIPE, text=True)
        self.port = int(self.proxy.stdout.readline())
        self.login = ["-s", "127.0.0.1", "-P", str(self.port), "-u", world.user, "--password-file",
                      f"{world.place}/../secrets/{world.user}", "--accept-new-server"]
        self.pid = 0

    def tell(self, command):
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(self.control)
            control.sendall((command + "\n").encode())
            return control.makefile().readline().split()

    def homefs(self, command, *arguments, seconds=60):
        return subprocess.run([os.environ["HOMEFS_BIN"], command, *arguments], env=self.environment, check=False,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds)

    def mount(self):
        try:
            done = self.homefs("mount", *self.login, self.folder, seconds=30)
        except subprocess.TimeoutExpired as error:
            raise SystemExit(f"VIOLATION: mount {self.number} STANDS STILL") from error
        if done.returncode != 0:
            raise SystemExit(f"VIOLATION: mount {self.number}: {done.stderr}")
        self.pid = self.status()["mount"]["pid"]

    def status(self):
        try:
            return json.loads(self.homefs("status", "--json", seconds=10).stdout)[0]
        except (subprocess.TimeoutExpired, ValueError, IndexError) as error:
            return {"error": str(error)}


class World:
    """The server, the mounts and the programs."""

    def __init__(self, options):
        self.options = options
        self.place, self.user = os.path.abspath(options.folder), options.user
        with open(options.config, encoding="utf-8") as file:
            config = json.load(file)
        self.port, self.home = config["listen"]["port"], f"{config['homes_dir']}/{options.user}"
        self.data = [config["data_dir"], config["homes_dir"]]
        os.makedirs(f"{self.place}/journals")
        os.makedirs(f"{self.place}/scratch")
        self.random = random.Random(options.seed)
        self.shared = Shared()
        self.server, self.mounts, self.programs = None, [], []
        self.counts = collections.Counter()
        self.findings = []
        self.told = []
        self.start = time.monotonic()

    def say(self, *words):
        text = f"{time.monotonic() - self.start:8.2f} {now_ms()} " + " ".join(str(w) for w in words)
        self.told.append(text)
        if self.options.verbose:
            print(text, flush=True)

    # ---- the server ----

    def start_server(self):
        log = open(f"{self.place}/server.log", "ab")  # noqa: SIM115
        self.server = subprocess.Popen([os.environ["HOMEFSD_BIN"], "--config", self.options.config, "serve"],
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        end = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self.server.poll() is not None or time.monotonic() > end:
                    raise SystemExit(f"homefsd does not start: {self.server.poll()}") from None
                time.sleep(0.02)

    def end_server(self, number):
        if self.server.poll() is not None:
            self.findings.append(f"homefsd ended by itself: {self.server.returncode}")
        self.server.send_signal(number)
        try:
            status = self.server.wait(30)
        except subprocess.TimeoutExpired:
            self.findings.append("homefsd does not end within 30 s after SIGTERM")
            self.server.kill()
            status = self.server.wait()
        if number == signal.SIGTERM and status != 0:
            self.findings.append(f"homefsd ended with {status} after SIGTERM")

    # ---- faults ----

    def fault(self, kind):
        mount = self.random.choice(self.mounts)
        self.shared.note_fault(1)
        seconds = self.random.choice((0.05, 0.3, 1.0, 2.5))
        self.say("fault", kind, "mount", mount.number)
        self.counts[kind] += 1
        self.FAULTS[kind](self, mount, seconds)
        self.shared.note_fault(0)

    def cut(self, mount, seconds):
        mount.tell("cut")

    def cut_lane(self, mount, lane):
        before = mount.tell("count")[4]
        mount.tell(f"cut-{lane} {self.random.randrange(1, 3_000_000 if lane == 'bulk' else 60_000)}")
        end = time.monotonic() + 0.7
        while mount.tell("count")[4] == before and time.monotonic() < end:
            time.sleep(0.005)
        if mount.tell("count")[4] == before:
            mount.tell(f"cut-{lane}")

    def hold(self, mount, seconds):
        mount.tell("hold")
        time.sleep(seconds)
        mount.tell("release")

    def refuse(self, mount, seconds):
        mount.tell("refuse")
        mount.tell("cut")
        time.sleep(seconds)
        mount.tell("accept")

    def delay(self, mount, seconds):
        mount.tell("delay 40")
        time.sleep(seconds)
        mount.tell("delay 0")

    def restart(self, mount, number):
        self.end_server(number)
        if self.random.random() < 0.5:
            time.sleep(self.random.random())
        self.start_server()

    def stop_for(self, pid, seconds):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(pid, signal.SIGCONT)

    def kill_client(self, mount, seconds):
        kills = self.shared.kills_cell(mount.number)
        count = self.shared.get(kills) + 1
        self.shared.put(kills, count)
        os.kill(mount.pid, signal.SIGKILL)
        if not self.wait_for(lambda: not os.path.exists(f"/proc/{mount.pid}") or is_dead(mount.pid), 15):
            raise SystemExit(f"VIOLATION: the daemon of mount {mount.number} was killed, and does not end")
        time.sleep(seconds / 2)
        mount.mount()
        self.shared.put(kills + 1, count)

    FAULTS = {
        "cut": cut,
        "cut-control": lambda self, mount, _: self.cut_lane(mount, "control"),
        "cut-bulk": lambda self, mount, _: self.cut_lane(mount, "bulk"),
        "hold": hold,
        "refuse": refuse,
        "delay": delay,
        "kill": lambda self, mount, _: self.restart(mount, signal.SIGKILL),
        "term": lambda self, mount, _: self.restart(mount, signal.SIGTERM),
        "stop": lambda self, _, seconds: self.stop_for(self.server.pid, seconds),
        "client-kill": kill_client,
        "client-stop": lambda self, mount, seconds: self.stop_for(mount.pid, seconds),
        "program-stop": lambda self, _, seconds: self.stop_for(self.random.choice(self.programs)[1].pid, seconds),
    }

    # ---- programs ----

    def make_programs(self):
        index = 0
        kinds = [word.partition("=") for word in self.options.programs.split(",")]
        made = []
        for kind, _, count in kinds:
            for number in range(int(count) * self.options.mounts if count else self.options.mounts):
                made.append(PROGRAMS[kind](self.shared, self.place, index, number % self.options.mounts, self.options.seed))
                index += 1
        spread_hows(made, self.options.mounts)
        for program in made:
            program.slots = [p.index for p in made if p.kind == program.kind]
            if program.kind == "put":
                program.login = self.mounts[program.mount].login
                program.environment = self.mounts[program.mount].environment
                program.homefs_bin = os.environ["HOMEFS_BIN"]
        for program in made:
            process = multiprocessing.get_context("fork").Process(target=program.run, name=program.name)
            process.start()
            self.programs.append((program, process))

    def standing_still(self):
        """Programs whose call has not ended though nothing is in its way."""
        still = []
        now, last = now_ms(), self.shared.last_fault()
        for program, process in self.programs:
            begun = self.shared.get(self.shared.call_cell(program.index))
            longest = STILL_SECONDS if begun > 0 else COMMAND_SECONDS
            if begun != 0 and process.is_alive() and now - max(abs(begun), last) > 1000 * longest:
                still.append(program)
        return still

    def have_all_moved(self):
        """Every program has ended the call that the last fault may have met."""
        cells = [self.shared.get(self.shared.call_cell(p.index)) for p, process in self.programs if process.is_alive()]
        return all(cell <= 0 or cell > self.shared.last_fault() for cell in cells)

    def be_quiet(self):
        while not self.have_all_moved():
            if still := self.standing_still():
                return self.tell_still(still)
            time.sleep(0.02)
        return True

    def tell_still(self, programs):
        for program in programs:
            self.findings.append(f"{program.name} on mount {program.mount} STANDS STILL for {STILL_SECONDS} s: "
                                 f"{json.dumps(self.mounts[program.mount].status())[:1500]}")
        return False

    def run(self):
        self.start_server()
        self.mounts = [Mount(self, number) for number in range(self.options.mounts)]
        for mount in self.mounts:
            if self.options.rate:
                mount.tell(f"rate {self.options.rate}")
                mount.tell("buffer 200000")  # so that the queues before it are full
            mount.mount()
        self.make_programs()
        end = time.monotonic() + self.options.seconds
        kinds = self.options.faults.split(",") if self.options.faults else []
        goes_on = True
        while goes_on and time.monotonic() < end:
            for _ in range(self.random.randrange(1, 6)):
                time.sleep(self.random.choice((0.02, 0.2, 0.6)))
                if kinds and time.monotonic() < end:
                    self.fault(self.random.choice(kinds))
            goes_on = self.be_quiet() and not self.has_violations()
            if self.server.poll() is not None:
                self.findings.append(f"homefsd ended by itself: {self.server.returncode}")
                goes_on = False
        self.end_programs(goes_on)
        self.check()

    def has_violations(self):
        return os.path.exists(f"{self.place}/violations") and not self.options.keep_going

    def end_programs(self, in_order):
        self.shared.end()
        end = time.monotonic() + (COMMAND_SECONDS if in_order else 5)
        for program, process in self.programs:
            process.join(max(0.1, end - time.monotonic()))
            if process.is_alive():
                if in_order:
                    self.tell_still([program])
                process.kill()
            elif process.exitcode != 0:
                self.findings.append(f"{program.name} ended with {process.exitcode}")

    # ---- the end ----

    @staticmethod
    def wait_for(condition, seconds):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True

    def eventually(self, look, seconds=20):
        """The findings of `look`, when they do not go away."""
        end = time.monotonic() + seconds
        while (found := look()) and time.monotonic() < end:
            time.sleep(0.2)
        return found

    def check_quota(self):
        told = int(os.getxattr(self.mounts[0].folder, "user.homefs.quota.used_bytes"))
        there = fault_checks.used_bytes(self.home)
        return [] if told == there else [f"the quota says that {told} bytes are used, {there} are"]

    def leftovers(self):
        found = []
        for top in self.data:
            for folder, _, files in os.walk(top):
                # A link that is kept of a file that has names goes when nobody knows it any more.
                names = [f for f in files if ".homefs-part-" in f or
                         "/.orphans" in folder and os.lstat(f"{folder}/{f}").st_nlink == 1]
                found += [f"{folder}/{name} is left over" for name in names]
        return found

    def check(self):
        if os.path.exists(f"{self.place}/violations"):
            with open(f"{self.place}/violations", encoding="ascii") as file:
                self.findings += [line.strip() for line in file][:20]
        if any("STANDS STILL" in finding for finding in self.findings):
            return
        journals = [fault_checks.Journal(self.place, program.name) for program, _ in self.programs]
        for look in fault_checks.ALL:
            self.findings += look(self.place, self.home, journals)
        folders = [mount.folder for mount in self.mounts]
        self.findings += self.eventually(lambda: fault_checks.check_mounts(self.home, folders))
        # What was open when the server was killed waits for its session for the linger time.
        self.findings += self.eventually(self.check_quota, LINGER_SECONDS + 25)
        self.findings += self.eventually(self.leftovers)[:10]
        for mount in self.mounts:
            done = mount.homefs("umount", "--timeout", "30", mount.folder)
            if done.returncode != 0:
                self.findings.append(f"umount of mount {mount.number}: {done.returncode} {done.stderr.strip()}")
        self.end_server(signal.SIGTERM)
        self.summarize(journals)

    def summarize(self, journals):
        steps = collections.Counter()
        late = []
        for journal in journals:
            steps[journal.kind] += sum(journal.numbers("steps"))
            late += [int(line[-2]) for line in journal.lines if line[0] == "late"]
        print("steps:", ", ".join(f"{kind} {count}" for kind, count in sorted(steps.items())))
        print("faults:", ", ".join(f"{kind} {count}" for kind, count in sorted(self.counts.items())) or "none",
              f"; seen late after one: {len(late)}, at most {max(late, default=0)} ms")
        if not all(steps[kind] for kind in {program.kind for program, _ in self.programs}):
            self.findings.append("a kind of program has done nothing")


def is_dead(pid):
    """A zombie none of whose threads is left in the kernel."""
    try:
        states = []
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/stat", encoding="ascii", errors="replace") as file:
                states.append(file.read().rpartition(") ")[2][0])
        return all(state in "ZX" for state in states)
    except (FileNotFoundError, ProcessLookupError):  # it went while it was looked at
        return True


def spread_hows(programs, mounts):
    """Every way of a kind is used in two mounts at least: their number takes the place of the index."""
    for kind in PROGRAMS:
        ours = [p for p in programs if p.kind == kind]
        for place, program in enumerate(ours):
            program.way = place // min(mounts, 2)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", required=True)
    parser.add_argument("--config", required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--mounts", type=int, default=2)
    parser.add_argument("--rate", type=int, default=0, help="bytes a second of each connection; 0: no limit")
    parser.add_argument("--faults", default="cut,cut-control,cut-bulk,kill,term")
    parser.add_argument("--programs", default="log=2,slot=2,register=2,replace,claim,large,tree,put")
    parser.add_argument("--keep-going", action="store_true", help="also after a violation")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    world = World(options)
    try:
        world.run()
    finally:
        for _, process in world.programs:
            if process.is_alive():
                process.kill()
        for mount in world.mounts:
            mount.proxy.kill()
            if sys.exc_info()[0] or world.findings:  # what stands still would outlive us
                subprocess.run(["umount", "-f", mount.folder], stderr=subprocess.DEVNULL, check=False)
    for finding in world.findings:
        print("VIOLATION:", finding)
    if world.findings:
        print(f"seed {options.seed}; the last of what happened (seconds, milliseconds as in the violations):")
        print("\n".join(world.told[-25:]))
        sys.exit(1)


main()
