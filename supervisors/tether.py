"""Ties a program's life to its parent's: `python -I -S tether.py PARENT_PID SIGNAL PROGRAM ARGUMENTS…`.

    parent ─spawn─▶ tether ─prctl, exec─▶ program        parent dies (SIGKILL, too) ─▶ SIGNAL to program

Linux forgets this wish when credentials change, so it is made after `setuid` and `unshare`, in the program's own process,
as the last step before `exec`: no watcher stays behind. Elsewhere than on Linux the program simply runs untethered.

Invariant: a program never starts after its parent has died.

The wish is tied to the parent's *thread*: spawn from one that lives as long as the program should (trio's worker threads
end after ten idle seconds and would take the program with them). Imported by nobody: it runs alone, in ~15 ms.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(parent_pid: int, signal_number: int, program: list[str]) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
        # Asked after the wish was made: a parent that died before it would never be noticed.
        if os.getppid() != parent_pid:
            raise SystemExit(f"tether: parent {parent_pid} is gone")
    os.execv(program[0], program)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
