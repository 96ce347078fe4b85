"""GraphQL in the fuzzer: root fields are operations, their arguments bodies, and a selection is part of a case.

loading -> scalars, inputs (arguments as JSON Schema) -> fields (RootField) over selections and writing
resources, memory, chains: things and their lives; reading: what comes back; plays: what is asked once
"""
