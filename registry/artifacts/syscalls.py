"""System calls that a probe has no use for, by name and number.

References
----------
.. [1] Linux, arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass

# name, number on x86_64, number on aarch64; "-" where there is none.
_DENIED = """
fork 57 -; vfork 58 -; execve 59 221; execveat 322 281; kill 62 129; tkill 200 130;
rt_sigqueueinfo 129 138; rt_tgsigqueueinfo 297 240; pidfd_open 434 434; pidfd_getfd 438 438;
pidfd_send_signal 424 424; ptrace 101 117; process_vm_readv 310 270; process_vm_writev 311 271;
process_madvise 440 440; kcmp 312 272; socket 41 198; socketpair 53 199; connect 42 203;
bind 49 200; listen 50 201; accept 43 202; accept4 288 242; sendto 44 206; sendmsg 46 211;
sendmmsg 307 269; recvfrom 45 207; recvmsg 47 212; recvmmsg 299 243; mount 165 40;
umount2 166 39; pivot_root 155 41; chroot 161 51; move_mount 429 429; open_tree 428 428;
fsopen 430 430; fsconfig 431 431; fsmount 432 432; fspick 433 433; mount_setattr 442 442;
setns 308 268; unshare 272 97; open_by_handle_at 304 265; name_to_handle_at 303 264;
bpf 321 280; perf_event_open 298 241; userfaultfd 323 282; io_uring_setup 425 425;
io_uring_enter 426 426; io_uring_register 427 427; keyctl 250 219; add_key 248 217;
request_key 249 218; memfd_create 319 279; memfd_secret 447 447; kexec_load 246 104;
kexec_file_load 320 294; init_module 175 105; finit_module 313 273; delete_module 176 106;
chmod 90 -; fchmod 91 52; fchmodat 268 53; fchmodat2 452 452; chown 92 -; fchown 93 55;
lchown 94 -; fchownat 260 54; utime 132 -; utimes 235 -; utimensat 280 88; futimesat 261 -;
setxattr 188 5; lsetxattr 189 6; fsetxattr 190 7; removexattr 197 14; lremovexattr 198 15;
fremovexattr 199 16; setxattrat 463 463; removexattrat 466 466; file_setattr 469 469;
truncate 76 45; shmget 29 194; shmat 30 196; msgget 68 186; semget 64 190; mq_open 240 180;
personality 135 92; reboot 169 142; swapon 167 224; swapoff 168 225; acct 163 89;
quotactl 179 60; setpriority 141 140; sched_setaffinity 203 122; sched_setscheduler 144 119;
sched_setattr 314 274; migrate_pages 256 238; move_pages 279 239; inotify_init1 294 26;
fanotify_init 300 262; iopl 172 -; ioperm 173 -
"""
_COLUMNS = {"x86_64": 1, "aarch64": 2}


@dataclass(frozen=True, slots=True)
class SystemCalls:
    """The numbers of one kind of machine.

    Attributes
    ----------
    audit_arch : int
        What the kernel calls this machine in a filter.
    denied : tuple of int
        Refused whatever their arguments.
    clone, clone3, tgkill, prlimit : int
        Refused unless their arguments keep them to this process.
    has_x32 : bool
        A second set of numbers, with bit 30 set, enters the same calls.
    """

    audit_arch: int
    denied: tuple[int, ...]
    clone: int
    clone3: int
    tgkill: int
    prlimit: int
    has_x32: bool


def _denied(machine: str) -> tuple[int, ...]:
    rows = (row.split() for row in _DENIED.split(";"))
    numbers = (row[_COLUMNS[machine]] for row in rows)
    return tuple(int(number) for number in numbers if number != "-")


def of_this_machine() -> SystemCalls | None:
    """Return the numbers of this machine; None where they are not known."""
    machine = platform.machine()
    if machine == "x86_64":
        return SystemCalls(0xC000003E, _denied(machine), 56, 435, 234, 302, has_x32=True)
    if machine == "aarch64":
        return SystemCalls(0xC00000B7, _denied(machine), 220, 435, 131, 261, has_x32=False)
    return None
