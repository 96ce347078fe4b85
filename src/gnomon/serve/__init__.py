"""A model behind OpenAI's HTTP routes: `gnomon serve`.

`asked` reads a request strictly, `speaker` puts it to a model, `replies` words the answer, `gate` bounds how much is in
flight, `app` holds the routes together and `running` opens the socket and closes it cleanly.
"""
