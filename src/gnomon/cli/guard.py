"""What a command's end looks like: an exit code and, when it went wrong, one line on stderr."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Sequence

from gnomon.core.errors import GnomonError, Stopped

__all__ = ["guarded", "resume_command"]

_EXTRAS = {"torch": "torch", "transformers": "torch", "safetensors": "torch", "tokenizers": "torch", "ray": "ray"}
_STOPPED = 130


def guarded(work: Callable[[], int], tokens: Sequence[str]) -> int:
    """The exit code of `work`; every exception becomes one line, with a traceback where GNOMON_DEBUG=1."""
    try:
        code = work()
        sys.stdout.flush()
        return code
    except Stopped as error:
        return _stopped(tokens, error.what)
    except GnomonError as error:
        return _say(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _stopped(tokens, "stopped")
    except BrokenPipeError:
        # The reader went away (`gnomon runs | head`); a second failure while Python closes stdout would print.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except OSError as error:
        from gnomon.store.files import full_disk, is_full

        if not is_full(error):
            return _say(f"{type(error).__name__}: {error}; GNOMON_DEBUG=1 shows where", 4)
        return _say(str(full_disk(str(error.filename or ""), "", str(error.strerror))), 4)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            return _say(f"{type(error).__name__}: {error}", 4)
        return _say(f"this needs {error.name}, which is not installed; pip install 'gnomon[{extra}]'", 3)
    except Exception as error:
        if type(error).__module__.startswith("cyclopts"):
            return _say(f"{_one_line(error)} See {_help_command(tokens)}", 2)
        return _say(f"{type(error).__name__}: {error}; GNOMON_DEBUG=1 shows where", 4)


def resume_command(tokens: Sequence[str]) -> str:
    """The command that goes on where this one stopped: the same, but for `--fresh`, which would start over."""
    program = ["gnomon"]
    if "LOCAL_WORLD_SIZE" in os.environ:
        program = ["torchrun", "--nproc-per-node", os.environ["LOCAL_WORLD_SIZE"], "-m", "gnomon"]
    return shlex.join([*program, *(t for t in tokens if t != "--fresh")])


def _stopped(tokens: Sequence[str], what: str) -> int:
    resumable = tokens[:1] and tokens[0] in ("assay", "train", "demo")
    todo = (
        f"what is done is saved; resume with: {resume_command(tokens)}" if resumable else "nothing was left half done"
    )
    return _say(f"{what}; {todo}", _STOPPED)


def _say(message: str, code: int) -> int:
    if os.environ.get("GNOMON_DEBUG") == "1" and code != _STOPPED:
        import traceback

        traceback.print_exc()
    sys.stdout.flush()
    print("gnomon: " + " ".join(message.split()), file=sys.stderr)
    return code


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _help_command(tokens: Sequence[str]) -> str:
    from gnomon.cli.app import COMMANDS

    words = [t for t in tokens[:1] if t in COMMANDS]
    if words and COMMANDS[words[0]].takes_methods:
        words += [t for t in tokens[1:2] if not t.startswith("-")]
    return " ".join(["gnomon", *words, "--help"])
