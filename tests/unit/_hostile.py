"""Programs that try to hurt the machine, each with the causes that its verdict may have."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["HOSTILE", "Hostile"]


class Hostile(NamedTuple):
    """A program that defines `f`, and what may be said of it."""

    source: str
    causes: tuple[str, ...]


_NO = ("forbidden action",)
_LATE = ("timeout",)

HOSTILE = {
    "fork bomb": Hostile("import os\ndef f(x):\n    while True: os.fork()", _NO),
    "fork bomb that goes on": Hostile(
        "import os\ndef f(x):\n    while True:\n        try: os.fork()\n        except OSError: pass", _LATE
    ),
    "clone by number": Hostile(
        "import ctypes\ndef f(x):\n    while ctypes.CDLL(None).syscall(56, 17, 0, 0, 0, 0) >= 0: pass\n"
        "    raise PermissionError",
        _NO,
    ),
    "subprocess": Hostile("import subprocess\ndef f(x):\n    subprocess.run(['sleep', '100'])", _NO),
    "shell": Hostile("import os\ndef f(x):\n    return os.system('sleep 100') and 1 / 0", ("exception",)),
    "exec": Hostile("import os\ndef f(x):\n    os.execv('/bin/sh', ['sh'])", _NO),
    "threads": Hostile(
        "import threading, time\ndef f(x):\n"
        "    while True: threading.Thread(target=time.sleep, args=(100,), daemon=True).start()",
        ("exception",),
    ),
    "daemon left behind": Hostile(
        "import threading, time\ndef f(x):\n"
        "    threading.Thread(target=time.sleep, args=(100,)).start()\n    return x * x",
        ("passed",),
    ),
    "threads without a stack to speak of": Hostile(
        "import ctypes, time\ndef f(x):\n    c, how = ctypes.CDLL(None), ctypes.create_string_buffer(64)\n"
        "    c.pthread_attr_init(how)\n    c.pthread_attr_setstacksize(how, ctypes.c_size_t(16384))\n"
        "    for _ in range(600): c.pthread_create(ctypes.byref(ctypes.c_ulong()), how, c.pause, None)\n"
        "    time.sleep(9)",
        _NO,
    ),
    "memory": Hostile("def f(x):\n    return len(bytearray(8 << 30))", ("memory",)),
    "memory by pieces": Hostile(
        "def f(x):\n    a = []\n    while True: a.append(bytes(1 << 28))", ("memory", "timeout")
    ),
    "memory by mapping": Hostile(
        "import mmap\ndef f(x):\n    return mmap.mmap(-1, 8 << 30)", ("exception", "memory", "forbidden action")
    ),
    "memory in a file": Hostile("import os\ndef f(x):\n    os.memfd_create('a')", _NO),
    "endless loop": Hostile("def f(x):\n    while True: pass", _LATE),
    "endless loop in C": Hostile("def f(x):\n    return 10 ** 10 ** 10", ("timeout", "memory")),
    "endless sleep": Hostile("import time\ndef f(x):\n    time.sleep(1000)", _LATE),
    "endless loop when loaded": Hostile("while True: pass", _LATE),
    "signals masked": Hostile(
        "import signal\ndef f(x):\n    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n    while True: pass",
        _LATE,
    ),
    "signals ignored": Hostile(
        "import signal\nfor s in range(1, 65):\n    try: signal.signal(s, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\ndef f(x):\n    while True: pass",
        _LATE,
    ),
    "stops itself": Hostile("import os, signal\ndef f(x):\n    os.kill(os.getpid(), signal.SIGSTOP)", _LATE),
    "kills itself": Hostile("import os, signal\ndef f(x):\n    os.kill(os.getpid(), signal.SIGKILL)", ("crash",)),
    "kills its parent": Hostile("import os\ndef f(x):\n    os.kill(os.getppid(), 9)", _NO),
    "kills its group": Hostile("import os\ndef f(x):\n    os.killpg(0, 9)", _NO),
    "kills everything": Hostile("import os\ndef f(x):\n    os.kill(-1, 9)", _NO),
    "signals by descriptor": Hostile(
        "import os, signal\ndef f(x):\n    signal.pidfd_send_signal(os.pidfd_open(os.getppid()), 9)", _NO
    ),
    "signals by input": Hostile(
        "import fcntl, os\ndef f(x):\n    r, w = os.pipe()\n    fcntl.fcntl(r, fcntl.F_SETOWN, os.getppid())", _NO
    ),
    "writes a file": Hostile("def f(x):\n    open('{folder}/written', 'w').write('x')", _NO),
    "fills the disk": Hostile(
        "def f(x):\n    with open('{folder}/written', 'wb') as o:\n        while True: o.write(bytes(1 << 20))", _NO
    ),
    "makes folders": Hostile("import os\ndef f(x):\n    os.mkdir('{folder}/made')", _NO),
    "removes a file": Hostile("import os\ndef f(x):\n    os.unlink('{folder}/kept')", _NO),
    "renames a file": Hostile("import os\ndef f(x):\n    os.rename('{folder}/kept', '{folder}/moved')", _NO),
    "opens a file up": Hostile("import os\ndef f(x):\n    os.chmod('{folder}/kept', 0o777)", _NO),
    "links a file": Hostile("import os\ndef f(x):\n    os.symlink('/etc/passwd', '{folder}/link')", _NO),
    "truncates a file": Hostile("import os\ndef f(x):\n    os.truncate('{folder}/kept', 0)", _NO),
    "reads a file": Hostile("def f(x):\n    return open('{folder}/kept').read()", _NO),
    "reads passwords": Hostile("def f(x):\n    return open('/etc/passwd').read()", _NO),
    "reads its memory map": Hostile("def f(x):\n    return open('/proc/self/maps').read()", _NO),
    "reads the environment": Hostile(
        "import os\ndef f(x):\n    return open(f'/proc/{os.getppid()}/environ').read()", _NO
    ),
    "writes its parent's memory": Hostile("import os\ndef f(x):\n    open(f'/proc/{os.getppid()}/mem', 'r+b')", _NO),
    "connects": Hostile("import socket\ndef f(x):\n    socket.create_connection(('127.0.0.1', 80))", _NO),
    "listens": Hostile("import socket\ndef f(x):\n    socket.create_server(('127.0.0.1', 0))", _NO),
    "local socket": Hostile("import socket\ndef f(x):\n    socket.socket(socket.AF_UNIX).connect('\\0name')", _NO),
    "what the kernel shares": Hostile(
        "import ctypes\ndef f(x):\n    c = ctypes.CDLL(None)\n"
        "    asked = [('shmget', 0, 4096, 0o1666), ('msgget', 4711, 0o1666), ('semget', 4711, 1, 0o1666),\n"
        "             ('inotify_init1', 0), ('fanotify_init', 0, 0), ('unshare', 1 << 28), ('personality', 1 << 18),\n"
        "             ('mlockall', 3), ('sethostname', b'a', 1), ('nice', -5)]\n"
        "    if all(getattr(c, name)(*how) < 0 for name, *how in asked): raise PermissionError\n    return x * x",
        _NO,
    ),
    "named memory": Hostile(
        "from multiprocessing.shared_memory import SharedMemory\ndef f(x):\n"
        "    SharedMemory(create=True, size=1 << 20)\n    return x * x",
        _NO,
    ),
    "a message with an address": Hostile(
        "import socket\ndef f(x):\n    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
        "    a.sendto(b'x', '\\0a')",
        _NO,
    ),
    "a message with an address that is far away": Hostile(
        "import ctypes, errno, socket\ndef f(x):\n    c = ctypes.CDLL(None, use_errno=True)\n"
        "    far, n = ctypes.c_void_p(5 << 32), ctypes.c_size_t\n"
        "    c.mmap(far, n(4096), 3, 0x32, -1, n(0))\n    ctypes.memmove(far, b'\\1\\0/tmp/a', 9)\n"
        "    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
        "    if c.sendto(a.fileno(), b'x', n(1), 0, far, 9) < 0 and ctypes.get_errno() == errno.EPERM:\n"
        "        raise PermissionError\n    return x * x",
        _NO,
    ),
    "hands a descriptor over": Hostile(
        "import array, socket\ndef f(x):\n    a, b = socket.socketpair()\n"
        "    a.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [1]))])\n    return x * x",
        _NO,
    ),
    "writes to devices": Hostile(
        "def f(x):\n    for name in ('urandom', 'zero', 'full', 'tty', 'ptmx', 'kmsg', 'mem'):\n"
        "        try: open(f'/dev/{name}', 'r+b', buffering=0)\n        except OSError: continue\n"
        "        return x * x\n    raise PermissionError",
        _NO,
    ),
    "raises its limits": Hostile(
        "import resource\ndef f(x):\n    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))\n    return 16",
        ("exception", "forbidden action"),
    ),
    "traces its parent": Hostile(
        "import ctypes, os\ndef f(x):\n    c = ctypes.CDLL(None, use_errno=True)\n"
        "    if c.ptrace(16, os.getppid(), 0, 0) < 0: raise PermissionError",
        _NO,
    ),
    "leaves": Hostile("import os\ndef f(x):\n    os._exit(0)", ("crash",)),
    "recursion": Hostile(
        "import sys\nsys.setrecursionlimit(10 ** 9)\ndef f(x):\n    return f(x)", ("crash", "memory", "timeout")
    ),
    "bad memory": Hostile("import ctypes\ndef f(x):\n    return ctypes.string_at(0)", ("crash",)),
    "prints without end": Hostile("def f(x):\n    while True: print('x' * 1000)", _LATE),
    "huge answer": Hostile("def f(x):\n    return 'x' * (1 << 25)", ("unreadable answer",)),
    "nested answer": Hostile(
        "def f(x):\n    a = []\n    for _ in range(10 ** 5): a = [a]\n    return a", ("unreadable answer",)
    ),
    "cyclic answer": Hostile("def f(x):\n    a = []\n    a.append(a)\n    return a", ("unreadable answer",)),
    "endless answer": Hostile("import itertools\ndef f(x):\n    return itertools.count()", ("unreadable answer",)),
    "an answer byte by byte": Hostile(
        "import os, time\ndef f(x):\n    os.write(4, b'\\x00\\x00\\xff\\x00')\n"
        "    while True:\n        os.write(4, b'x')\n        time.sleep(0.02)",
        _LATE,
    ),
    "answers without end": Hostile(
        "import os\ndef f(x):\n    while True: os.write(4, b'\\x02\\x00\\x00\\x00v0')", ("unreadable answer",)
    ),
    "system calls of another kind": Hostile(
        "import ctypes, mmap\ndef f(x):\n    m = mmap.mmap(-1, 4096, prot=7)\n"
        "    m.write(bytes.fromhex('b802000000cd80c3'))\n"
        "    return ctypes.CFUNCTYPE(int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))()",
        ("crash",),
    ),
    "garbage for an answer": Hostile(
        "import os\ndef f(x):\n    os.write(4, b'\\xff' * 100)\n    return 4", ("unreadable answer",)
    ),
    "closes its pipes": Hostile("import os, time\ndef f(x):\n    os.closerange(3, 5)\n    time.sleep(100)", ("crash",)),
}
