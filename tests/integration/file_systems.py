"""Small real file systems for the fault tests: an ext4 or xfs image on a loop device, filled, failed and shut down at will.

Root only. `private_mounts` moves the process into a mount namespace of its own, and mount(8) makes loop devices that go with their
last user: so whatever happens to a test, SIGKILL included, no mount and no loop device outlives it. The image itself is unlinked
while it is mounted, and it is small; the machine's own file systems are never filled.
"""
import ctypes
import fcntl
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import server

CLONE_NEWNS = 0x20000
SHUTDOWN = 0x8004587D  # _IOR('X', 125, u32): EXT4_IOC_SHUTDOWN, XFS_IOC_GOINGDOWN
NO_LOG_FLUSH = 2
FLUSH_BUFFERS = 0x1261  # BLKFLSBUF
SKIPPED = 77  # what ctest takes for "skipped"
BLKIO = pathlib.Path("/sys/fs/cgroup/blkio")


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise OSError(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def reason_to_skip():
    """Why these tests cannot run here, or None."""
    if os.geteuid() != 0:
        return "needs root: loop devices and mounts"
    for program in ("mkfs.ext4", "mount"):
        if not shutil.which(program, path="/usr/sbin:/sbin:/usr/bin:/bin"):
            return f"needs {program}"
    if not os.path.exists("/dev/loop-control"):
        return "needs loop devices"
    return None


def private_mounts():
    """What this process mounts from now on is seen by its children alone and goes with them."""
    if server.LIBC.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNS)")
    run("mount", "--make-rprivate", "/")


def main():
    """Skips or runs the calling test file."""
    reason = reason_to_skip()
    if not reason:
        try:
            private_mounts()
        except OSError as error:
            reason = f"no mount namespace: {error}"
    if reason:
        print(f"skipped: {reason}", file=sys.stderr)
        sys.exit(SKIPPED)
    server.main()


def kinds():
    """The file systems that can be made here."""
    return [kind for kind in ("ext4", "xfs") if shutil.which(f"mkfs.{kind}", path="/usr/sbin:/sbin:/usr/bin:/bin")]


class FileSystem:
    """An image with a file system, mounted at `path` until the end of the `with`."""

    def __init__(self, size, kind="ext4", make=(), options=()):
        self.kind = kind
        self.options = options
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="innkeep-fs.", dir=server.TEST_DIR))
        self.path = self.folder / "mnt"
        self.ballast = self.path / "ballast"
        self.loop = None
        self.device = None
        self.free_bytes_that_stay = 0  # what a full file system still calls free: its own reserve
        try:
            self._make(size, make)
        except BaseException:
            self._clean_up()
            raise

    def _make(self, size, make):
        self.path.mkdir()
        image = self.folder / "image"
        with open(image, "wb") as file:
            file.truncate(size)
        plain = {"ext4": ["-q", "-F", "-m", "0", "-E", "lazy_itable_init=0"], "xfs": ["-q", "-f"]}[self.kind]
        run(f"mkfs.{self.kind}", *plain, *make, image)
        run("mount", "-t", self.kind, "-o", ",".join(["loop", *self.options]), image, self.path)
        self.device = run("findmnt", "-n", "-o", "SOURCE", self.path).strip()
        self.loop = os.open(self.device, os.O_RDONLY)  # keeps the device while the file system is unmounted
        image.unlink()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._clean_up()

    def _clean_up(self):
        if self.device and self.path.is_mount():
            try:
                self.unmount()
            except OSError:
                subprocess.run(["umount", "--lazy", self.path], check=False)
        if self.loop is not None:
            os.close(self.loop)
            self.loop = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def mount(self):
        run("mount", "-t", self.kind, *(["-o", ",".join(self.options)] if self.options else []), self.device, self.path)

    def unmount(self):
        """The kernel takes a killed process's ring apart later than the process, and until then its files are open."""
        until = time.monotonic() + 10
        while True:
            try:
                run("umount", self.path)
                return
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)

    # ---- Space

    def free_bytes(self):
        found = os.statvfs(self.path)
        return found.f_bfree * found.f_frsize

    def fill(self, leave=0):
        """Takes all space but `leave` bytes with the ballast file."""
        with open(self.ballast, "ab") as file:
            size = file.tell()
            step = 1 << 20
            while step >= 1024:
                if self.free_bytes() - leave < step:
                    step >>= 1
                    continue
                try:
                    os.posix_fallocate(file.fileno(), size, step)
                    size += step
                except OSError:
                    step >>= 1
        os.sync()
        self.free_bytes_that_stay = self.free_bytes() - leave

    def free(self):
        self.ballast.unlink()

    # ---- Faults

    def shut_down(self):
        """The operating system crashes, as far as this file system can tell: what was not synced is gone."""
        folder = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, SHUTDOWN, NO_LOG_FLUSH.to_bytes(4, "little"))
        finally:
            os.close(folder)

    def after_crash(self):
        """Mounts it again as it is on the disk: the device's cache still holds metadata that never got there."""
        self.unmount()
        fcntl.ioctl(self.loop, FLUSH_BUFFERS)
        self.mount()

    def turn_read_only(self):
        """The kernel finds an error (it is told to) and goes on reading only: mounted with errors=remount-ro."""
        trigger = pathlib.Path("/sys/fs/ext4") / os.path.basename(self.device) / "trigger_fs_error"
        trigger.write_text("a test\n", encoding="ascii")

    def device_number(self):
        number = os.fstat(self.loop).st_rdev
        return f"{os.major(number)}:{os.minor(number)}"


class Throttle:
    """A blkio group (cgroup v1) whose members write to one device at so many operations a second."""

    def __init__(self, device_number):
        self.device_number = device_number
        for left in BLKIO.glob("innkeep-test.*"):  # by a test that was killed
            if not pathlib.Path("/proc", left.suffix[1:]).exists() and not (left / "cgroup.procs").read_text():
                left.rmdir()
        self.group = BLKIO / f"innkeep-test.{os.getpid()}"
        self.group.mkdir()
        self.members = []  # (process, the group it was in)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process_id, group in self.members:
            try:
                (group / "cgroup.procs").write_text(str(process_id), encoding="ascii")
            except ProcessLookupError:
                pass
        for _ in range(50):
            try:
                self.group.rmdir()
                return
            except OSError:
                time.sleep(0.1)
        raise OSError(f"{self.group} cannot be removed")

    def enter(self, process_id):
        for line in pathlib.Path(f"/proc/{process_id}/cgroup").read_text(encoding="ascii").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "blkio":
                self.members.append((process_id, BLKIO / path.lstrip("/")))
        (self.group / "cgroup.procs").write_text(str(process_id), encoding="ascii")

    def set(self, operations):
        """0: no limit."""
        (self.group / "blkio.throttle.write_iops_device").write_text(f"{self.device_number} {operations}", encoding="ascii")


def reason_without_throttle():
    return None if (BLKIO / "blkio.throttle.write_iops_device").exists() else "needs blkio.throttle (cgroup v1)"
