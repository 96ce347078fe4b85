"""Programs that try to be graded right without being right, in eight families.

Each defines the entry point ENTRY anew, or does its work when it is loaded; none computes what is asked.
"""

from __future__ import annotations

from textwrap import dedent

from tests.unit._cheats_deeper import DEEPER
from tests.unit._cheats_outside import IMPORTS, TESTS, THREADS

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
_FIRST = {
    "exit codes": _EXIT,
    "output forging": _OUTPUT,
    "equality overloading": _EQUAL,
    "frame and gc walking": _FRAMES,
    "patching builtins": _BUILTINS,
    "import hooks": IMPORTS,
    "threads left behind": THREADS,
    "reading the tests": TESTS,
}
FAMILIES = {family: {**some, **DEEPER.get(family, {})} for family, some in _FIRST.items()}
CHEATS = {f"{family}: {name}": dedent(text).strip() for family, some in FAMILIES.items() for name, text in some.items()}
