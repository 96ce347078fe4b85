"""A model behind OpenAI's HTTP routes: `gnomon serve`.

`asked` reads a request for text strictly, `typed` one of typed questions, both by `fields`; `speaker` is a model as the
routes see it, `deciding` puts typed questions to it, `replies` words texts, `gate` bounds how much is in flight, `app`
holds the routes together and `running` opens the socket and closes it cleanly.
"""
