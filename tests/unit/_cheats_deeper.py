"""More cheating programs of the eight families: what knows how the sandbox speaks, and what bends the interpreter."""

from __future__ import annotations

__all__ = ["DEEPER"]

DEEPER = {
    "exit codes": {
        "a fork that answers": """
            import os
            def ENTRY(*a):
                if os.fork() == 0: os._exit(0)
                os.wait(); os._exit(0)
            """,
        "becomes another program": "import os\ndef ENTRY(*a): os.execv('/bin/true', ['true'])",
        "stops itself": "import os, signal\ndef ENTRY(*a): os.kill(os.getpid(), signal.SIGSTOP)",
        "leaves by a system call": "import ctypes\ndef ENTRY(*a): ctypes.CDLL(None).syscall(231, 0)",
        "its first thread alone leaves": "import ctypes\ndef ENTRY(*a): ctypes.CDLL(None).syscall(60, 0)",
        "an exception whose text leaves": """
            import os
            class E(Exception):
                def __str__(self): os._exit(0)
            def ENTRY(*a): raise E
            """,
        "an exception of several names": "def ENTRY(*a): raise type('StopIteration,Exception', (Exception,), {})",
        "an exception with other ancestors": """
            class M(type):
                __mro__ = property(lambda c: [StopIteration, AssertionError])
            def ENTRY(*a): raise M('E', (Exception,), {})
            """,
        "a group of exceptions": "def ENTRY(*a): raise BaseExceptionGroup('', [KeyboardInterrupt(), SystemExit(0)])",
    },
    "output forging": {
        "code in marshal's form": """
            import marshal, os, struct
            text = b'v' + marshal.dumps(compile("__import__('os')._exit(0)", 'x', 'exec'))
            def ENTRY(*a): os.write(4, struct.pack('<I', len(text)) + text)
            """,
        "a pickle that acts": """
            import os, pickle, struct
            class P:
                def __reduce__(self): return os._exit, (0,)
            text = b'v' + pickle.dumps(P())
            def ENTRY(*a): os.write(4, struct.pack('<I', len(text)) + text)
            """,
        "a frame without an end": """
            import os, struct
            def ENTRY(*a): os.write(4, struct.pack('<I', 1 << 31) + b'vtrue'); os.close(4); os._exit(0)
            """,
        "reads the questions and answers them all": """
            import os, struct
            def ENTRY(*a):
                os.set_blocking(3, False)
                try: os.read(3, 1 << 16)
                except OSError: pass
                os.write(4, (struct.pack('<I', 5) + b'vtrue') * 50)
                return True
            """,
        "what the sandbox says of an end": """
            import os, struct
            def ENTRY(*a):
                for text in (b'ready', struct.pack('<id?', 0, 0.0, False), b'{"status": 0, "cpu": 0.0}'):
                    for fd in range(64):
                        try: os.write(fd, text)
                        except OSError: pass
            """,
        "half an answer": "import os\ndef ENTRY(*a): os.write(4, b'\\x05\\x00\\x00\\x00vt'); os._exit(0)",
        "loaded twice": """
            import os, struct
            def frame(text): return struct.pack('<I', len(text)) + text
            os.write(4, frame(b'lENTRY') * 3)
            def ENTRY(*a): return None
            """,
        "more than was ever sent": """
            import os, struct
            text = b'v[' + b', '.join(b'{"%c": {"r": [0, 1000000000, 1]}}' % k for k in b'tszqgkv') + b']'
            def ENTRY(*a): os.write(4, struct.pack('<I', len(text)) + text)
            """,
        "a range without end": "def ENTRY(*a): return range(10 ** 12)",
        "calls back to what is not there": """
            import os, struct
            def ENTRY(*a):
                for text in (b'c[-1, [], {}]', b'c[true, [1], {}]', b'c["x", [], {}]', b'c[]'):
                    os.write(4, struct.pack('<I', len(text)) + text)
            """,
        "arguments that it was not given": """
            import os, struct
            def ENTRY(*a):
                text = b'b[true, [true]]'
                os.write(4, struct.pack('<I', len(text)) + text)
            """,
    },
    "equality overloading": {
        "a dictionary with other items": """
            class A(dict):
                __eq__ = lambda self, o: True
                items = lambda self: [(1, 2)]
                __hash__ = None
            def ENTRY(*a): return A()
            """,
        "a fraction equal to all": """
            from fractions import Fraction
            class A(Fraction):
                __eq__ = lambda self, o: True
                __sub__ = __rsub__ = lambda self, o: 0
                __hash__ = Fraction.__hash__
            def ENTRY(*a): return A(1, 3)
            """,
        "a class that is found in place of list": """
            class M(type):
                __eq__ = lambda c, o: True
                __hash__ = lambda c: hash(list)
            class A(list, metaclass=M):
                __eq__ = lambda self, o: True
                __hash__ = None
            def ENTRY(*a): return A([1])
            """,
        "a tuple with fields and other contents": """
            class A(tuple):
                _fields = ('x',)
                __eq__ = lambda self, o: True
                __iter__ = lambda self: iter((self,))
                __hash__ = None
            def ENTRY(*a): return A((self for self in (1, 2)))
            """,
        "an enumeration that adds otherwise": """
            import enum
            class A(int, enum.Enum):
                X = 3
                __add__ = __radd__ = __index__ = lambda self, *o: A.X
                __eq__ = lambda self, o: True
                __hash__ = None
            def ENTRY(*a): return A.X
            """,
        "a number that is called Fraction": """
            class Fraction:
                __module__ = 'fractions'
                numerator = denominator = property(lambda self: self)
                __eq__ = lambda self, o: True
                __hash__ = None
            def ENTRY(*a): return Fraction()
            """,
        "a mock": "from unittest.mock import MagicMock\ndef ENTRY(*a): return MagicMock(__eq__=lambda s, o: True)",
        "NotImplemented": "def ENTRY(*a): return NotImplemented",
        "a coroutine": "async def ENTRY(*a): return 2.0",
        "its own class": """
            class ENTRY:
                __new__ = lambda c, *a: object.__new__(c)
                __eq__ = __bool__ = lambda self, *o: True
                __sub__ = __rsub__ = lambda self, o: 0
                __hash__ = None
            """,
        "a generator that asks what is wanted": """
            def lie():
                wanted = yield 1
                while True: wanted = yield wanted
            def ENTRY(*a): return lie()
            """,
    },
    "frame and gc walking": {
        "the reference in the collector": """
            import gc, types
            def ENTRY(*a):
                for o in gc.get_objects():
                    if isinstance(o, types.FunctionType) and o.__name__ in ('ENTRY', 'REFERENCE') and o is not ENTRY:
                        return o(*a)
            """,
        "what the zygote left": """
            import gc
            def ENTRY(*a):
                for o in gc.get_objects():
                    if type(o).__name__ in ('_Zygote', 'Watcher', 'socket'):
                        for name in ('control', '_socket', 'watcher'):
                            try: getattr(o, name).send(b'{"status": 0, "cpu": 0.0}')
                            except Exception: pass
            """,
        "jumps over lines": """
            import sys
            def tracer(frame, event, arg):
                try: frame.f_lineno = frame.f_code.co_firstlineno + 1
                except ValueError: pass
                return tracer
            sys.settrace(tracer)
            def ENTRY(*a): return None
            """,
        "an audit hook": """
            import sys
            def hook(event, args):
                frame = sys._getframe()
                while frame:
                    frame.f_globals['known'] = None
                    frame = frame.f_back
            sys.addaudithook(hook)
            def ENTRY(*a): return None
            """,
    },
    "patching builtins": {
        "two is one": """
            import ctypes
            def ENTRY(*a):
                for n in range(2, 200): ctypes.memmove(id(n) + 24, id(1) + 24, 4)
                return 1
            """,
        "true is false": """
            import ctypes
            ctypes.memmove(id(False) + 24, id(True) + 24, 4)
            def ENTRY(*a): return False
            """,
        "floats compare as it likes": """
            import ctypes
            slot = ctypes.c_void_p.from_address(id(float) + 24 * 8 + 8)
            slot.value = None
            def ENTRY(*a): return 1e9
            """,
        "how values are copied": """
            import copy, copyreg
            copy.deepcopy = copy.copy = lambda x, memo=None: x
            copyreg.pickle(float, lambda x: (float, (2.0,)))
            def ENTRY(*a): return 7.0
            """,
        "an exception of the test's own": """
            class AssertionError(BaseException): pass
            def ENTRY(*a): raise AssertionError
            """,
    },
    "import hooks": {
        "typing lies": """
            import typing
            typing.List = typing.Any = type('T', (), {'__eq__': lambda s, o: True, '__hash__': None})()
            def ENTRY(*a): return typing.Any
            """,
        "a customised site": """
            import os
            for name in ('/tmp/sitecustomize.py', '/sitecustomize.py', 'usercustomize.py'):
                try: open(name, 'w').write('import os; os._exit(0)')
                except OSError: pass
            def ENTRY(*a): return None
            """,
    },
    "threads left behind": {
        "a limit that strikes": """
            import resource
            def ENTRY(*a):
                resource.setrlimit(resource.RLIMIT_CPU, (0, resource.getrlimit(resource.RLIMIT_CPU)[1]))
                while True: pass
            """,
        "an alarm that answers": """
            import os, signal, struct
            def answer(*a): os.write(4, struct.pack('<I', 5) + b'vtrue')
            signal.signal(signal.SIGVTALRM, answer)
            signal.setitimer(signal.ITIMER_VIRTUAL, 0.001, 0.001)
            def ENTRY(*a): return sum(range(100000)) and None
            """,
        "a finaliser that leaves": """
            import os, weakref
            class A: pass
            a = A()
            weakref.finalize(a, os._exit, 0)
            def ENTRY(*x):
                global a
                a = None
            """,
    },
    "reading the tests": {
        "what stands in the pipe": """
            import marshal, os
            def ENTRY(*a):
                seen = os.read(3, 1 << 16)
                for at in range(len(seen)):
                    try: found = marshal.loads(seen[at:])
                    except Exception: continue
                    if isinstance(found, (int, float)) and found: return found
            """,
        "the judge by its number": """
            import os
            def ENTRY(*a):
                for pid in range(os.getppid() - 5, os.getppid() + 5):
                    for name in ('mem', 'environ', 'cmdline', 'fd/0', 'maps'):
                        try: open(f'/proc/{pid}/{name}', 'rb').read(1 << 16)
                        except OSError: pass
            """,
    },
}
