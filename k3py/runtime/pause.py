"""The pause program: first process of every pod sandbox, about 270 bytes of machine code that k3py makes itself.

It ignores SIGCHLD, so that the kernel reaps what a shared PID namespace leaves to it, blocks SIGINT and SIGTERM (a first process would
otherwise never see them), waits for one of the two, and exits with 0. System calls by number, no memory but its own image, no library.
Source: the ELF-64 format, Linux' system call tables, the two architectures' instruction encodings.
"""

from __future__ import annotations

import struct
from typing import Final

from k3py.runtime.image_archive import ImageFile, ImageRecipe

_BASE: Final = 0x400000
_HEADERS: Final = 64 + 56
_SIGCHLD: Final = 17
_IGNORE_ACTION: Final = struct.pack("<4Q", 1, 0, 0, 0)  # struct sigaction: SIG_IGN, flags, restorer, mask
_SIGNALS: Final = struct.pack("<Q", 1 << (2 - 1) | 1 << (15 - 1))  # SIGINT, SIGTERM
_X86_64: Final = 62
_AARCH64: Final = 183
ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
"""`uname -m` → the name in image configurations."""


def pause_program(machine: str) -> bytes:
    """Return the static executable for a machine as `uname -m` names it.

    Raises:
        KeyError: neither x86_64 nor aarch64.
    """
    number, make = {"x86_64": (_X86_64, _code_x86_64), "aarch64": (_AARCH64, _code_aarch64)}[machine]
    size = len(make(0))
    code = make(_BASE + _HEADERS + size)
    return _elf(number, code + _IGNORE_ACTION + _SIGNALS)


def pause_image(name: str, machine: str) -> ImageRecipe:
    """Return the recipe of the sandbox image."""
    return ImageRecipe(
        names=(name,),
        architecture=ARCHITECTURES[machine],
        files=(ImageFile("pause", pause_program(machine), mode=0o755),),
        entrypoint=("/pause",),
        user="65535:65535",
    )


def _code_x86_64(data: int) -> bytes:
    """Machine code; `data` is the address of the action, the set of signals lies behind it."""
    action, signals = data, data + len(_IGNORE_ACTION)

    def syscall(number: int, first: bytes, second: bytes) -> bytes:
        # mov eax, number; first → edi; second → esi; xor edx, edx; mov r10d, 8; syscall
        return b"\xb8" + struct.pack("<I", number) + first + second + b"\x31\xd2\x41\xba\x08\0\0\0\x0f\x05"

    def load(opcode: int, value: int) -> bytes:
        return bytes([opcode]) + struct.pack("<I", value)

    edi, esi = 0xBF, 0xBE
    code = syscall(13, load(edi, _SIGCHLD), load(esi, action))  # rt_sigaction
    code += syscall(14, b"\x31\xff", load(esi, signals))  # rt_sigprocmask(SIG_BLOCK)
    wait = syscall(128, load(edi, signals), b"\x31\xf6") + b"\x85\xc0"  # rt_sigtimedwait; test eax, eax
    wait += b"\x78" + struct.pack("b", -(len(wait) + 2))  # js wait
    return code + wait + b"\xb8" + struct.pack("<I", 231) + b"\x31\xff\x0f\x05"  # exit_group(0)


def _code_aarch64(data: int) -> bytes:
    action, signals = data, data + len(_IGNORE_ACTION)
    words: list[int] = []

    def move(register: int, value: int) -> None:
        words.append(0xD2800000 | value << 5 | register)  # movz

    def address(register: int, target: int) -> None:
        offset = (target - (_BASE + _HEADERS + 4 * len(words))) & 0x1FFFFF
        words.append(0x10000000 | (offset & 3) << 29 | (offset >> 2) << 5 | register)  # adr

    def call(number: int) -> None:
        move(2, 0)
        move(3, 8)
        move(8, number)
        words.append(0xD4000001)  # svc #0

    move(0, _SIGCHLD)
    address(1, action)
    call(134)  # rt_sigaction
    move(0, 0)
    address(1, signals)
    call(135)  # rt_sigprocmask(SIG_BLOCK)
    wait = len(words)
    address(0, signals)
    move(1, 0)
    call(137)  # rt_sigtimedwait
    words.append(0xB7F80000 | ((wait - len(words)) & 0x3FFF) << 5)  # tbnz x0, #63, wait
    move(0, 0)
    call(94)  # exit_group
    return struct.pack(f"<{len(words)}I", *words)


def _elf(machine: int, content: bytes) -> bytes:
    """Wrap code and data into an executable with one readable, executable segment."""
    size = _HEADERS + len(content)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = ident + struct.pack(
        "<HHIQQQIHHHHHH", 2, machine, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return header + segment + content
