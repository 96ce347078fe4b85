"""A model server on the loopback interface, scripted and faulty on demand.

    async with serving(letters(0.7), faults=Faults(ignores_logprobs=True)) as server:
        model = Endpoint(server.url, "planted")

`serving_in_thread` is the same for synchronous tests; `python -m tests.servers --help` for command-line tests.
"""

from tests.servers.responders import Backed, Responder, Scripted, letters, says
from tests.servers.server import Faults, Server, serving, serving_in_thread

__all__ = ["Backed", "Faults", "Responder", "Scripted", "Server", "letters", "says", "serving", "serving_in_thread"]
